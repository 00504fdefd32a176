"""Asks at an open gate on the terminal that the run was started from."""

import os
import select
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drctl.engine.state import Record, State
    from drctl.journal.folder import Folder
    from drctl.plan.model import Plan

_LOOK_S = 0.2
"""How soon the prompt of a gate that is not asked any more lets go of the terminal."""


class TerminalGates:
    """
    Asks at an open gate and drops the answer where answers from other terminals go.

    Where people are enrolled a plain yes proves nothing, so nothing is asked: it says which command
    counts.
    """

    def __init__(self) -> None:
        self._folder: Folder | None = None
        self._plan: Plan | None = None
        self._asking: dict[str, threading.Event] = {}
        """What ends the prompt of each open gate."""

    def opened(self, plan: "Plan", folder: "Folder") -> None:
        """Remembers where answers go."""
        self._folder, self._plan = folder, plan

    def seen(self, record: "Record", state: "State") -> None:
        """Starts to ask when a gate opens; a thread, since nothing else may wait for a person."""
        from drctl.engine.events import GateOpened

        is_open = state.gates.keys() & state.running
        for step in self._asking.keys() - is_open:
            self._asking.pop(step).set()
        if not isinstance(record.event, GateOpened) or self._folder is None:
            return
        step = record.event.step
        if self._plan is not None and self._plan.people:
            run = self._folder.run_id
            sys.stderr.write(
                f"{step}: only signed answers count here, also from another terminal:\n"
                f"  drctl approve {run} {step} --key FILE --reason WHY\n"
                f"  drctl approval request {run} {step}   (to sign on another machine)\n"
            )
            sys.stderr.flush()
            return
        self._asking[step] = over = threading.Event()
        threading.Thread(target=self._ask, args=(step, over), daemon=True).start()

    def _ask(self, step: str, over: threading.Event) -> None:
        from drctl.app.compose import operator
        from drctl.engine.ports import Answer
        from drctl.journal.inbox import drop

        words = {"yes": "approve", "no": "deny"}
        said = ""
        while said not in words:
            sys.stderr.write(f"{step}: type yes to go, no to stop: ")
            sys.stderr.flush()
            line = _line(over)
            if line is None:
                return
            said = line.strip().lower()
        if self._folder is not None:
            answer = Answer(
                gate=step,
                answer="approve" if said == "yes" else "deny",
                by=operator(),
                via="terminal",
            )
            drop(self._folder.inbox, answer)

    def said(self, step: str, text: str) -> None:
        """Not ours to show."""

    def tick(self, state: "State") -> None:
        """Not ours to show."""

    def closed(self) -> None:
        """Lets go of the terminal."""
        for over in self._asking.values():
            over.set()


def _line(over: threading.Event) -> str | None:
    """
    The next line that is typed; ``None`` at the end of input, or when nobody is asked any more:
    what is typed after that is for the shell, or the next gate.
    """
    handle = sys.stdin.fileno()
    while not over.is_set():
        if select.select([handle], [], [], _LOOK_S)[0]:
            # One read gives one line of a terminal, and keeps none back as a buffer would.
            typed = os.read(handle, 4096)
            return typed.decode(errors="replace") if typed and not over.is_set() else None
    return None
