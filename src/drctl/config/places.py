"""Where things are on disk."""

import os
import tempfile
from pathlib import Path


def runs_folder() -> Path:
    """``$XDG_STATE_HOME/drctl/runs``."""
    from platformdirs import user_state_path

    return user_state_path("drctl") / "runs"


def environment_folders() -> tuple[Path, ...]:
    """Where a named environment is looked for, in order; the running lab's is last."""
    from platformdirs import user_config_path

    return (Path("environments"), user_config_path("drctl") / "environments")


def runbook_folders() -> tuple[Path, ...]:
    """Where a runbook is looked for by name or scenario: here first, then what drctl ships."""
    return (Path("runbooks"), shipped_runbooks())


def shipped_runbooks() -> Path:
    """The folder of what drctl ships."""
    package = Path(__file__).parent.parent
    shipped = package / "runbooks_shipped"
    # In a checkout the shipped runbooks are the folder beside ``src``.
    return shipped if shipped.is_dir() else package.parent.parent / "runbooks"


def lab_root() -> Path:
    """
    Where a lab of this user keeps its files; the environment ``lab`` is written there by ``lab
    up``.
    """
    net = os.environ.get("DRCTL_LAB_NET", "70")
    return Path(tempfile.gettempdir()) / f"drctl-lab-{os.getuid()}-{net}"
