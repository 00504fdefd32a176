"""Names for things that would otherwise all be ``str``."""

import secrets
from datetime import datetime
from typing import NewType

RunId = NewType("RunId", str)
StepId = NewType("StepId", str)
GateId = NewType("GateId", str)

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that two tired people read differently


def new_run_id(now: datetime) -> RunId:
    """Makes an id that sorts by time and can be read out loud: ``20261122T100405-k3f9``."""
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(4))
    return RunId(f"{now:%Y%m%dT%H%M%S}-{tail}")
