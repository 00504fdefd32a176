"""What holds the promises about state files, switched off one at a time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from guards import Guard

_LAYOUTS = "tests/safety/files/test_hostile_layouts.py"
_RACES = "tests/safety/files/test_races_and_tears.py"

GUARDS = [
    Guard(
        name="no link in a folder's place",
        promise="I28",
        file="journal/trust.py",
        old="    if is_ours:\n",
        new="    if False:\n",
        command=f"{_LAYOUTS} -k hostile",
    ),
    Guard(
        name="no link in a file's place",
        promise="I28",
        file="journal/files.py",
        old="_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        new="_SAFE = os.O_NONBLOCK | os.O_CLOEXEC",
        command=f"{_LAYOUTS} -k hostile",
    ),
    Guard(
        name="one name",
        promise="I28",
        file="journal/trust.py",
        old="    if there.st_nlink != 1:",
        new="    if False:",
        command=f"{_LAYOUTS} -k hostile",
    ),
    Guard(
        name="a plain file",
        promise="I28",
        file="journal/trust.py",
        old="    if not stat.S_ISREG(there.st_mode):",
        new="    if False:",
        command=f"{_LAYOUTS} -k hostile",
    ),
    Guard(
        name="nobody else writes the folder",
        promise="I28",
        file="journal/trust.py",
        old='    raise UnsafeError(f"{shown} may be written by others", f"chmod go-w {shown}")',
        new="    return",
        command=f"{_LAYOUTS} -k hostile",
    ),
    Guard(
        name="a size that can be read",
        promise="I28",
        file="journal/files.py",
        old="    if size > largest:",
        new="    if False:",
        command=f"{_LAYOUTS} -k hostile",
    ),
    Guard(
        name="nothing is mounted over it",
        promise="I28",
        file="journal/trust.py",
        old="    if _mount(inside) != _mount(folder):",
        new="    if False:",
        command=f"{_LAYOUTS} -k mounted",
    ),
    Guard(
        name="zeros in the last line are a tear",
        promise="I28",
        file="journal/chain.py",
        old='    if complete and b"\\0" in complete[-1] and b"}\\0{" not in complete[-1]:',
        new="    if False:",
        command=f"{_RACES} -k last_line",
    ),
]
