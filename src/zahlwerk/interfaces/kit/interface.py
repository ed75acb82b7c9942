"""What the URL schemes `kit+tcp`, `kit+serial`, `kit+ws` and `kit+wss` mean. Looked up by `zahlwerk.urls`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import ConfigurationError
from zahlwerk.interfaces.kit.framing import Link, PlainLink
from zahlwerk.urls import Context, Endpoint, Interface, Parameter, Url

if TYPE_CHECKING:
    from zahlwerk.interfaces.kit.endpoint import Serve, Stop
    from zahlwerk.terminal import Terminal
    from zahlwerk.transport.stream import ByteStream, Listener
    from zahlwerk.transport.tls import TlsOptions

__all__ = ["SERIAL", "TCP", "WEBSOCKET", "WEBSOCKET_TLS"]

_YES_NO: Final = ("yes", "no")

_REGISTER: Final = (
    Parameter(
        "language",
        "language of the terminal's display for our session: de, en, fr, it",
        "",
        ("", "de", "en", "fr", "it"),
    ),
    Parameter("width", "characters in a line of a receipt, 20 to 80", "34"),
    Parameter("posid", "name or number of the register, shown in the terminal's logs"),
    Parameter("tasks", "whether the terminal may run its scheduled tasks meanwhile", "yes", _YES_NO),
    Parameter("display", "whether the terminal tells what its display shows", "yes", _YES_NO),
    Parameter("reconnect", "whether a lost connection is made again by itself", "yes", _YES_NO),
)
_TERMINAL: Final = (
    Parameter(
        "takeover",
        "listening: a second register takes over once the first is silent, whenever it rests (yes), or never (no)",
        "silent",
        ("silent", "yes", "no"),
    ),
)
_TLS: Final = (
    Parameter(
        "cafile", "PEM file with the authorities to trust; for PayTec devices their «Root CA» (KIT fact sheet 1.3)"
    ),
    Parameter("check_hostname", "whether the certificate must name the host", "yes", _YES_NO),
    Parameter("insecure", "1 trusts any certificate; for a first try only", "0", ("0", "1")),
    Parameter("certfile", "listening: PEM file with our certificate"),
    Parameter("keyfile", "listening: PEM file with its key"),
)


def _plain() -> Link:
    return PlainLink()


def _driver(
    url: Url, context: Context, dial: Callable[[], Awaitable[ByteStream]], link: Link, transport: str
) -> Terminal:
    from zahlwerk.interfaces.kit.connection import Connection
    from zahlwerk.interfaces.kit.driver import KitTerminal
    from zahlwerk.interfaces.kit.register import Options, RegisterSide

    width = _number(url, "width", 34, low=20, high=80)
    companions = {} if not transport else {"POSInterface": "KIT", "POSInterfaceTransport": transport}
    options = Options(
        language=url.params.get("language", ""),
        printer_width=width,
        suppress_scheduled_tasks=url.params.get("tasks") == "no",
        use_external_display=url.params.get("display", "yes") == "yes",
        pos_id=url.params.get("posid", ""),
        companions=companions,
    )
    side = RegisterSide(options, waits=context.waits)
    reconnect = url.params.get("reconnect", "yes") == "yes"
    connection = Connection(dial, link, side, context, name=str(url), reconnect=reconnect)
    return KitTerminal(connection, context, interface="KIT JSON")


def _endpoint(
    url: Url,
    terminal: Terminal,
    context: Context,
    make_listener: Callable[[Serve], Listener],
    make_link: Callable[[], Link],
) -> Endpoint:
    from zahlwerk.interfaces.kit.endpoint import KitEndpoint, Takeover

    async def start(serve: Serve) -> tuple[Url, Stop]:
        listener = make_listener(serve)
        host, port = await listener.start()
        return url.but(host=host, port=port), listener.close

    return KitEndpoint(terminal, start, make_link, context, takeover=Takeover(url.params.get("takeover", "silent")))


# -- TCP


def _tcp_driver(url: Url, context: Context) -> Terminal:
    host, port = _host_port(url)

    async def dial() -> ByteStream:
        from zahlwerk.transport.tcp import connect_tcp

        return await connect_tcp(host, port, timeout_s=context.waits.connect_s)

    return _driver(url, context, dial, PlainLink(), "")


def _tcp_endpoint(url: Url, terminal: Terminal, context: Context) -> Endpoint:
    host, port = _host_port(url)

    def make(serve: Serve) -> Listener:
        from zahlwerk.transport.tcp import TcpListener

        return TcpListener(host, port, serve, connections_max=CONNECTIONS_MAX)

    return _endpoint(url, terminal, context, make, _plain)


# -- serial


def _serial_driver(url: Url, context: Context) -> Terminal:
    from zahlwerk.interfaces.kit.serial_link import SerialLink

    async def dial() -> ByteStream:
        return await _open_port(url)

    return _driver(url, context, dial, SerialLink("register"), "")


def _serial_endpoint(url: Url, terminal: Terminal, context: Context) -> Endpoint:
    from zahlwerk.interfaces.kit.endpoint import KitEndpoint
    from zahlwerk.interfaces.kit.serial_link import SerialLink
    from zahlwerk.interfaces.kit.serial_port import serve_port

    if terminal.link_faults is not None:
        raise ConfigurationError("faults of single messages need kit+tcp or kit+ws", remedy="listen on kit+tcp://")

    async def start(serve: Serve) -> tuple[Url, Stop]:
        return url, await serve_port(lambda: _open_port(url), serve, context)

    return KitEndpoint(terminal, start, lambda: SerialLink("terminal"), context)


async def _open_port(url: Url) -> ByteStream:
    from zahlwerk.transport.serial import open_serial

    if not url.path:
        raise ConfigurationError("no device in the address", remedy="write kit+serial:///dev/ttyUSB0")
    return await open_serial(url.path, baud=_number(url, "baud", 115200, low=300, high=4_000_000))


# -- WebSocket


def _websocket_driver(url: Url, context: Context) -> Terminal:
    host, port = _host_port(url)
    tls = _tls(url) if url.scheme == "kit+wss" else None
    where = f"[{host}]" if ":" in host else host
    address = f"{'wss' if tls is not None else 'ws'}://{where}:{port}{url.path or '/'}"

    async def dial() -> ByteStream:
        from zahlwerk.transport.websocket import connect_websocket

        return await connect_websocket(address, timeout_s=context.waits.connect_s, tls=tls)

    # 28307 is the bridge to a serial line (1.1).
    return _driver(url, context, dial, PlainLink(), "Serial" if port == SERIAL_BRIDGE_PORT else "Local")


def _websocket_endpoint(url: Url, terminal: Terminal, context: Context) -> Endpoint:
    host, port = _host_port(url)
    tls = _tls(url) if url.scheme == "kit+wss" else None
    if tls is not None and not url.params.get("certfile"):
        raise ConfigurationError("kit+wss needs a certificate to listen with", remedy="add ?certfile=...&keyfile=...")

    def make(serve: Serve) -> Listener:
        from zahlwerk.transport.websocket import WebSocketListener

        return WebSocketListener(host, port, serve, tls=tls, connections_max=CONNECTIONS_MAX)

    return _endpoint(url, terminal, context, make, _plain)


SERIAL_BRIDGE_PORT: Final = 28307
# LIMIT: twice what may wait at the gate (endpoint.WAITING_MAX), so that a newcomer always gets in.
CONNECTIONS_MAX: Final = 256


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
    scheme="kit+tcp",
    title="KIT JSON over TCP",
    port=8307,
    example="kit+tcp://192.168.1.20",
    parameters=_REGISTER + _TERMINAL,
    driver=_tcp_driver,
    endpoint=_tcp_endpoint,
)
SERIAL: Final = Interface(
    scheme="kit+serial",
    title="KIT JSON over RS232",
    example="kit+serial:///dev/ttyUSB0",
    parameters=(*_REGISTER, Parameter("baud", "bits per second", "115200")),
    driver=_serial_driver,
    endpoint=_serial_endpoint,
)
WEBSOCKET: Final = Interface(
    scheme="kit+ws",
    title="KIT JSON over WebSocket",
    port=18307,
    example="kit+ws://localhost",
    parameters=_REGISTER + _TERMINAL,
    driver=_websocket_driver,
    endpoint=_websocket_endpoint,
)
WEBSOCKET_TLS: Final = Interface(
    scheme="kit+wss",
    title="KIT JSON over WebSocket with TLS",
    port=18443,
    example="kit+wss://192.168.1.20?cafile=paytec.pem",
    parameters=_REGISTER + _TERMINAL + _TLS,
    driver=_websocket_driver,
    endpoint=_websocket_endpoint,
)
