"""The documents: examples run as printed, links lead somewhere, the reference is what the tables say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

_BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```output\n(?P<output>.*?)```)?", re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def runnable(page: Path) -> list[re.Match[str]]:
    return [found for found in _BLOCK.finditer(page.read_text("utf-8")) if "asyncio.run(" in found["code"]]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_examples_in_a_page_run_and_print_what_the_page_shows(page: Path) -> None:
    for found in runnable(page):
        output = run(found["code"])
        assert found["output"] is None or output == found["output"]


def test_the_readme_has_an_example_of_at_most_twelve_lines_of_code() -> None:
    """The same as examples/first_payment.py."""
    [found] = runnable(ROOT / "README.md")
    code = (ROOT / "examples" / "first_payment.py").read_text("utf-8")

    assert code.partition('"""\n\n')[2] == found["code"]
    assert len([line for line in found["code"].splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_runs(example: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    targets = [found["target"] for found in _LINK.finditer(page.read_text("utf-8"))]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_reference_is_what_the_tables_say() -> None:
    """Run scripts/docs after a change of a table."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
