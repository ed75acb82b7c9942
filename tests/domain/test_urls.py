"""Addresses, and finding who speaks them."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zahlwerk.errors import ConfigurationError
from zahlwerk.timeouts import DEFAULT_WAITS
from zahlwerk.urls import Context, Interface, Parameter, Url, connect, find_interface, interfaces, listen

words = st.text("abcXYZ019-_.~ \u00e4\u4e2d&=?#%+/:@", min_size=1, max_size=8)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("virtual:", Url("virtual")),
            ("kit+tcp://10.0.0.5:8307", Url("kit+tcp", "10.0.0.5", 8307)),
            ("kit+tcp://10.0.0.5", Url("kit+tcp", "10.0.0.5")),
            ("kit+tcp://[fe80::1]:8307", Url("kit+tcp", "fe80::1", 8307)),
            ("kit+tcp://[::1]", Url("kit+tcp", "::1")),
            ("kit+serial:///dev/ttyUSB0?baud=9600", Url("kit+serial", "", None, "/dev/ttyUSB0", {"baud": "9600"})),
            ("kit+ws://host:18307/a%20b", Url("kit+ws", "host", 18307, "/a b")),
            ("virtual:?card=visa&x=", Url("virtual", params={"card": "visa", "x": ""})),
            ("kit+tcp://:0", Url("kit+tcp", "", 0)),
            ("gpio://gpiochip0?line=1", Url("gpio", "gpiochip0", params={"line": "1"})),
            ("  virtual:  ", Url("virtual")),
        ],
    )
    def test_an_address_is_read(self, text: str, url: Url) -> None:
        """One form for everything."""

        assert Url.parse(text) == url

    @pytest.mark.parametrize(
        "text",
        ["", "virtual", ":", "://", "Kit+tcp://x", "1kit://x", "kit tcp://x", "//host:1", "kit+tcp://h:65536", "kit+tcp://h:99999", "kit+tcp://h:-1",
         "kit+tcp://h:abc", "kit+tcp://h:", "kit+tcp://fe80::1:8307", "kit+tcp://[fe80::1", "kit+tcp://u:p@h:1", "kit+tcp://u@h", "kit+tcp://h:\u0661",
         "virtual:?a=1&a=2", "kit+tcp://a b"],
    )  # fmt: skip
    def test_what_is_no_address_is_refused(self, text: str) -> None:
        """With what one looks like; never with a default."""

        with pytest.raises(ConfigurationError) as caught:
            Url.parse(text)
        assert caught.value.remedy

    def test_a_parameter_given_twice_is_named(self) -> None:
        """Neither wins."""

        with pytest.raises(ConfigurationError, match="parameter 'card' is given twice"):
            Url.parse("virtual:?card=a&card=b")

    @given(st.text(max_size=60))
    def test_any_text_is_an_address_or_refused(self, text: str) -> None:
        """Total; and what is read is written back the same."""
        try:
            url = Url.parse(text)
        except ConfigurationError:
            return

        assert Url.parse(url._text(url.params)) == url


class TestWriting:
    @given(
        st.sampled_from(["virtual", "kit+tcp", "a.b-c"]),
        st.sampled_from(["", "host", "10.0.0.5", "::1", "fe80::1"]),
        st.none() | st.integers(0, 65535),
        st.sampled_from(["", "/dev/ttyUSB0", "/a b", "/\u00e4?#%"]),
        st.dictionaries(words, words, max_size=3),
    )
    def test_what_is_written_reads_back_the_same(
        self, scheme: str, host: str, port: int | None, path: str, params: dict[str, str]
    ) -> None:
        """With every odd character in path and parameters."""
        secret = {"password", "keyfile", "token", "pin"}
        url = Url(scheme, host, port, path, {key: value for key, value in params.items() if key not in secret})

        assert Url.parse(str(url)) == url

    @pytest.mark.parametrize("name", ["password", "keyfile", "token", "pin"])
    def test_secrets_are_starred(self, name: str) -> None:
        """In every text; the value itself is kept for the driver."""
        url = Url.parse(f"zvt+tcp://h:20007?{name}=482913&x=1")

        assert str(url) == f"zvt+tcp://h:20007?{name}=***&x=1"
        assert url.params[name] == "482913"

    @pytest.mark.parametrize(
        ("host", "loopback"),
        [
            ("localhost", True),
            ("127.0.0.1", True),
            ("127.9.9.9", True),
            ("::1", True),
            ("0.0.0.0", False),
            ("", False),
            ("::", False),
            ("shop.local", False),
        ],
    )
    def test_loopback_is_recognised(self, host: str, loopback: bool) -> None:
        """What is not surely this machine is not."""

        assert Url("kit+tcp", host).is_loopback is loopback

    def test_host_and_port_can_be_exchanged(self) -> None:
        """The rest stays."""
        url = Url.parse("kit+tcp://h:0/p?a=1")

        assert url.but(port=8307) == Url("kit+tcp", "h", 8307, "/p", {"a": "1"})
        assert url.but(host="::1").host == "::1"


PLUGIN = """
from zahlwerk.urls import Interface, Parameter

