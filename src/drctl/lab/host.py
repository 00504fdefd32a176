"""
The way into a machine of the lab: what ``ssh`` is elsewhere.

Run as a script, ``host.py --root FOLDER NAME WORD...``; imports nothing of drctl, so that it costs
thirty milliseconds and needs no path. As ``ssh`` does, it joins its words with blanks and lets a
shell read them; the program runs as the server's user, with none of the caller's variables. A
machine that is down says so in ssh's words. What is asked of it is written to the file ``wire`` of
the root, if there is one (`drctl.lab.wire`): what changes something comes under a lock.
"""

import argparse
import json
import os
import sys
from pathlib import Path

_NOBODY = 65534
_SSH_FAILED = 255


def main(arguments: list[str]) -> None:
    """Becomes the shell that runs the words."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("name")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    told = parser.parse_args(arguments)
    machine = told.root / "machines" / told.name
    if not machine.is_dir() or (machine / "down").exists():
        sys.stderr.write(f"ssh: connect to host {told.name} port 22: Connection refused\n")
        sys.exit(_SSH_FAILED)
    _note(told.root / "wire", told.name, told.words)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    os.chdir("/")
    os.umask(0o077)
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(machine), "LC_ALL": "C"}
    os.execve("/bin/sh", ["sh", "-c", " ".join(told.words)], variables | {"TZ": "UTC"})  # noqa: S606


def _note(wire: Path, name: str, words: list[str]) -> None:
    if not wire.exists():
        return
    first, *more = " ".join(words).split()
    told = {
        "where": f"machine {name}",
        "request": " ".join([first, *more[-1:]]),
        "agent": "drctl",
        "mutates": first == "flock" and more[-1:] != ["true"],
    }
    with wire.open("a", encoding="utf-8") as out:
        out.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
