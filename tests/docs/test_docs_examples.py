"""What the documentation shows runs, and prints what the documentation says."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks, name_of, pages

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
STARTS = ("asyncio.run(", "simulate(")
PROGRAMS = [
    block
    for page in pages()
    for block in blocks(page)
    if block.language == "python" and any(start in block.text for start in STARTS)
]
LIMIT_S = 60


def _without_docstring(text: str) -> str:
    tree = ast.parse(text)
    if ast.get_docstring(tree) is None:
        return text.strip()
    return "\n".join(text.splitlines()[tree.body[0].end_lineno :]).strip()


@cache
def _runs() -> dict[str, tuple[int, str, str]]:
    """Exit code, output and errors of every program, by its text; all at once, since they mostly wait for each other."""
    texts = {_without_docstring(text) for text in (*(block.text for block in PROGRAMS), *map(_read, EXAMPLES))}
    started = {
        text: subprocess.Popen(
            [sys.executable, "-W", "error", "-c", text],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=ROOT / "examples",
        )
        for text in texts
    }
    results = {}
    try:
        for text, process in started.items():
            out, err = process.communicate(timeout=LIMIT_S)
            results[text] = (process.returncode, out, err)
    finally:
        for process in started.values():
            if process.poll() is None:
                process.kill()
                process.communicate()
    return results


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _ids(value: object) -> str:
    return f"{name_of(value.page)}:{value.line}" if isinstance(value, Block) else name_of(Path(str(value)))


@pytest.mark.parametrize("block", PROGRAMS, ids=_ids)
def test_a_program_in_the_documentation_runs_and_prints_what_stands_beneath_it(block: Block) -> None:
    code, out, err = _runs()[_without_docstring(block.text)]
    assert code == 0, err
    if block.output is not None:
        assert out == block.output


@pytest.mark.parametrize("path", EXAMPLES, ids=_ids)
def test_an_example_runs_to_its_end(path: Path) -> None:
    code, out, err = _runs()[_without_docstring(_read(path))]
    assert code == 0, err
    assert out


@pytest.mark.parametrize("name", ["README.md", "README.de.md"])
def test_the_first_payment_of_the_readme_is_the_first_example(name: str) -> None:
    shown = [block.text.strip() for block in PROGRAMS if block.page == ROOT / name]
    assert shown == [_without_docstring(_read(ROOT / "examples" / "first_payment.py"))]
