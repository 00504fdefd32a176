"""Nothing that differs is left out of a comparison, and its sums are those of the plan."""

import json

import pytest
from diff_plans import RAW, base, diff, of_incident, text_of, with_step, write
from engine_model import step

from drctl.actions.contract import Effect
from drctl.app.comparing import compare_files
from drctl.plan.diff import compare
from drctl.plan.forecast_model import Forecast
from drctl.plan.model import (
    PlannedCall,
    PlannedLease,
    PlannedPin,
    PlannedScope,
)
from drctl.plan.outline import Outline
from drctl.view.ci.diff_markdown import diff_markdown


def test_a_timeout_of_a_check_and_of_an_undo_is_named():
    checks = tuple(PlannedCall(uses="write", timeout_s=seconds) for seconds in (5.0, 9.0))
    found = diff(*(with_step("promote", verify=(check,)) for check in checks))
    [part] = found.steps
    [field] = part.fields
    assert ("verify", ["write within 5s"], ["write within 9s"]) == (
        field.name,
        field.before,
        field.after,
    )
    undos = tuple(PlannedCall(uses="back", timeout_s=seconds) for seconds in (5.0, 9.0))
    found = diff(*(with_step("move", undo=undo) for undo in undos))
    assert ["undo timeout"] == [field.name for part in found.steps for field in part.fields]


PIN = PlannedPin(name="account", subject="room", targets=("room",), expected="us", found="us")
LEASE = PlannedLease(store="s3", settings={"bucket": "a"}, label="s3://a", cool_down_s=3600.0)
SCOPE = PlannedScope(runbook="inner", sha256="1", inputs={"n": 1}, types={})
WHOLE = {
    "detection": (of_incident(60.0), of_incident(90.0)),
    "title": (base(), base(title="Another")),
    "scenario": (base(), base(scenario="region-loss")),
    "resolvers": (base(), base(resolvers=("9.9.9.9",))),
    "lease.store": (base(lease=LEASE), base(lease=LEASE.model_copy(update={"store": None}))),
    "lease cool-down": (
        base(lease=LEASE),
        base(lease=LEASE.model_copy(update={"cool_down_s": 60.0})),
    ),
    "lease.settings.bucket": (
        base(lease=LEASE),
        base(lease=LEASE.model_copy(update={"settings": {"bucket": "b"}})),
    ),
    "included inner.inputs.n": (
        base(scopes={"inner": SCOPE}),
        base(scopes={"inner": SCOPE.model_copy(update={"inputs": {"n": 2}})}),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_a_plan_says_as_a_whole_is_named(name):
    found = diff(*WHOLE[name])
    assert name in [field.name for field in found.whole]
    assert not found.is_same
    assert not found.unnamed


@pytest.mark.parametrize(("now", "shown"), [(None, "no answer"), ("them", "them")])
def test_a_pin_that_does_not_hold_is_no_small_thing(now, shown, capsys):
    """A run stops at it, so it is more than something that was seen."""
    other = base(pins=(PIN.model_copy(update={"found": now}),))
    found = diff(base(pins=(PIN,)), other)
    assert not found.is_same
    assert f"is  us -> {shown}" in text_of(found, capsys)
    assert "account of room" in diff_markdown(found)
    offline = base(pins=(PIN.model_copy(update={"found": None}),), is_offline=True)
    assert diff(base(pins=(PIN,)), offline).pins == (), "nobody asked"


def test_what_no_list_names_is_never_called_the_same(tmp_path, capsys):
    a = write(tmp_path / "a.json", RAW)
    novel = write(tmp_path / "b.json", RAW | {"novelty": 1, "digest": RAW["digest"]})
    found = compare_files(a, novel)
    assert not found.is_same
    assert "it differs in what this list does not name" in text_of(found, capsys)
    assert "nothing that a run" not in text_of(found, capsys)
    assert "it differs in what this list does not name" in diff_markdown(found)
    assert found.as_json()["unnamed"]
    inside = RAW | {"steps": [one | {"novel": 1} for one in RAW["steps"]]}
    assert not compare_files(a, write(tmp_path / "c.json", inside)).is_same


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"environment_sha256": "1" * 64}, "the environment's file differs"),
        ({"runbook_sha256": "1" * 64}, "the runbook's text differs"),
        (
            {"scopes": {"inner": SCOPE.model_copy(update={"sha256": "2"})}},
            "the runbook's text differs",
        ),
    ],
)
def test_a_file_that_differs_where_the_plan_does_not_is_said(change, words, capsys):
    found = diff(base(scopes={"inner": SCOPE}), base(**{"scopes": {"inner": SCOPE}} | change))
    assert not found.is_same
    assert words in text_of(found, capsys)


