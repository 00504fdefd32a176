"""Files that are generated and checked in: the editor schema, and the help text in README.md."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "src" / "drctl" / "schemas" / "runbook.v1.json"
README = ROOT / "README.md"
HELP = re.compile(r"(<!-- drctl --help -->\n```\n).*?(```\n<!-- end -->)", re.DOTALL)


def schema() -> str:
    from drctl.actions.registry import installed
    from drctl.runbook.schema import text

    return text(installed())


def readme() -> str:
    command = [sys.executable, "-m", "drctl", "--help"]
    env = {
        "PATH": "/usr/bin:/bin",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONPATH": str(ROOT / "src"),
    }
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    found, count = HELP.subn(
        lambda match: match[1] + shown.strip("\n") + "\n" + match[2], README.read_text()
    )
    if count != 1:
        message = "README.md has no place for the help text"
        raise SystemExit(message)
    return found


MADE = {"schema": (SCHEMA, schema), "readme": (README, readme)}


def main(what: str) -> int:
    stale = 0
    for name, (path, make) in MADE.items():
        if what not in {name, "--check"}:
            continue
        text = make()
        if what == "--check":
            if not path.exists() or path.read_text() != text:
                print(f"{path.relative_to(ROOT)} is not current: make {name}")
                stale = 1
        else:
            path.write_text(text)
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
