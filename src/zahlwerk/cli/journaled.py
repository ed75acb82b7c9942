"""Commands with a journal around their terminal: where it is kept, what the terminal is called in it, what it knows."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from zahlwerk.errors import TerminalError
from zahlwerk.payment import Payment, PaymentRequest
from zahlwerk.urls import Url, find_interface

if TYPE_CHECKING:
    from zahlwerk.cli.session import Access, Job
    from zahlwerk.journal import Journal

__all__ = [
    "ACTOR",
    "JOURNAL_DEFAULT",
    "journal_of",
    "payment_before",
    "settled_payment",
    "shown_address",
    "terminal_name",
    "words_of",
]

JOURNAL_DEFAULT: Final = "zahlwerk-journal.db"
"""Where `zahlwerk journal` looks if nobody says otherwise."""
ACTOR: Final = "command line"
# LIMIT: what a journal takes as the name of a terminal.
NAME_MAX: Final = 64
_SECRETS: Final = re.compile(r"(?<=://)([^/@:]*):[^/@]*@|((?:^|[?&])(?:password|sslpassword|passfile)=)[^&]*")


def terminal_name(address: str) -> str:
    """What a terminal is called if nobody names it: its address with the port, without what stands behind `?`.

    Parameters say how to speak to it (and hold its password), not which one it is.

    Raises:
        ConfigurationError: not an address.
    """
    url = Url.parse(address)
    with contextlib.suppress(TerminalError):  # what is wrong with it is told when it is dialled
        url = find_interface(url.scheme).check(url)
    name = str(Url(url.scheme, url.host.lower(), url.port, url.path))
    if len(name) <= NAME_MAX:
        return name
    return f"{name[:51]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def shown_address(address: str) -> str:
    """The address of a journal, with passwords starred out."""
    return _SECRETS.sub(lambda found: f"{found[2]}***" if found[2] else f"{found[1]}:***@", address)


def words_of(access: Access) -> tuple[str, ...]:
    """The options that lead another command to the same journal."""
    if not access.journal:
        return ()
    words = ("--journal", shown_address(access.journal))
    return (*words, "--terminal-name", access.name) if access.name else words


@contextlib.asynccontextmanager
async def journal_of(
    job: Job, access: Access, *, name: str = "zahlwerk", actor: str = ACTOR
) -> AsyncIterator[Journal | None]:
    """The journal that a command was told to use, open to write; None if it was told none.

    Args:
        job: whose output.
        access: has its address.
        name: what this process is called when a second one is refused.
        actor: who writes.
    """
    if not access.journal:
        yield None
        return
    from zahlwerk.journal import Journal

    journal = await Journal.open(access.journal, name=name, actor=actor)
    try:
        yield journal
    finally:
        trouble = journal.trouble
        await journal.close()
        if trouble:
            job.out.warn(f"the journal {shown_address(access.journal)} could not be written: {trouble}")


async def settled_payment(journal: Journal, reference: str) -> Payment | None:
    """The payment of this reference, if the journal knows what became of it."""
    from zahlwerk.journal.terminal import payment_of

    record = await journal.find(reference) if reference else None
    return payment_of(record) if record is not None and not record.is_unsettled else None


async def payment_before(journal: Journal, request: PaymentRequest) -> Payment | None:
    """What became of the same request before; None if it was never made, never began, or nobody knows yet.

    Raises:
        ReferenceReused: another request under its reference.
        CardDataRefused: it holds card data.
    """
    from zahlwerk.journal.encoding import refuse_card_data_of
    from zahlwerk.journal.records import must_be_same

    refuse_card_data_of(request)
    record = await journal.find(request.reference)
    if record is None:
        return None
    must_be_same(record, request)
    return None if record.may_be_tried_again else await settled_payment(journal, request.reference)
