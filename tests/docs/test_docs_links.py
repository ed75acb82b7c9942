"""Links lead somewhere, and no page knows the machine it was written on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.docs.pages import ROOT, name_of, pages, prose

LINK = re.compile(r"\]\(<?([^)\s>]+)>?[^)]*\)")
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.\-]*:|#", re.IGNORECASE)
MACHINE = re.compile(r"(?<![\w.])/(?:work|tmp|home|root|Users|mnt)/|\b[A-Z]:\\")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_relative_link_leads_to_something_in_the_project(page: Path) -> None:
    targets = [target for target in LINK.findall(prose(page)) if not ABSOLUTE.match(target)]
    paths = {target: (page.parent / unquote(target.partition("#")[0])).resolve() for target in targets}
    dead = [target for target, path in paths.items() if not (path.exists() and path.is_relative_to(ROOT))]
    assert not dead, f"{name_of(page)} links to what is not there: {dead}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_no_page_names_a_path_of_the_machine_it_was_written_on(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert not [(number, line) for number, line in enumerate(lines, 1) if MACHINE.search(line)]
