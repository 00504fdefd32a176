"""Use case: who asks for a run, and whether its gates can be answered at all."""

from dataclasses import dataclass

from drctl.app.compose import logins
from drctl.kernel.errors import Problem
from drctl.kernel.text import did_you_mean
from drctl.plan.model import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Requesters:
    """Who of the enrolled people starts a run."""

    names: tuple[str, ...] = ()
    """More than one when somebody works under another's account: neither may answer then."""
    is_claimed: bool = False
    problem: Problem | None = None


def requesters(plan: Plan, claimed: str | None) -> Requesters:
    """
    The people whose account this process has; where it is nobody's, who the operator says they
    are. A claim never takes the place of an account: to say another name must not help.
    """
    known = logins()
    found = tuple(name for name, person in plan.people.items() if person.login in known)
    if claimed is None or (claimed,) == found:
        return Requesters(names=found)
    if found:
        what = f"this is the account of {' and '.join(found)}, not of {claimed}"
        return Requesters(names=found, problem=_who(what, "leave --as out"))
    if claimed not in plan.people:
        what = f'nobody is enrolled as "{claimed}"{did_you_mean(claimed, plan.people)}'
        return Requesters(problem=_who(what, "drctl env show ENV   (lists people)"))
    return Requesters(names=(claimed,), is_claimed=True)


def unanswerable(plan: Plan, asked_by: Requesters) -> list[Problem]:
    """Gates that the enrolled people cannot answer; a run would only wait there in vain."""
    if asked_by.problem is not None:
        return [asked_by.problem]
    problems = []
    for step in plan.steps:
        gate = plan.gates[step.gate] if step.gate else None
        if gate is None or not plan.people:
            continue
        if not gate.self_approval and not asked_by.names:
            what = f"gate {step.id} is not for who asks, and nobody knows who asks"
            why = f"no enrolled person has the login {' or '.join(logins())}"
            return [_who(what, "say who you are: --as PERSON", why)]
        fitting = [n for n, p in plan.people.items() if p.keys and p.may_answer(n, gate)]
        left = [n for n in fitting if gate.self_approval or n not in asked_by.names]
        if len(left) < gate.quorum:
            wanted = ", ".join(gate.approvers) or "enrolled people"
            problems.append(
                Problem(
                    code="DR3306",
                    what=f"gate {step.id} needs {gate.quorum} of {wanted}, and"
                    f" {len(left)} can answer it",
                    why=f"enrolled with a key: {', '.join(fitting) or 'nobody'};"
                    f" asks for it: {', '.join(asked_by.names) or 'nobody of them'}",
                    now="nothing was changed",
                    do="let somebody else start the run, enrol more people,"
                    " or set self_approval: true at the gate",
                )
            )
    return problems


def too_many(plan: Plan) -> list[Problem]:
    """A plan that changes more things than the environment allows in one run."""
    changed = plan.changed_targets
    if len(changed) <= plan.max_targets:
        return []
    return [
        Problem(
            code="DR3206",
            what=f"this plan changes {len(changed)} things, and {plan.environment} allows"
            f" {plan.max_targets} in one run",
            why=", ".join(changed),
            now="nothing was changed",
            do="look whether all of them are meant; the limit is limits.max_targets of the"
            " environment",
        )
    ]


def _who(what: str, do: str, why: str | None = None) -> Problem:
    return Problem(code="DR3305", what=what, why=why, now="nothing was changed", do=do)
