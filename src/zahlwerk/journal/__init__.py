"""The journal: every payment exactly once, through crashes and lost links.

`Journal.open("journal.db")` opens the book; `journal.wrap(terminal, name="till-1")` gives a `Terminal` whose every step
is durable before it is taken. Policy, not protocol: what a terminal is asked, its driver knows; here stands what is
written when, what may be repeated, and what must be found out first.
"""

from zahlwerk.journal.journal import Journal
from zahlwerk.journal.terminal import JournaledTerminal

__all__ = ["Journal", "JournaledTerminal"]
