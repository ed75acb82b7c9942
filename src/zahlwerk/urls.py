"""Addresses of terminals and listeners: one URL form, and the registry of what can be spoken.

`kit+tcp://10.0.0.5:8307`, `kit+serial:///dev/ttyUSB0`, `virtual:?card=visa`. The scheme is looked up in the
`zahlwerk.interfaces` entry-point group, so that a third party can add one; a URL's parameters are checked against the
interface's own table, so that a slip of the pen is an error and not a default.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from zahlwerk.clock import Clock, SystemClock
from zahlwerk.errors import ConfigurationError
from zahlwerk.timeouts import DEFAULT_WAITS, Waits

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import TracebackType

    from zahlwerk.terminal import Terminal

__all__ = [
    "GROUP",
    "Context",
    "Endpoint",
    "Interface",
    "Parameter",
    "TraceSink",
    "Url",
    "connect",
    "find_interface",
    "interfaces",
    "listen",
]

GROUP: Final = "zahlwerk.interfaces"
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.\-]*\Z")
_SECRET: Final = frozenset({"password", "keyfile", "token", "pin"})


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed address. `params` are text; `Interface.parameters` says what they mean."""

    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Url:
        """Read an address.

        Raises:
            ConfigurationError: not a URL: what is wrong, and what one looks like.
        """
        scheme, colon, rest = text.strip().partition(":")
        if not colon or not _SCHEME.match(scheme):
            raise ConfigurationError(
                f"not an address: {text[:64]!r}",
                remedy="write an address such as kit+tcp://192.168.1.20:8307, kit+serial:///dev/ttyUSB0 or virtual:",
            )
        from urllib.parse import unquote

        rest, _, query = rest.partition("?")
        authority, path = "", rest
        if rest.startswith("//"):
            authority, slash, path = rest[2:].partition("/")
            path = slash + path
        host, port = _split_authority(authority, text)
        params = dict(_params(query, text))
        return cls(scheme, host, port, unquote(path), params)

    def __str__(self) -> str:
        """The address, with secrets starred out."""
        return self._text({key: "***" if key in _SECRET else value for key, value in self.params.items()})

    def _text(self, params: Mapping[str, str]) -> str:
        from urllib.parse import quote, urlencode

        host = f"[{self.host}]" if ":" in self.host else self.host
        authority = host + (f":{self.port}" if self.port is not None else "")
        slashes = "//" if authority or self.path.startswith("/") else ""
        query = f"?{urlencode(params, safe='*/:', quote_via=quote)}" if params else ""
        return f"{self.scheme}:{slashes}{authority}{quote(self.path)}{query}"

    def but(self, *, host: str | None = None, port: int | None = None) -> Url:
        """The same address at another host or port."""
        return replace(self, host=self.host if host is None else host, port=self.port if port is None else port)

    @property
    def is_loopback(self) -> bool:
        """True if the host is this machine's own loopback address."""
        if self.host == "localhost":
            return True
        import ipaddress

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that an interface's URLs understand."""

    name: str
    meaning: str
    default: str = ""
    choices: tuple[str, ...] = ()


class TraceSink(ABC):
    """Where a shell reports the conversation it carries. What arrives here is already free of card data."""

    @abstractmethod
    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        """A connection was made; `link` numbers it. Addresses are `host:port` or a device path."""

    @abstractmethod
    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:
        """One message went out or came in: its bytes, and what they mean (JSON-like, or None)."""

    @abstractmethod
    def closed(self, link: int, *, why: str) -> None:
        """The connection ended."""

    @abstractmethod
    def new_link(self) -> int:
        """A number for the next connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a driver or endpoint is given besides its address."""

    clock: Clock = field(default_factory=SystemClock)
    waits: Waits = DEFAULT_WAITS
    trace: TraceSink | None = None
    seed: int | None = None
    """Seed of every random choice; None for the system's own randomness."""


