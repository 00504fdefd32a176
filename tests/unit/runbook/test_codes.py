"""Each code that can be told can be explained, and each explanation is of a code that is told."""

import re
from pathlib import Path

import drctl
from drctl.runbook.codes import CODES

SOURCE = Path(drctl.__file__).parent


def test_codes_and_explanations_match() -> None:
    files = [*(SOURCE / "runbook").glob("*.py"), *(SOURCE / "kernel").glob("yaml*.py")]
    text = "".join(file.read_text() for file in files if file.name != "codes.py")
    assert set(re.findall(r"\"(DR1\d{3})\"", text)) == set(CODES)
