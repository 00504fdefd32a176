"""What a rule says about a plan: it gates the pull request, never the night."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    """One thing that is not wise, where, why, and what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """``DR6xxx``."""
    severity: Literal["error", "warning"]
    where: str = ""
    """Id of a step; empty: the runbook."""
    at: str = ""
    """File:line:column; empty: nowhere."""
    what: str
    why: str = ""
    fix: str = ""
