"""What the URL schemes `zvt+tcp` and `zvt+serial` mean. Looked up by `zahlwerk.urls`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import ConfigurationError
from zahlwerk.urls import Context, Endpoint, Interface, Parameter, Url

if TYPE_CHECKING:
    from zahlwerk.interfaces.zvt.endpoint import EndpointOptions, Serve, Stop
    from zahlwerk.interfaces.zvt.framing import Link
    from zahlwerk.interfaces.zvt.memory import Memory
    from zahlwerk.interfaces.zvt.profiles import Profile
    from zahlwerk.terminal import Terminal
    from zahlwerk.transport.stream import ByteStream, Listener
    from zahlwerk.transport.tls import TlsOptions

__all__ = ["SERIAL", "TCP", "baud_of", "open_port", "profile_for"]

_YES_NO: Final = ("yes", "no")
_CHARSETS: Final = ("auto", "cp437", "latin1", "latin9", "utf8")

_REGISTER: Final = (
    Parameter(
        "profile", "the kind of terminal, from `zahlwerk probe` or the reference; it fills all below", "standard"
    ),
    Parameter("password", "the terminal's merchant password, six digits", "000000"),
    Parameter("currency", "ISO 4217 letters of the terminal's currency", "EUR"),
    Parameter(
        "config", "config byte of the registration, two hexadecimal digits: BE locks the terminal and prints here", "BE"
    ),
    Parameter("language", "language of texts for staff: de, en, fr, it", "en", ("de", "en", "fr", "it")),
    Parameter("width", "characters in a line of the register's printer, 16 to 80", "32"),
    Parameter("charset", "character set of texts", "auto", _CHARSETS),
    Parameter("negotiate", "whether to ask the terminal for that set", "no", _YES_NO),
    Parameter("tlv", "whether to send TLV containers; no for very old terminals", "yes", _YES_NO),
    Parameter("print", "receipts come as blocks (06 D3) or as lines (06 D1)", "blocks", ("blocks", "lines")),
    Parameter("connection", "keep one connection, or make one for each command", "keep", ("keep", "each")),
    Parameter("register", "register on each new connection, or only once", "always", ("always", "once")),
    Parameter("poll", "seconds between status enquiries while idle, 0 for none", "60"),
    Parameter("t3", "seconds to wait for the answer to a command", "5"),
    Parameter("t4", "seconds of silence during a payment, at least 180", "180"),
    Parameter("numbered", "number the messages, so that repeated ones are recognised (tag 1F73)", "no", _YES_NO),
    Parameter("heal", "run the initialisation or diagnosis that the terminal asks for", "yes", _YES_NO),
)
_TERMINAL: Final = (
    Parameter(
        "takeover",
        "listening: a second register takes over once the first is silent, whenever it rests (yes), or never (no)",
        "silent",
        ("silent", "yes", "no"),
    ),
    Parameter(
        "state",
        "listening: file that keeps the latest result over restarts, for 06 20; one for each listener",
    ),
    Parameter(
        "print_receipts",
        "listening: print here the receipts that the register leaves to us; for terminals that only hand them over",
        "no",
        _YES_NO,
    ),
    Parameter("check_password", "listening: refuse registers that give another password", "no", _YES_NO),
)
_TLS: Final = (
    Parameter("tls", "whether the connection is encrypted; set by profiles that need it", "no", _YES_NO),
    Parameter("cafile", "PEM file with the authorities to trust"),
    Parameter("check_hostname", "whether the certificate must name the host", "yes", _YES_NO),
    Parameter("insecure", "1 trusts any certificate; for a first try only", "0", ("0", "1")),
    Parameter("certfile", "PEM file with our certificate"),
    Parameter("keyfile", "PEM file with its key"),
)
_BAUD: Final = (
    Parameter("baud", "bits per second", "9600"),
    Parameter("stopbits", "stop bits; the standard says two", "2", ("1", "2")),
)


def profile_for(url: Url) -> Profile:
    """The profile that an address names, with what it says besides.

    Raises:
        ConfigurationError: a value that cannot be.
    """
    from zahlwerk.interfaces.zvt.profiles import find_profile

    profile = find_profile(url.params.get("profile", "standard"))
    changes: dict[str, object] = {}
    given = url.params
    if "password" in given:
        changes["password"] = _password(given["password"])
    if "config" in given:
        changes["config"] = _hex_byte(given["config"])
    for name, field in (("charset", "charset"), ("connection", "connection"), ("register", "registers")):
        if name in given:
            changes[field] = given[name]
    for name, field in (("negotiate", "negotiates"), ("tlv", "tlv"), ("numbered", "numbered"), ("tls", "tls")):
        if name in given:
            changes[field] = given[name] == "yes"
    if "print" in given:
        changes["blocks"] = given["print"] == "blocks"
    if "width" in given:
        changes["width"] = _number(url, "width", 32, low=16, high=80)
    if "poll" in given:
        changes["poll_s"] = float(_number(url, "poll", 60, low=0, high=86_400))
    timers = profile.timers
    if "t3" in given:
        timers = replace(timers, t3_s=float(_number(url, "t3", 5, low=1, high=60)))
    if "t4" in given:
        timers = replace(timers, t4_s=float(_number(url, "t4", 180, low=180, high=64_800)))
    return replace(profile, timers=timers).but(**changes)


def _driver(
    url: Url, context: Context, profile: Profile, dial: Callable[[], Awaitable[ByteStream]], link: Callable[[], Link]
) -> Terminal:
    from zahlwerk.interfaces.zvt.connection import Connection
    from zahlwerk.interfaces.zvt.driver import ZvtTerminal
    from zahlwerk.money import Currency

    currency = Currency.of(url.params.get("currency", "EUR").upper())
    connection = Connection(dial, link, context, profile, name=str(url), currency_number=currency.number)
    return ZvtTerminal(
        connection,
        context,
        currency=currency,
        language=url.params.get("language", "en"),
        heals=url.params.get("heal", "yes") == "yes",
    )


def _options(url: Url) -> EndpointOptions:
    from zahlwerk.interfaces.zvt.endpoint import EndpointOptions, Takeover

    return EndpointOptions(
        password=_password(url.params.get("password", "000000")),
        check_password=url.params.get("check_password") == "yes",
        takeover=Takeover(url.params.get("takeover", "silent")),
        language=url.params.get("language", "de"),
        currency=_currency(url),
        prints=url.params.get("print_receipts") == "yes",
    )


def _currency(url: Url) -> str:
    """The one that the address names, of registers that name none."""
    from zahlwerk.money import Currency

    return Currency.of(url.params["currency"].upper()).code if "currency" in url.params else ""


def _memory(url: Url) -> Memory | None:
    from pathlib import Path

    from zahlwerk.interfaces.zvt.memory import StateFile

    if "state" not in url.params:
        return None
    if not url.params["state"]:
        raise ConfigurationError("no file in state=", remedy="write ?state=/var/lib/zahlwerk/zvt-state.json")
    return StateFile(Path(url.params["state"]))


# -- TCP


def _tcp_driver(url: Url, context: Context) -> Terminal:
    from zahlwerk.interfaces.zvt.framing import PlainLink

    profile = profile_for(url)
    if "profile" in url.params and url.port == TCP.port:
        url = url.but(port=profile.port)
    host, port = _host_port(url)
    tls = _tls(url) if profile.tls else None

    async def dial() -> ByteStream:
        from zahlwerk.transport.tcp import connect_tcp

        return await connect_tcp(host, port, timeout_s=context.waits.connect_s, tls=tls)

    return _driver(url, context, profile, dial, lambda: PlainLink(profile.timers.t3_s))


def _tcp_endpoint(url: Url, terminal: Terminal, context: Context) -> Endpoint:
    from zahlwerk.interfaces.zvt.endpoint import ZvtEndpoint
    from zahlwerk.interfaces.zvt.framing import PlainLink

    host, port = _host_port(url)
    tls = _tls(url) if url.params.get("tls") == "yes" else None
    if tls is not None and not url.params.get("certfile"):
        raise ConfigurationError("TLS needs a certificate to listen with", remedy="add ?certfile=...&keyfile=...")

    async def start(serve: Serve) -> tuple[Url, Stop]:
        from zahlwerk.transport.tcp import TcpListener

        listener: Listener = TcpListener(host, port, serve, connections_max=CONNECTIONS_MAX, tls=tls)
        actual_host, actual_port = await listener.start()
        return url.but(host=actual_host, port=actual_port), listener.close

    return ZvtEndpoint(terminal, start, PlainLink, context, _options(url), memory=_memory(url))


# LIMIT: one register is served; the others wait for a refusal.
CONNECTIONS_MAX: Final = 256


# -- serial


def _serial_driver(url: Url, context: Context) -> Terminal:
    from zahlwerk.interfaces.zvt.serial_link import SerialLink

    async def dial() -> ByteStream:
        return await open_port(url)

    profile = profile_for(url)
    if "t3" not in url.params:
        profile = profile.but(timers=replace(profile.timers, t3_s=SERIAL_T3_S))
    baud = baud_of(url)
    return _driver(url, context, profile, dial, lambda: SerialLink(baud=baud))


SERIAL_T3_S: Final = 17.0
"""T3 on a serial line: a frame may be sent three times, T2 = 5 s apart (fact sheet 1.3), before its answer can come."""


def _serial_endpoint(url: Url, terminal: Terminal, context: Context) -> Endpoint:
    from zahlwerk.interfaces.zvt.endpoint import ZvtEndpoint
    from zahlwerk.interfaces.zvt.serial_link import SerialLink
    from zahlwerk.interfaces.zvt.serial_port import serve_port

    if terminal.link_faults is not None:
        raise ConfigurationError("faults of single messages need zvt+tcp", remedy="listen on zvt+tcp://")

    async def start(serve: Serve) -> tuple[Url, Stop]:
        return url, await serve_port(lambda: open_port(url), serve, context)

    baud = baud_of(url)
    options = replace(_options(url), t3_s=SERIAL_T3_S)
    return ZvtEndpoint(terminal, start, lambda: SerialLink(baud=baud), context, options, memory=_memory(url))


async def open_port(url: Url) -> ByteStream:
    """The serial port of an address."""
    from zahlwerk.transport.serial import open_serial

    if not url.path:
        raise ConfigurationError("no device in the address", remedy="write zvt+serial:///dev/ttyUSB0")
    return await open_serial(url.path, baud=baud_of(url), stopbits=int(url.params.get("stopbits", "2")))


def baud_of(url: Url) -> int:
    """How fast the serial line is."""
    return _number(url, "baud", 9600, low=300, high=4_000_000)


# -- parameters


def _host_port(url: Url) -> tuple[str, int]:
    if not url.host or url.port is None:
        raise ConfigurationError(f"no host in {url}", remedy=f"write {url.scheme}://192.168.1.20")
    return url.host, url.port


def _number(url: Url, name: str, default: int, *, low: int, high: int) -> int:
    text = url.params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ConfigurationError(f"{name}={text!r}: expected a number from {low} to {high}")
    return int(text)


def _password(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) == 6):
        raise ConfigurationError("the password has six digits", remedy="write ?password=000000")
    return text


def _hex_byte(text: str) -> int:
    try:
        value = int(text, 16)
    except ValueError:
        value = -1
    if not 0 <= value <= 0xFF or len(text) != 2:
        raise ConfigurationError(f"config={text!r}: expected two hexadecimal digits, such as BE")
    return value


def _tls(url: Url) -> TlsOptions:
    from zahlwerk.transport.tls import TlsOptions

    return TlsOptions(
        certfile=url.params.get("certfile") or None,
        keyfile=url.params.get("keyfile") or None,
        cafile=url.params.get("cafile") or None,
        insecure=url.params.get("insecure") == "1",
        check_hostname=url.params.get("check_hostname", "yes") == "yes",
    )


TCP: Final = Interface(
    scheme="zvt+tcp",
    title="ZVT over TCP",
    port=20007,
    example="zvt+tcp://192.168.1.20",
    parameters=_REGISTER + _TERMINAL + _TLS,
    driver=_tcp_driver,
    endpoint=_tcp_endpoint,
)
SERIAL: Final = Interface(
    scheme="zvt+serial",
    title="ZVT over RS-232",
    example="zvt+serial:///dev/ttyUSB0",
    parameters=_REGISTER + _TERMINAL + _BAUD,
    driver=_serial_driver,
    endpoint=_serial_endpoint,
)
