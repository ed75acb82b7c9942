"""What the architecture tests read: every module of the package, as syntax trees and as text."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "src" / "zahlwerk"


@dataclass(frozen=True)
class Import:
    """One imported module; `checking` is true under `if TYPE_CHECKING`, `lazy` inside a function."""

    name: str
    line: int
    lazy: bool
    checking: bool


@dataclass(frozen=True)
class Module:
    """One module of ours."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """Below the package: ("interfaces", "kit", "codec"); () for the package itself."""
        return tuple(self.name.split(".")[1:])

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") for part in self.parts)

    def imports(self) -> list[Import]:
        """Everything imported anywhere in it, each as the module that it comes from."""
        found: list[Import] = []
        _walk(self.tree, False, False, found)
        return found


@cache
def modules() -> tuple[Module, ...]:
    """All modules, by name."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, text, ast.parse(text)))
    return tuple(found)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that belongs to the project; without git (an unpacked archive), what lies in its folders."""
    git = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = git.stdout.decode().split("\0") if git.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [
        path
        for folder in ("src", "tests", "docs", "examples", "scripts", "bench", ".ci")
        for path in (ROOT / folder).rglob("*")
    ]
    return tuple(sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts))


def _walk(node: ast.AST, lazy: bool, checking: bool, found: list[Import]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found.extend(Import(alias.name, child.lineno, lazy, checking) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide where a name comes from"
            found.extend(Import(name, child.lineno, lazy, checking) for name in _origins(child))
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                _walk(ast.Module([statement], []), lazy, True, found)
            for statement in child.orelse:
                _walk(ast.Module([statement], []), lazy, checking, found)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            _walk(child, lazy or inside, checking, found)


def _origins(node: ast.ImportFrom) -> set[str]:
    """`from zahlwerk.codec import crc` comes from zahlwerk.codec.crc where that is a module."""
    base = node.module or ""
    if base.split(".")[0] != "zahlwerk":
        return {base}
    ours = {
        ".".join(("zahlwerk", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
    }
    return {f"{base}.{alias.name}" if f"{base}.{alias.name}" in ours else base for alias in node.names}
