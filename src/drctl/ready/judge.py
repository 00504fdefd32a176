"""From what was seen to a verdict. Pure."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from drctl.actions.check import Standing
from drctl.kernel.errors import Problem
from drctl.plan.fate_model import Fate
from drctl.plan.model import Plan
from drctl.ready.derive import unchecked
from drctl.ready.model import Judged, Scenario, Skipped, result_of

_BREAKING = {"pin", "look", "step", "verify"}
"""Calls of a fate that a recovery needs; what leases need is looked at itself."""
_WITHOUT = {
    True: "use a runbook that does not need it",
    False: "use an action that works without it: drctl action list",
}
_BLOCKS = {Standing.NOT_READY, Standing.CANNOT_TELL}


def fates(plan: Plan, told: Fate) -> tuple[Judged, ...]:
    """Steps and identities that cannot do without what is assumed down, as the plan's fate says."""
    skipped = {step.step for step in told.steps if step.outcome == "skipped"}
    found = []
    for call in told.fails:
        if call.part not in _BREAKING or call.step in skipped:
            continue
        if call.tolerated and call.part not in {"step", "verify"}:
            continue  # a look or an identity that nothing rests on
        step = plan.by_id.get(call.step)
        target = step.call.target if step and step.call else None
        found.append(
            Judged(
                check="plan.fate",
                standing=Standing.AT_RISK if call.tolerated else Standing.NOT_READY,
                subject=f"step {call.step}" if step else f"{call.uses} of {call.target}",
                targets=(target,) if target else (),
                steps=(call.step,) if step else (),
                why=f"{call.part} {call.uses} {call.why}, assumed down",
                do=call.alternative or _WITHOUT[call.part == "pin"],
            )
        )
    return tuple({(one.subject, one.standing): one for one in reversed(found)}.values())


def unfit(scenario: str, runbook: str, problems: Sequence[Problem]) -> Scenario:
    """The verdict on a scenario whose runbook cannot be planned in this environment."""
    judged = tuple(
        Judged(
            check="plan.runbook",
            standing=Standing.NOT_READY,
            subject=f"runbook {runbook}",
            why=f"{one.code}: {one.what}",
            do=one.do or "drctl validate says where",
        )
        for one in problems
    )
    return Scenario(
        scenario=scenario, runbook=runbook, title="its runbook cannot be planned here",
        result=result_of(judged), judged=judged,
    )  # fmt: skip


def verdict(
    plan: Plan,
    seen: Iterable[Judged],
    skipped: Sequence[Skipped],
    asked: frozenset[str],
    moot: frozenset[str] = frozenset(),
) -> Scenario:
    """
    The scenario's standing. What rests on something that does not hold is not judged: who asks
    the wrong account hears about the wrong things. *asked*: ids of the steps for which something
    was looked at; *moot*: of those for which there was nothing to look at in the assumed world.
    """
    left = unchecked(plan, asked | moot)
    kept, hidden = _standing_on_their_own(_merged(seen))
    return Scenario(
        scenario=plan.scenario,
        runbook=plan.runbook,
        title=plan.title,
        result=result_of(kept),
        judged=tuple(sorted(kept, key=_worst_first)),
        skipped=(*skipped, *hidden),
        steps=len(unchecked(plan, frozenset())),
        looked_at=len(asked),
        unchecked=left,
        unchecked_changes=tuple(s for s in left if plan.by_id[s].effect.changes_something),
    )


def _worst_first(one: Judged) -> tuple[int, int, str, str]:
    return (-one.standing.rank, one.rung, one.check, one.subject)


def _merged(seen: Iterable[Judged]) -> list[Judged]:
    """The same thing seen through two targets is one thing."""
    found: dict[tuple[str, str, str, str], Judged] = {}
    for one in seen:
        key = (one.check, one.standing, one.subject, one.why)
        before = found.get(key)
        if before is None:
            found[key] = one
            continue
        found[key] = before.model_copy(
            update={
                "targets": tuple(dict.fromkeys((*before.targets, *one.targets))),
                "steps": tuple(dict.fromkeys((*before.steps, *one.steps))),
            }
        )
    return list(found.values())


def _standing_on_their_own(seen: Sequence[Judged]) -> tuple[tuple[Judged, ...], list[Skipped]]:
    kept, moot = [], []
    for one in seen:
        ground = next(
            (
                below
                for below in seen
                if _carries(below, one)
                and below.standing in _BLOCKS
                and set(below.targets) & set(one.targets)
            ),
            None,
        )
        if ground is None:
            kept.append(one)
            continue
        why = f"it rests on {ground.check} of {ground.subject}, which does not hold"
        moot.append(Skipped(check=one.check, subject=one.subject, why=why))
    return tuple(kept), moot


def _carries(below: Judged, one: Judged) -> bool:
    named = any(fnmatchcase(below.check, pattern) for pattern in one.rests_on)
    return below.rung < one.rung or named