class Endpoint(ABC):
    """A listener that lets registers or machines use a `Terminal`."""

    @abstractmethod
    async def start(self) -> Url:
        """Begin to listen; the actual address, with the port that was got.

        Raises:
            LinkUnavailable: the port is in use, the device is missing.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop listening, hang up, and bring a running payment to a safe end. Idempotent."""

    async def __aenter__(self) -> Endpoint:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What stands behind a scheme."""

    scheme: str
    title: str
    """For people: `KIT JSON over TCP`."""
    port: int | None = None
    """The default port."""
    example: str = ""
    parameters: tuple[Parameter, ...] = ()
    driver: Callable[[Url, Context], Terminal] | None = None
    """Makes a `Terminal` that speaks to the address; None where we cannot be the register."""
    endpoint: Callable[[Url, Terminal, Context], Endpoint] | None = None
    """Makes a listener at the address; None where we cannot be the terminal."""

    def check(self, url: Url) -> Url:
        """The address with the default port filled in.

        Raises:
            ConfigurationError: a parameter that the interface does not know, or a value that is none of its choices.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in url.params.items():
            parameter = known.get(name)
            if parameter is None:
                raise ConfigurationError(
                    f"{self.scheme} has no parameter {name!r}",
                    remedy=f"it knows {', '.join(sorted(known))}" if known else "it has none",
                )
            if parameter.choices and value not in parameter.choices:
                raise ConfigurationError(f"{name}={value!r}: expected one of {', '.join(parameter.choices)}")
        return url.but(port=self.port) if url.port is None and self.port is not None else url


@cache
def interfaces() -> Mapping[str, Interface]:
    """Every interface that is installed, by scheme.

    Raises:
        ConfigurationError: an entry point does not load.
    """
    found: dict[str, Interface] = {}
    for entry in _entry_points():
        loaded = entry.load()
        if not isinstance(loaded, Interface):
            raise ConfigurationError(f"entry point {entry.name!r} of {GROUP} is not an Interface")
        found[entry.name] = loaded
    return found


def find_interface(scheme: str) -> Interface:
    """The interface of a scheme. Loads only that one.

    Raises:
        ConfigurationError: nobody speaks it here; names those that are.
    """
    entries = {entry.name: entry for entry in _entry_points()}
    if scheme not in entries:
        raise ConfigurationError(
            f"no interface is called {scheme!r}", remedy=f"use one of: {', '.join(sorted(entries))}"
        )
    loaded = entries[scheme].load()
    if not isinstance(loaded, Interface):
        raise ConfigurationError(f"entry point {scheme!r} of {GROUP} is not an Interface")
    return loaded


def _entry_points() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # here, because it costs a quarter of the import of this package

    return entry_points(group=GROUP)


def connect(address: str | Url, context: Context | None = None) -> Terminal:
    """The terminal at an address, not yet opened: `async with connect("virtual:") as terminal`.

    Raises:
        ConfigurationError: not an address, nobody speaks it, or a parameter is wrong.
    """
    url = Url.parse(address) if isinstance(address, str) else address
    interface = find_interface(url.scheme)
    if interface.driver is None:
        raise ConfigurationError(f"{interface.title} has no driver: it can only be listened on")
    return interface.driver(interface.check(url), context or Context())


def listen(address: str | Url, terminal: Terminal, context: Context | None = None) -> Endpoint:
    """A listener at an address for a terminal, not yet started.

    Raises:
        ConfigurationError: not an address, nobody speaks it, or a parameter is wrong.
    """
    url = Url.parse(address) if isinstance(address, str) else address
    interface = find_interface(url.scheme)
    if interface.endpoint is None:
        raise ConfigurationError(f"{interface.title} cannot be listened on: it is a terminal, not a register")
    return interface.endpoint(interface.check(url), terminal, context or Context())


def _split_authority(authority: str, text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]@\s]*))(?::(?P<port>[0-9]{1,5}))?", authority)
    if found is None:
        raise ConfigurationError(
            f"not a host and port: {authority!r} in {text[:64]!r}", remedy="write host:port, such as 192.168.1.20:8307"
        )
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > 65535:
        raise ConfigurationError(f"a port is at most 65535, got {port}")
    return found["six"] or found["host"] or "", port


def _params(query: str, text: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ConfigurationError(f"parameter {sorted(doubled)[0]!r} is given twice in {text[:64]!r}")
    return pairs
