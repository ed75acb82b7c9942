"""What was said on the link, and whether PayTec's schema allows it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from zahlwerk.urls import TraceSink

# Written beside the message, not inside: the schema knows nothing of them (KIT fact sheet, P-01).
LONGEST_S = 15.0
COMPANIONS = frozenset({"POSInterface", "POSInterfaceTransport"})


class Conversation(TraceSink):
    """Every message of every connection, as the endpoint saw it. `sent` is what the terminal said."""

    def __init__(self) -> None:
        self.messages: list[tuple[bool, str, Mapping[str, Any]]] = []
        self.links_closed: list[str] = []
        self._links = 0
        self._news = asyncio.Event()

    def new_link(self) -> int:
        self._links += 1
        return self._links

    def opened(self, link: int, *, protocol: str, local: str, peer: str) -> None:
        pass

    def message(self, link: int, *, sent: bool, raw: bytes, decoded: object, note: str = "") -> None:
        whole = decoded if isinstance(decoded, Mapping) else {}
        body = {key: value for key, value in whole.items() if key not in COMPANIONS}
        name = next(iter(body), "")
        self.messages.append((sent, name, {name: body.get(name)}))
        self._news.set()

    def closed(self, link: int, *, why: str) -> None:
        self.links_closed.append(why)
        self._news.set()

    @property
    def links(self) -> int:
        """How many connections there were."""
        return self._links

    def count(self, *, sent: bool) -> Counter[str]:
        """How often each message was sent by the terminal, or by PayTec's program."""
        return Counter(name for was_sent, name, _ in self.messages if was_sent is sent)

    def bodies(self, name: str) -> list[Any]:
        """What stood in the messages of this name."""
        return [message[name] for _, found, message in self.messages if found == name]

    async def until(self, condition: Callable[[Conversation], bool]) -> None:
        """Wait until the conversation has come so far."""
        async with asyncio.timeout(LONGEST_S):
            while not condition(self):
                self._news.clear()
                await self._news.wait()

    def against_schema(self, schema: Path, *, sent: bool) -> list[str]:
        """What is wrong with the messages of one side; empty if PayTec's schema allows all of them."""
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text("utf-8")))
        return [
            f"{name}: {error.message}"
            for was_sent, name, message in self.messages
            if was_sent is sent
            for error in validator.iter_errors(message)
        ]
