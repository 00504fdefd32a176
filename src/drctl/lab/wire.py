"""
What reaches the lab's stand-ins, taken or refused: one line a request, when somebody counts them.

The ledger has what was *applied*. That nothing is even sent can only be said by the requests:
with ``DRCTL_LAB_WIRE`` set when the lab comes up, each stand-in writes every request to that file,
and says whether it asks for a change.
"""

import json
import os
import threading
from pathlib import Path
from typing import Final

VARIABLE: Final = "DRCTL_LAB_WIRE"
_LOCK = threading.Lock()


def note(where: str, request: str, agent: str | None, *, mutates: bool) -> None:
    """
    Writes a request down, if somebody wants to know.

    Args:
        where: The stand-in: ``aws us-west-2``, ``kubernetes us-east-1``, ``slack``.
        request: What it asks for, in a few words.
        agent: Who says to be asking, as the ``User-Agent`` has it.
    """
    file = os.environ.get(VARIABLE)
    if not file:
        return
    told = {"where": where, "request": request, "agent": agent or "", "mutates": mutates}
    line = json.dumps(told)
    with _LOCK, Path(file).open("a", encoding="utf-8") as out:
        out.write(line + "\n")
