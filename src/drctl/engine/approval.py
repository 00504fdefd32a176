"""
Whether an answer to a gate counts. Pure: the plan, the state and one reading of the clock decide.

Problem: an approval is worth what it costs to fake one. Whoever can write the run's folder could
leave any text there; a chat, a USB stick and the folder itself keep every line they have seen.
Invariant: where the plan enrols people, an answer counts only when it is signed by a key that the
plan gives to a person whom the gate asks; for this plan, run, gate and environment; about the very
question that the gate asks now; not expired by the latest time that this run has ever seen; never
used before; by somebody who did not start the run, unless the gate says that they may; and as long
as nobody has said no. Distinct *people* count towards the quorum: a person with two keys is one.

What is not promised: that a stolen key is not used, that people do not collude, or anything about
a machine whose clock was wrong since before the run began.
"""

from datetime import datetime, timedelta

from drctl.engine import events as e
from drctl.engine.ports import Answer
from drctl.engine.state import State
from drctl.engine.statement import Signed, Statement, digest_of, read_answer
from drctl.kernel.canonical import JSON
from drctl.kernel.clock import Instant
from drctl.kernel.signature import fingerprint
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedGate, PlannedStep

MOST_REFUSED = 20
"""Refused answers on record for one run; whoever floods the inbox must not fill the journal."""
LONGEST_LIFE = timedelta(hours=24)
"""A statement that counts for longer is no answer to what is asked now."""

_LAST = "; further refusals of this run are not written down"


def heard(plan: Plan, state: State, answer: Answer, now: Instant) -> e.Event | None:
    """
    The event for an answer: `GateAnswered` or `AnswerRefused`; ``None`` for one to a question that
    is not asked, and for refusals beyond `MOST_REFUSED`.
    """
    step = plan.by_id.get(answer.gate)
    is_open = answer.gate in state.gates.keys() & state.running
    if step is None or step.gate is None or not (is_open or answer.statement):
        return None
    gate = plan.gates[step.gate]
    if not plan.people:
        why = _refusal_of_unsigned(gate, answer) if is_open else "the gate is not open"
        return _refused(state, answer, why) if why else _given(answer)
    try:
        signed = read_answer(answer.statement) if answer.statement else None
    except ValueError as error:
        return _refused(state, answer, f"the signed answer cannot be read: {error}")
    if signed is None:
        return _refused(state, answer, "people are enrolled: only a signed answer counts")
    key = _key_of(plan, signed)
    why = _refusal(plan, state, step, signed, key, now)
    if why is None and signed.statement.answer != answer.answer:
        why = f"it was left as {answer.answer} and says {signed.statement.answer}"
    if why is not None or key is None:
        return _refused(state, answer, why or "")
    said = signed.statement
    return e.GateAnswered(
        step=step.id,
        answer=said.answer,
        by=said.person,
        via="offline" if said.how == "offline" else answer.via,
        reason=sanitize(said.reason),
        person=said.person,
        key=fingerprint(key),
        nonce=said.nonce,
    )


def question(plan: Plan, state: State, step_id: str) -> dict[str, JSON]:
    """
    What an approver must see before they answer, in words that go under the signature: the effect,
    the things changed and their number, what has no way back, the loss, the plan's digest.
    """
    step = plan.by_id[step_id]
    gate, open_gate = plan.gates[step.gate or ""], state.gates[step_id]
    behind = [one for one in _behind(plan, step_id) if one.effect.changes_something]
    bound_s = state.loss.bound_s if state.loss else None
    labels = {_thing(plan, one) for one in behind}
    return {
        "digest": plan.digest,
        "seal": plan.seal,
        "made": plan.created_at,
        "run": state.start.run_id if state.start else "",
        "environment": plan.environment,
        "runbook": plan.title,
        "gate": step_id,
        "title": gate.title,
        "show": list(open_gate.show),
        "changes": [f"{one.id}: {one.effect} {_thing(plan, one)}" for one in behind],
        "things_changed": len(labels),
        "no_way_back": [one.id for one in behind if one.effect.is_irreversible],
        "loss": "not measured"
        if state.loss is None
        else f"at most {bound_s:g}s of writes"
        if bound_s is not None
        else "UNKNOWN",
        "asked_by": list(state.start.requesters) if state.start else [],
        "needed": gate.quorum,
        "given": list(open_gate.approved_by),
        "people": {
            name: [fingerprint(key) for key in person.keys]
            for name, person in plan.people.items()
            if person.may_answer(name, gate)
        },
    }


