"""Use case: a person answers a gate from another terminal."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from drctl.app.compose import Parts, operator
from drctl.app.reading import find_run, fold_run
from drctl.app.signing import signed_here
from drctl.engine.approval import heard
from drctl.engine.driver import INBOX_EVERY_S
from drctl.engine.events import AnswerRefused, GateAnswered, RunResumed
from drctl.engine.ports import Answer
from drctl.engine.state import State
from drctl.journal.folder import Folder
from drctl.journal.inbox import drop
from drctl.kernel.clock import Deadline
from drctl.kernel.errors import Problem, RefusedError
from drctl.kernel.text import did_you_mean

Word = Literal["approve", "deny"]
HEARD_WITHIN = timedelta(seconds=3)
"""How long we wait to hear that the run took the answer: thirty of its looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An answer that was left for a run."""

    folder: Folder
    after: int
    """Events of the run before it."""


def answer_gate(
    parts: Parts,
    run: str,
    gate: str,
    answer: Word,
    reason: str,
    *,
    key: Path | None = None,
    token: str | None = None,
) -> Left:
    """
    Leaves an answer for a live run.

    Args:
        key: File of the private key to sign with; where people are enrolled, this or *token*.
        token: An answer that was signed elsewhere, as ``drctl approval sign`` prints it.

    Raises:
        RefusedError: The run is not live, that gate is not open, or the answer would not count.
        CredentialsError: The key's file cannot be read, or may be read by others.
    """
    folder, state = open_gate(parts, run, gate)
    after, plan = len(folder.read().records), folder.plan()
    statement, via = (token or "").strip(), "a token"
    if key is not None:
        via = "drctl approve" if answer == "approve" else "drctl deny"
        statement = signed_here(parts, plan, state, gate, answer, reason, key)
    said = Answer(
        gate=gate,
        answer=answer,
        by=operator(),
        via=via if statement else f"drctl {answer}",
        reason=reason,
        statement=statement,
    )
    event = heard(plan, state, said, parts.clock.now())
    if statement or isinstance(event, GateAnswered):
        # A signed one is left even when it will be refused: the attempt belongs on record.
        drop(folder.inbox, said)
    if not isinstance(event, GateAnswered):
        why = getattr(event, "why", "it would not count")
        how = f"drctl {answer} {folder.run_id} {gate} --key FILE"
        raise RefusedError(
            (
                Problem(
                    code="DR3303" if statement else "DR3301",
                    what=f"this answer to gate {gate} does not count",
                    why=why,
                    now="the gate is as it was",
                    do=f"drctl runs show {folder.run_id}"
                    if statement
                    else f"{how}   or, from another machine: drctl approval request"
                    f" {folder.run_id} {gate}",
                ),
            )
        )
    return Left(folder=folder, after=after)


async def was_heard(parts: Parts, left: Left, gate: str) -> bool:
    """
    True once the run has taken the answer; false while it has not looked.

    Raises:
        RefusedError: A process took the run up meanwhile, and asks anew: what was said before it
            asked is no answer.
    """
    deadline = Deadline.after(parts.clock, HEARD_WITHIN)
    while not deadline.has_passed(parts.clock):
        for record in left.folder.read().records[left.after :]:
            event = record.event
            if isinstance(event, GateAnswered | AnswerRefused) and event.step == gate:
                return True
            if isinstance(event, RunResumed):
                run = left.folder.run_id
                what = f"run {run} was taken up while you answered, and asks at {gate} anew"
                problem = Problem(
                    code="DR3004",
                    what=what,
                    now="your answer was not heard; the gate is as it was",
                    do=f"drctl status {run}, then answer again",
                )
                raise RefusedError((problem,))
        await parts.clock.sleep(INBOX_EVERY_S)
    return False


def _asked_now(state: State) -> frozenset[str]:
    """Gates at which a process asks: one that has ended asks nobody, until another has begun."""
    asked = state.gates.keys() & state.running
    return frozenset() if state.finished is not None else frozenset(asked)


def open_gate(parts: Parts, run: str, gate: str) -> tuple[Folder, State]:
    """
    Finds a live run that asks at that gate.

    Raises:
        RefusedError: The run is not live, or that gate is not open.
    """
    folder = find_run(parts, run)
    state, _chain = fold_run(folder)
    problem = None
    if not folder.is_held():
        problem = Problem(
            code="DR3003",
            what=f"run {folder.run_id} is not live: nobody would hear the answer",
            do=f"drctl runs show {folder.run_id}",
        )
    elif gate not in (asked := _asked_now(state)):
        open_now = sorted(asked)
        near = did_you_mean(gate, open_now)
        problem = Problem(
            code="DR3004",
            what=f'gate "{gate}" of run {folder.run_id} is not open{near}',
            why=f"open now: {', '.join(open_now) or 'none'}",
        )
    if problem is not None:
        raise RefusedError((problem,))
    return folder, state