def test_an_old_file_that_lacks_what_is_new_is_read(tmp_path):
    new = {"pins", "lease", "scopes", "resolvers", "waived", "forecast", "scenario", "findings"}
    raw = {name: value for name, value in RAW.items() if name not in new}
    late = {"every_s", "no_way_back", "scope", "retry"}
    raw["steps"] = [{k: v for k, v in one.items() if k not in late} for one in RAW["steps"]]
    found = compare_files(write(tmp_path / "a.json", raw), write(tmp_path / "b.json", RAW))
    assert (found.steps, found.whole, found.pins, found.weaker) == ((), (), (), ())
    assert not found.is_same, "nobody knows what the old one would have said"


def test_of_a_target_only_what_changed_is_shown(capsys):
    def raw(host):
        where = {"url": host, "labels": {"a": 1, "b": [{"x": 1}, {"x": host}]}}
        return RAW | {"targets": {"room": {"kind": "thing", "where": where, "same": "y" * 400}}}

    before, after = (Outline.model_validate(raw(host)) for host in ("one", "two"))
    found = compare(before, after)
    [part] = found.targets
    assert ["where.url", "where.labels.b[1].x"] == [field.name for field in part.fields]
    assert "yyy" not in text_of(found, capsys)


def test_a_step_of_finally_has_no_wave(capsys):
    final = step("tell", effect=Effect.NOTIFY, is_final=True)
    with_final = base(steps=(*base().steps, final))
    for pair in ((with_final, base()), (base(), with_final)):
        text = text_of(diff(*pair), capsys)
        [line] = [line for line in text.splitlines() if " tell " in line]
        assert "finally: tell" in line
        assert "wave" not in line
    inside = base(steps=(*base().steps, final.model_copy(update={"is_final": False})))
    text = text_of(diff(inside, with_final), capsys)
    assert "finally  false -> true" in text
    assert "wave" not in text


@pytest.mark.parametrize("runs", [False, True])
def test_detection_and_the_slow_tenth_are_in_the_sum_as_in_the_plan(capsys, runs):
    """`plan` says MISSES; a comparison that says "fits" of the same plan is worse than none."""
    fast, slow = of_incident(100.0), of_incident(700.0)
    if runs:
        times = {"p10_s": 263.0, "p50_s": 263.0, "machine_s": 263.0, "people_s": 0.0}
        times |= {"rate": None, "runs": 5, "longest_s": 900.0, "in_budget": True}
        slow = of_incident(400.0, forecast=Forecast(p90_s=563.0, detection_s=400.0, **times))
    found = diff(fast, slow)
    assert (slow.spare_s, -63.0) == (found.after.spare_s, slow.spare_s)
    assert (fast.spare_s, 537.0) == (found.before.spare_s, fast.spare_s)
    assert "the forecast misses the RTO by 1m3s; it did not before" in found.weaker
    line = "6m3s to 16m3s (10m longer) of RTO 15m: MISSES by 1m3s"
    assert line in text_of(found, capsys)
    assert "❌ The recovery misses its RTO" in diff_markdown(found)
    assert "detection" in [field.name for field in found.whole]
    assert found.as_json()["after"]["spare_s"] == -63.0


def test_a_forecast_that_cannot_know_detection_says_so(tmp_path, capsys):
    raw = json.loads(of_incident(100.0).as_saved())
    old = raw | {"objectives": {k: v for k, v in raw["objectives"].items() if k != "detection_s"}}
    paths = write(tmp_path / "a.json", raw), write(tmp_path / "b.json", old)
    assert "10m37s to spare, without detection" in text_of(compare_files(*paths), capsys)
    assert "without" not in text_of(compare_files(*reversed(paths)), capsys)
    assert "without" not in text_of(diff(base(), base()), capsys), "its clock starts at the run"
