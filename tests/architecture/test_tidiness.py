"""House rules that a machine can check."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import Final

import pytest
from tests.architecture.project_files import ROOT, Module, modules, tracked_files

LINES_MAX: Final = 600
TABLES: Final = frozenset({"dictionary.py", "messages.py", "currency.py"})
ALL: Final = [pytest.param(module, id=module.name) for module in modules()]
PYTHON: Final = [pytest.param(path, id=str(path.relative_to(ROOT))) for path in tracked_files() if path.suffix == ".py"]

# Written so that this file does not find itself.
LEFT_OPEN: Final = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
REGISTRIES: Final = re.compile(
    "|".join(["pypi" + r"\.org", "python" + "hosted", "npm" + "js", r"deb\.deb" + "ian", r"registry\.n" + "pm"])
)
MACHINE_PATHS: Final = re.compile(r"(?<![\w.:$}])/(" + "wo" + r"rk|ro" + r"ot|fa" + r"rm|ho" + r"me)/\w")
AMERICAN: Final = re.compile(r"(?i)authoriz|initializ")


def _lines_without_docstrings(module: Module) -> int:
    inside: set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            inside |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(module.text.splitlines()) - len(inside)


def _comments(text: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def _words(module: Module) -> set[str]:
    """Every name that a module makes or uses."""
    names: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


@pytest.mark.parametrize("module", ALL)
def test_a_module_is_not_too_long(module: Module) -> None:
    """600 lines, docstrings apart; tables are exempt."""

    assert module.path.name in TABLES or _lines_without_docstrings(module) <= LINES_MAX


@pytest.mark.parametrize("module", [pytest.param(m, id=m.name) for m in modules() if m.is_public])
def test_a_public_module_says_what_it_is_and_what_it_offers(module: Module) -> None:
    """A docstring, and a sorted `__all__` whose names exist; packages may be docstring only."""
    assert (ast.get_docstring(module.tree) or "").strip()
    found = [
        node for node in module.tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if module.is_package and not found and len(module.tree.body) == 1:
        return

    assert len(found) == 1, "no __all__"
    names = ast.literal_eval(found[0].value)
    # As ruff's RUF022 has it: constants, then classes, then the rest.
    assert names == sorted(names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", PYTHON)
def test_nothing_is_left_open(path: Path) -> None:
    """What is to be done stands in an issue."""
    found = [
        f"line {line}: {text}" for line, text in _comments(path.read_text(encoding="utf-8")) if LEFT_OPEN.search(text)
    ]

    assert found == []


@pytest.mark.parametrize("path", PYTHON)
def test_every_ignored_type_error_has_a_code_and_a_reason(path: Path) -> None:
    """`# type: ignore[code]  # reason`."""
    comments = _comments(path.read_text(encoding="utf-8"))
    wrong = [
        f"line {line}: {text}"
        for line, text in comments
        if re.match(r"#\s*type:\s*ignore", text)
        and not re.match(r"# type: ignore\[[a-z, -]+\]  # (?:noqa: [A-Z0-9, ]+ - )?\w", text)
    ]

    assert wrong == []


@pytest.mark.parametrize("module", [pytest.param(m, id=m.name) for m in modules() if m.parts[:1] != ("cli",)])
def test_only_the_command_line_prints(module: Module) -> None:
    """A library tells its caller, not the screen."""
    calls = [
        node.lineno
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert calls == []


@pytest.mark.parametrize("name", ["money", "currency", "payment", "lifecycle"])
def test_money_knows_no_floats(name: str) -> None:
    """No float literal, no `float`, no `round`, no true division."""
    module = next(m for m in modules() if m.name == f"zahlwerk.{name}")
    wrong = []
    for node in ast.walk(module.tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        word = isinstance(node, ast.Name) and node.id in {"float", "round"}
        division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if literal or word or division:
            wrong.append(f"line {getattr(node, 'lineno', '?')}: {ast.unparse(node)}")

    assert wrong == []


@pytest.mark.parametrize("module", [pytest.param(m, id=m.name) for m in modules() if m.parts[:1] != ("interfaces",)])
def test_our_own_names_are_british(module: Module) -> None:
    """`authorise`, `initialise`; the words of a specification stay inside its interface."""

    assert sorted(word for word in _words(module) if AMERICAN.search(word)) == []


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    """What works here only does not belong here."""
    wrong = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if REGISTRIES.search(line) or MACHINE_PATHS.search(line)
        ]

    assert wrong == []


@pytest.mark.parametrize("name", ["scripts/run", "scripts/test", "scripts/setup", ".ci/run"])
def test_scripts_can_be_run_and_stop_at_an_error(name: str) -> None:
    """Executable, bash, strict."""
    path = ROOT / name
    lines = path.read_text(encoding="utf-8").splitlines()

    assert path.stat().st_mode & 0o100, "git keeps this bit; the others are the umask's"
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines


def test_test_files_have_names_of_their_own() -> None:
    """Without packages, two files of one name hide each other."""
    names = [
        path.name
        for path in tracked_files()
        if path.suffix == ".py" and "tests" in path.parts and path.name != "conftest.py"
    ]

    assert sorted(name for name in names if names.count(name) > 1) == []
