"""Who may import whom (docs: architecture), read from the source."""

from __future__ import annotations

import importlib.util
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

_spec = importlib.util.spec_from_file_location("_modules_read", Path(__file__).with_name("_modules_read.py"))