def seen_of(plan: Plan, state: State, step_id: str) -> str:
    """
    The digest of the question. Who has answered already is not in it: a second approver must not
    have to ask again because the first one was quicker.
    """
    return digest_of({**question(plan, state, step_id), "given": []})


def _refusal(  # noqa: C901, PLR0911 (a table of refusals)
    plan: Plan, state: State, step: PlannedStep, signed: Signed, key: str | None, now: Instant
) -> str | None:
    said = signed.statement
    gate = plan.gates[step.gate or ""]
    if key is None:
        return f"no key that is enrolled for {said.person} has signed it"
    wrong = _misdirected(plan, state, step, said)
    if wrong is not None:
        return wrong
    if state.denied:
        return "somebody has said no, and that is final for this plan"
    if step.id not in state.gates.keys() & state.running:
        return "the gate is not open"
    if not plan.people[said.person].may_answer(said.person, gate):
        return f"{said.person} is none of {', '.join(gate.approvers)}"
    if said.nonce in state.nonces:
        return "it was used before"
    latest = _latest(state, now)
    if said.expires_at <= latest:
        return f"it expired at {said.expires}"
    if said.expires_at > latest + LONGEST_LIFE:
        return f"it would count until {said.expires}; at most 24h ahead"
    if said.seen != seen_of(plan, state, step.id):
        return "its signer was shown something else than what the gate asks now"
    if said.answer == "approve" and not gate.self_approval:
        asked_by = state.start.requesters if state.start else ()
        if said.person in asked_by or not asked_by:
            return f"{said.person} asks for it; somebody else must say go"
    if gate.reason_required and not said.reason.strip():
        return "this gate wants a reason"
    return None


def _misdirected(plan: Plan, state: State, step: PlannedStep, said: Statement) -> str | None:
    run = state.start.run_id if state.start else ""
    meant = {
        "plan": (said.digest, plan.digest),
        "run": (said.run, run),
        "gate": (said.gate, step.id),
        "environment": (said.environment, plan.environment),
    }
    wrong = [name for name, (is_, wanted) in meant.items() if is_ != wanted]
    return f"it is for another {' and '.join(wrong)}" if wrong else None


def _key_of(plan: Plan, signed: Signed) -> str | None:
    """The key of the person named in the statement that signed it, when it is theirs alone."""
    person = plan.people.get(signed.statement.person)
    key = next((key for key in person.keys if signed.is_by(key)), None) if person else None
    owners = [name for name, one in plan.people.items() if key in one.keys]
    return key if len(owners) == 1 else None


def _latest(state: State, now: Instant) -> datetime:
    """The later of now and the latest time on record: a clock set back revives nothing."""
    return now.wall if state.latest_wall is None else max(now.wall, state.latest_wall)


def _refusal_of_unsigned(gate: PlannedGate, answer: Answer) -> str | None:
    if answer.statement:
        return "nobody is enrolled in this environment, so no signature can be checked"
    if gate.reason_required and not answer.reason.strip():
        return "this gate wants a reason"
    return None


def _given(answer: Answer) -> e.GateAnswered:
    return e.GateAnswered(
        step=answer.gate,
        answer=answer.answer,
        by=sanitize(answer.by, limit=100),
        via=sanitize(answer.via, limit=100),
        reason=sanitize(answer.reason),
    )


def _refused(state: State, answer: Answer, why: str) -> e.AnswerRefused | None:
    if state.refused_answers >= MOST_REFUSED:
        return None
    return e.AnswerRefused(
        step=answer.gate,
        by=sanitize(answer.by, limit=100),
        via=sanitize(answer.via, limit=100),
        why=sanitize(why, limit=300) + (_LAST if state.refused_answers + 1 >= MOST_REFUSED else ""),
    )


def _behind(plan: Plan, step_id: str) -> list[PlannedStep]:
    """The steps that the gate holds back, in the plan's order."""
    held = {step_id}
    for _round in plan.steps:
        more = [one for one in plan.steps if one.id not in held and not held.isdisjoint(one.needs)]
        if not more:
            break
        held |= {one.id for one in more}
    return [one for one in plan.steps if one.id in held and one.id != step_id]


def _thing(plan: Plan, step: PlannedStep) -> str:
    target = step.call.target if step.call else None
    return plan.targets[target].label if target else "by hand"
