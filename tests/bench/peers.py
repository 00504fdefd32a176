"""The peers, at locked versions, in an environment of their own: awscli pins its own botocore."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

LOCK = Path(__file__).parent / "requirements.lock"


def prepared(folder: Path) -> Path:
    """
    Makes the environment unless this lock's is there already.

    Returns:
        Its folder of programs.

    Changes:
        *folder*; installs what `requirements.lock` names, by hash.
    """
    mark, wanted = folder / ".lock", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    programs = folder / "bin"
    if mark.is_file() and mark.read_text() == wanted:
        return programs
    print(f"setting up {folder} (Chaos Toolkit, Ansible, AWS CLI, pyperf; once)", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    quiet = ["--disable-pip-version-check", "--quiet", "--quiet"]
    subprocess.run(
        [programs / "python", "-m", "pip", *quiet, "install", "--require-hashes", "-r", LOCK],
        check=True,
    )
    mark.write_text(wanted)
    return programs