MADE = []

def driver(url, context):
    MADE.append(("driver", str(url)))
    return "a terminal"

def endpoint(url, terminal, context):
    MADE.append(("endpoint", str(url)))
    return "an endpoint"

{interface}
"""


def _install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, interface: str) -> None:
    """A distribution as pip would have installed it."""
    module = scheme.replace("+", "_") + "_plugin"
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(PLUGIN).format(interface=interface))
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[zahlwerk.interfaces]\n{scheme} = {module}:IT\n")
    monkeypatch.syspath_prepend(tmp_path)


class TestFinding:
    def test_an_unknown_scheme_names_the_known_ones(self) -> None:
        """What to write instead."""

        with pytest.raises(ConfigurationError, match="no interface is called 'kot\\+tcp'") as caught:
            connect("kot+tcp://h:1")
        assert "kit+tcp" in caught.value.remedy
        assert "virtual" in caught.value.remedy

    def test_a_third_party_can_add_an_interface(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Found by its entry point, with its own port and parameters."""
        text = "IT = Interface(scheme='acme+tcp', title='Acme', driver=driver, endpoint=endpoint, port=4711, parameters=(Parameter('speed', 'how fast', choices=('slow', 'fast')),))"
        _install(tmp_path, monkeypatch, "acme+tcp", text)

        assert find_interface("acme+tcp").title == "Acme"
        assert connect("acme+tcp://h?speed=fast") == "a terminal"  # type: ignore[comparison-overlap]  # the plugin's stand-in
        listen("acme+tcp://h:1", "a terminal")  # type: ignore[arg-type]  # the plugin's stand-in
        assert sys.modules["acme_tcp_plugin"].MADE == [
            ("driver", "acme+tcp://h:4711?speed=fast"),
            ("endpoint", "acme+tcp://h:1"),
        ]
        with pytest.raises(ConfigurationError, match="speed"):
            connect("acme+tcp://h?speed=faster")
        with pytest.raises(ConfigurationError, match="sped"):
            connect("acme+tcp://h?sped=fast")

    def test_what_is_no_interface_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An entry point can point anywhere."""
        _install(tmp_path, monkeypatch, "wrong", "IT = 5")

        with pytest.raises(ConfigurationError, match=r"'wrong'.*is not an Interface"):
            find_interface("wrong")
        interfaces.cache_clear()
        try:
            with pytest.raises(ConfigurationError, match="is not an Interface"):
                interfaces()
        finally:
            interfaces.cache_clear()

    def test_an_interface_may_lack_a_side(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Machines have no driver, the virtual terminal no endpoint."""
        _install(tmp_path, monkeypatch, "onesided", "IT = Interface(scheme='onesided', title='Neither')")

        with pytest.raises(ConfigurationError, match="Neither has no driver"):
            connect("onesided:")
        with pytest.raises(ConfigurationError, match="Neither cannot be listened on"):
            listen("onesided:", "a terminal")  # type: ignore[arg-type]  # never reached


def test_a_context_needs_nothing() -> None:
    """Real time, the usual waits, no trace, no seed."""
    context = Context()

    assert context.waits is DEFAULT_WAITS
    assert (context.trace, context.seed) == (None, None)
    assert context.clock.wall().tzinfo is not None


def test_an_interface_fills_in_its_port() -> None:
    """Unless one is given."""
    interface = Interface(scheme="x", title="X", port=5, parameters=(Parameter("a", "anything"),))

    assert interface.check(Url("x", "h")).port == 5
    assert interface.check(Url("x", "h", 6)).port == 6
