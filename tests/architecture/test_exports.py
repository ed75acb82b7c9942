"""The public surface: which names there are, and that importing them does nothing else."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest
from tests.architecture.project_files import modules

import zahlwerk

PUBLIC = [
    "CONFIRM", "ROLL_BACK", "Capabilities", "Currency", "Decision", "Feature", "Hold", "Money", "MoneyMoved", "NotSupported", "Original",
    "Outcome", "Payment", "PaymentKind", "PaymentRequest", "Receipt", "ReceiptKind", "Terminal", "TerminalError", "Witness", "__version__",
    "approve_with", "connect", "listen",
]  # fmt: skip

HEAVY = [
    "websockets", "serial", "rich", "typer", "babel", "msgspec", "sqlalchemy", "fastapi", "asyncpg", "uvicorn", "pydantic", "importlib.metadata",
    "decimal", "ipaddress", "secrets",
]  # fmt: skip


def test_the_package_exports_exactly_these_names() -> None:
    """A new name is a decision; a name that goes is a breaking change."""

    assert zahlwerk.__all__ == PUBLIC
    assert all(hasattr(zahlwerk, name) for name in PUBLIC)


def test_importing_the_package_loads_no_library_that_it_may_not_need() -> None:
    """Seen from a fresh interpreter, without what the tests have loaded."""
    code = f"import sys, zahlwerk; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    seen = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert seen.stdout.split() == []
    assert seen.stderr == ""


@pytest.mark.parametrize(
    "name", [module.name for module in modules() if module.is_public and module.parts[-1:] != ("__main__",)]
)
def test_every_name_in_all_exists(name: str) -> None:
    """And has a docstring where it is a class or function of ours."""
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{public} has no docstring"
