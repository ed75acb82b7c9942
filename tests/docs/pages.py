"""What the tests of the documentation read: the pages, and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Block", "blocks", "name_of", "pages", "prose"]

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; `output` is what an `output` block directly beneath it says, None without one."""

    page: Path
    line: int
    language: str
    text: str
    output: str | None


def pages() -> list[Path]:
    """Every Markdown page at the root and under docs/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(path: Path) -> str:
    """A page for people."""
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    result = []
    for number, block in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else None
        directly = after is not None and after[1] == "output" and not text[block.end() : after.start()].strip()
        line = text.count("\n", 0, block.start()) + 1
        result.append(Block(page, line, block[1], block[2], after[2] if after is not None and directly else None))
    return result


def prose(page: Path) -> str:
    """A page without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text(encoding="utf-8")))
