"""A waiver holds until its last day, for what it is about, and for nothing else."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from engine_model import plan_of, step
from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.registry import Registry
from drctl.plan.rules import catalogue
from drctl.plan.rules import judge as judging
from drctl.plan.rules.case import Case
from drctl.plan.rules.judge import judge
from drctl.plan.rules.rule import Found
from drctl.runbook import ClockSpec, Metadata, Objectives, Runbook, Step, Waiver
from drctl.runbook.include import Included

STEPS = ("a", "b", "c")
RULE = "DR6308"
DAYS = st.dates(min_value=date(2026, 1, 1), max_value=date(2027, 1, 1))
WAIVERS = st.lists(
    st.builds(
        lambda at, until: Waiver(rule=RULE, step=at, reason="known", until=until),
        st.sampled_from((None, *STEPS)),
        DAYS,
    ),
    max_size=4,
)


@pytest.fixture(autouse=True)
def one_rule(monkeypatch):
    """A rule that speaks about each step."""
    speaks = replace(
        catalogue.all_rules()[RULE],
        judge=lambda case: [Found(what=one.id, step=one) for one in case.work],
    )
    monkeypatch.setattr(judging, "all_rules", lambda: {RULE: speaks})


def case_of(waivers):
    runbook = Runbook(
        metadata=Metadata(name="x", title="X", owner="o"),
        objectives=Objectives(
            rto=timedelta(minutes=1),
            rpo=timedelta(0),
            clock=ClockSpec(starts_at="run", stops_after=("a",)),
        ),
        steps=tuple(Step(id=one) for one in STEPS),
        waivers=tuple(waivers),
    )
    source = Included(runbook=runbook, file="", sha256="")
    plan = plan_of(*(step(one) for one in STEPS))
    return Case(plan=plan, source=source, registry=Registry([]), environment=None)


@settings(max_examples=200, deadline=None)
@given(WAIVERS, DAYS)
def test_what_is_said_and_what_is_waived_is_all_there_is(waivers, today):
    verdict = judge(case_of(waivers), today)
    said = {one.where for one in verdict.findings if one.id == RULE}
    waived = {one.finding.where for one in verdict.waived}
    holding = {one.step for one in waivers if one.until >= today}
    assert waived == (set(STEPS) if None in holding else holding)
    assert said == set(STEPS) - waived
    ended = {one.step for one in waivers} - holding
    for one in verdict.findings:
        if one.id == RULE:
            assert ("its waiver ended" in one.what) is bool(ended & {None, one.where})
