"""`zahlwerk bridge --explain`: what of a terminal does not get through an interface.

Nothing is taken from a list: where the interface can be spoken both ways over a network, a register of ours is
connected to a listener of ours on the loopback address, and what it is told is compared with the terminal's own word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from zahlwerk.cli.exits import ExitCode
from zahlwerk.cli.session import Job
from zahlwerk.terminal import Capabilities, Terminal
from zahlwerk.urls import Interface, Url, connect, find_interface, listen

__all__ = ["explain_losses"]


async def explain_losses(job: Job, listeners: Iterable[Url], terminal: Url) -> ExitCode:
    """Tell it for each listener. The terminal is asked, never changed; only a virtual one gets its shift opened."""
    async with connect(terminal) as behind:
        if terminal.scheme == "virtual":
            await behind.open_shift()
        own = behind.capabilities
        _tell(job, f"The terminal {terminal} can:", "terminal", str(terminal), own)
        if not own.kinds:
            job.out.say("  (its payments are told once its shift is open)", "dim")
        for url in listeners:
            interface = find_interface(url.scheme)
            through = await _through(interface, behind)
            if through is None:
                job.out.event("loss", listener=str(url), measured=False)
                job.out.say(f"\n{interface.title}: cannot be tried out without a device; see its page in the docs.")
                continue
            lost = replace(own, kinds=own.kinds - through.kinds, features=own.features - through.features)
            job.out.event(
                "loss",
                listener=str(url),
                measured=True,
                # Before its shift is open, a terminal may not tell which payments it takes.
                kinds=sorted(kind.value for kind in lost.kinds) if own.kinds else None,
                features=sorted(feature.name.lower() for feature in lost.features),
            )
            _tell_lost(job, interface, lost, kinds_told=bool(own.kinds))
    return ExitCode.DONE


async def _through(interface: Interface, behind: Terminal) -> Capabilities | None:
    """What a register hears of the terminal through this interface; None where it cannot be tried."""
    # A serial line carries the same messages as the network does.
    plain_scheme = interface.scheme.replace("wss", "ws").replace("+serial", "+tcp")
    if plain_scheme != interface.scheme:
        interface = find_interface(plain_scheme)
    if interface.port is None or interface.driver is None or interface.endpoint is None:
        return None
    endpoint = listen(Url(plain_scheme, "127.0.0.1", 0), behind)
    try:
        async with connect(await endpoint.start()) as register:
            return register.capabilities
    finally:
        await endpoint.close()


def _tell(job: Job, title: str, event: str, url: str, capabilities: Capabilities) -> None:
    kinds = sorted(kind.value for kind in capabilities.kinds)
    job.out.event(event, url=url, kinds=kinds, features=sorted(one.name.lower() for one in capabilities.features))
    job.out.say(title, "bold")
    job.out.say(f"  payments: {', '.join(kinds) or 'not told'}")
    for feature in sorted(capabilities.features, key=lambda one: one.value):
        job.out.say(f"  · {feature.value}")


def _tell_lost(job: Job, interface: Interface, lost: Capabilities, *, kinds_told: bool) -> None:
    job.out.say(f"\nThrough {interface.title}:", "bold")
    if not kinds_told:
        job.out.say("  which payments get lost can be told once the shift is open", "dim")
    elif not lost.kinds and not lost.features:
        job.out.say("  nothing is lost", "green")
    if lost.kinds:
        job.out.say(f"  lost payments: {', '.join(sorted(one.value for one in lost.kinds))}", "yellow")
    for value in sorted(feature.value for feature in lost.features):
        job.out.say(f"  lost: it cannot be asked to {value}", "yellow")
