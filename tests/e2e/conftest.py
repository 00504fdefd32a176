"""Fixtures of the end-to-end tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from e2e_lab import lab_of


@pytest.fixture
def lab(request, tmp_path):
    """A lab that is up; the test's markers name its net and its shape."""
    made = lab_of(request.node.get_closest_marker("net").args[0], tmp_path)
    made.drctl("lab", "down")
    shape = request.node.get_closest_marker("shape")
    words = ("--shape", shape.args[0]) if shape else ()
    up = made.drctl("lab", "up", *words, timeout_s=240)
    assert up.returncode == 0, up.stdout + up.stderr
    try:
        yield made
    finally:
        made.stop()
        down = made.drctl("lab", "down")
        assert down.returncode == 0, down.stdout + down.stderr
