"""What the judge does with rules: waivers, rules that break, actions that nobody knows."""

from dataclasses import replace
from typing import ClassVar

import pytest

from drctl.actions.contract import Action, Adapter, Effect, NoOutputs, Repeat
from drctl.actions.registry import Registry
from drctl.plan.findings import gates_merge
from drctl.plan.rules import catalogue, dr6308_gate_without_estimate
from drctl.plan.rules import judge as judging
from drctl.plan.rules.case import Case
from drctl.plan.rules.dr6104_no_read_back import RULE as NO_READ_BACK
from drctl.runbook.include import Included

BAD = ("gate: go, estimate: 1m", "gate: go")
"""DR6308 speaks about the step go, as a warning."""
LATE = ("estimate: 4m, timeout: 6m", "estimate: 14m, timeout: 14m")
"""DR6301, an error, speaks about the whole."""


def waiver(rule="DR6308", until="2027-03-31", reason="known", **more):
    given = "".join(f", {key}: {value}" for key, value in more.items())
    return (
        "finally:",
        f"waivers: [{{rule: {rule}, until: {until}, reason: {reason}{given}}}]\nfinally:",
    )


def said(plan):
    return [(one.id, one.where) for one in plan.findings]


@pytest.mark.parametrize("more", [{}, {"step": "go"}])
def test_a_waived_finding_counts_no_more_and_is_kept_with_its_reason(judge, more):
    plan = judge(BAD, waiver(**more))
    assert said(plan) == []
    (one,) = plan.waived
    assert (one.finding.id, one.reason, one.until) == ("DR6308", "known", "2027-03-31")


def test_a_waiver_counts_on_its_last_day_and_then_the_finding_is_back(judge):
    assert said(judge(BAD, waiver(until="2026-11-23"))) == []
    plan = judge(BAD, waiver(until="2026-11-22"))
    assert said(plan) == [("DR6308", "go")]
    assert plan.findings[0].what.endswith("its waiver ended on 2026-11-22")


def test_a_waiver_of_another_step_or_rule_leaves_it(judge):
    assert ("DR6308", "go") in said(judge(BAD, waiver(step="promote")))
    assert ("DR6308", "go") in said(judge(BAD, waiver(rule="DR6302")))


def test_a_waiver_that_meets_nothing_is_a_finding_at_its_place(judge):
    plan = judge(waiver(step="go"), alone=True)
    (one,) = plan.findings
    assert (one.id, one.severity, one.where) == ("DR6402", "warning", "go")
    assert int(one.at.split(":")[-2]) > 1


def test_a_waiver_that_another_environment_may_need_is_left_alone(judge):
    """An environment has its own RTO, and its own stores."""
    assert said(judge(waiver(rule="DR6302", step="go"))) == []
    assert said(judge(waiver(rule="DR6306", store="files"))) == []
    assert said(judge(waiver(rule="DR6306", store="files"), alone=True)) == []
    assert said(judge(waiver(rule="DR6302", step="go"), alone=True)) == [("DR6402", "go")]


def test_an_unknown_rule_is_an_error_and_a_waiver_for_ever_a_warning(judge):
    plan = judge(waiver(rule="DR6199"))
    assert said(plan) == [("DR6401", "")]
    assert gates_merge(plan.findings)
    plan = judge(BAD, waiver(until="2028-01-01"))
    assert said(plan) == [("DR6403", "")]
    assert not gates_merge(plan.findings)


def test_errors_come_first_and_only_they_hold_up_a_merge(judge):
    plan = judge(BAD, LATE)
    assert [one.severity for one in plan.findings] == ["error", "warning"]
    assert gates_merge(plan.findings)
    assert not gates_merge(judge(BAD).findings)


def test_findings_are_under_the_seal_and_the_same_twice(judge):
    one, two = judge(BAD, seen={}), judge(BAD, seen={})
    assert one.findings == two.findings
    assert one.is_whole
    assert one.model_copy(update={"findings": ()}).computed_seal() != one.seal


def test_a_rule_with_a_bug_keeps_no_plan_from_being_made(judge, monkeypatch):
    def broken(case):
        raise KeyError("bug")

    rules = dict(catalogue.all_rules())
    rules["DR6308"] = replace(dr6308_gate_without_estimate.RULE, judge=broken)
    monkeypatch.setattr(judging, "all_rules", lambda: rules)
    (one,) = judge(BAD).findings
    assert (one.id, one.severity) == ("DR6308", "warning")
    assert "could not judge" in one.what


class _Clear(Action):
    name: ClassVar[str] = "acme.cache.clear"
    summary: ClassVar[str] = "Empties a cache"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT

    async def perform(self, ctx, target, params):
        return NoOutputs()


class _ClearAndSee(_Clear):
    async def settled(self, ctx, target, params):
        raise AssertionError("nobody calls it")


@pytest.mark.parametrize(("action", "speaks"), [(_Clear, True), (_ClearAndSee, False)])
def test_dr6104_asks_every_action_for_a_read_back(judge, action, speaks):
    plan = judge()
    step = plan.by_id["move"]
    call = step.call.model_copy(update={"uses": "acme.cache.clear", "target": None})
    plan = plan.model_copy(update={"steps": (step.model_copy(update={"call": call}),)})
    registry = Registry([Adapter(name="acme", actions=(action(),))])
    source = Included(runbook=None, file="", sha256="")
    case = Case(plan=plan, source=source, registry=registry, environment=None)
    assert [one.step.id for one in NO_READ_BACK.judge(case)] == (["move"] if speaks else [])


def test_every_rule_explains_itself():
    for rule in catalogue.all_rules().values():
        assert rule.id.startswith(("DR61", "DR62", "DR63"))
        assert all([rule.title, rule.reason, rule.bad, rule.good, rule.fix])
        assert rule.bad != rule.good
