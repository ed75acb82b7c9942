"""Where PayTec's own programs are, and the tools that run them. Whatever is missing is skipped, and said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HOW_TO = "set ZAHLWERK_ECRITF to a clone of github.com/PayTecAG/ecritf"


def tool(name: str) -> str:
    """The full path of a program; skips where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.fixture(scope="session")
def ecritf() -> Path:
    """PayTec's repository. Only read: nothing is ever written there."""
    named = os.environ.get("ZAHLWERK_ECRITF", "")
    if not named:
        pytest.skip(f"PayTec's programs are not here: {HOW_TO}")
    root = Path(named).resolve()
    if not (root / "ecritf.js").is_file():
        pytest.skip(f"ZAHLWERK_ECRITF={named}: no ecritf.js there; {HOW_TO}")
    return root


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js."""
    return tool("node")


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory, node: str) -> Path:
    """The libraries that PayTec's JavaScript names in its package.json files, in a folder of their own."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true}\n')
    wanted = ["ws@8", "ajv@8", "ajv-formats@2", "fast-text-encoding@1"]
    command = [tool("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", *wanted]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm install took more than 90 s: is there a network?")
    if done.returncode:
        pytest.skip(f"npm install {' '.join(wanted)} failed: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def cpp_example(ecritf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PayTec's C++ example, compiled from its own unchanged source. Only the linker knows of us (`open_device.cpp`)."""
    binary = tmp_path_factory.mktemp("cpp") / "ecr_example"
    source = ecritf / "examples" / "c++" / "ecr_example.cpp"
    ours = Path(__file__).with_name("open_device.cpp")
    # -w: PayTec's warnings are not ours to mend.
    command = [tool("g++"), "-w", "-O1", "-o", str(binary), str(source), str(ours), "-Wl,--wrap=open"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return binary
