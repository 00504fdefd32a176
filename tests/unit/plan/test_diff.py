"""What a change does to a recovery: found, called weaker where it is, never believed blindly."""

import json
import re

import pytest
from diff_plans import GATE, KEY, RAW, base, diff, text_of, with_step, without, write
from engine_model import step

from drctl.actions.contract import Effect
from drctl.actions.targets import SlackChannel
from drctl.app.comparing import compare_files
from drctl.kernel.errors import InvalidError
from drctl.plan.findings import Finding, Waived
from drctl.plan.model import (
    LossLook,
    PlannedCall,
    PlannedLease,
    PlannedPerson,
    Prediction,
    Retry,
)
from drctl.plan.outline import level_of
from drctl.view.ci.diff_markdown import diff_markdown


def test_a_plan_is_as_itself():
    found = diff(base(), base(created_at="2030-01-01T00:00:00+00:00"))
    assert found.is_same
    assert (found.weaker, found.steps, found.gates) == ((), (), ())


CALL = base().steps[3].call
CHANGES = {
    "timeout": with_step("promote", timeout_s=999.0),
    "estimate": with_step("promote", estimate_s=999.0),
    "attempts": with_step("promote", retry=Retry(attempts=7)),
    "uses": with_step("promote", call=CALL.model_copy(update={"uses": "another"})),
    "target": with_step("promote", call=CALL.model_copy(update={"target": "room"})),
    "with.wait": with_step("promote", call=CALL.model_copy(update={"with_": {"n": 0}})),
    # To Python, 0 and false are the same value.
    "with.n": with_step(
        "promote", call=CALL.model_copy(update={"with_": {"wait": True, "n": False}})
    ),
    "needs": with_step("promote", needs=("fence", "lag")),
    "verify": with_step("promote", verify=(PlannedCall(uses="write", with_={"x": 1}),)),
    "on_failure": with_step("promote", on_failure="stop"),
    "when": with_step("promote", when="${{ inputs.x }}"),
    "until": with_step("promote", until="${{ outputs.x }}"),
    "title": with_step("promote", title="Another"),
    "show": with_step("promote", show=("x",)),
    "effect": with_step("promote", effect=Effect.DESTROY),
    "undo": with_step("promote", undo=PlannedCall(uses="back")),
    "every": with_step("promote", every_s=7.0),
    "backoff": with_step("promote", retry=Retry(backoff_s=7.0)),
    "longest backoff": with_step("promote", retry=Retry(max_backoff_s=77.0)),
    "no way back": with_step("promote", no_way_back="the old primary's last writes"),
    "measures the loss": with_step("promote", measures_loss=True),
    "proves one primary": with_step("promote", proves_one_primary=True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_field_of_a_step_is_named(name):
    found = diff(base(), CHANGES[name])
    [part] = [one for one in found.steps if one.name == "promote"]
    assert ("~", [name]) == (part.sign, [field.name for field in part.fields])
    assert not found.is_same
    back = diff(CHANGES[name], base())
    [again] = [one for one in back.steps if one.name == "promote"]
    assert [(f.name, f.before, f.after) for f in part.fields] == [
        (f.name, f.after, f.before) for f in again.fields
    ]


def test_steps_that_come_go_and_move():
    steps = (
        *base().steps[:3],
        step("extra", target="room", effect=Effect.CHANGE, needs=("fence",)),
        *(
            s.model_copy(update={"needs": ("extra",)} if s.id == "promote" else {})
            for s in base().steps[3:5]
        ),
    )
    found = diff(base(), base(steps=steps))
    signs = {part.name: part.sign for part in found.steps}
    assert signs == {"extra": "+", "promote": "~", "move": ">", "proof": "-"}
    moved = next(part for part in found.steps if part.name == "move")
    assert (moved.wave_before, moved.wave_after) == (5, 6)


WEAKER = {
    "fence: a fence is gone": without("fence"),
    "lag: a measurement of the loss is gone": without("lag"),
    "proof: the proof of one primary is gone": without("proof"),
    "go: a gate is gone": without("go"),
    "promote no longer waits for the fence fence": with_step("promote", needs=("go",)),
    "promote no longer waits for the gate go": with_step("fence", needs=("lag",)),
    "move can no longer be taken back": with_step("move", undo=None),
    "promote is no longer verified by write": with_step("promote", verify=()),
    "promote may fail, and the run goes on": with_step("promote", on_failure="continue"),
    "fence has no way back": with_step("fence", effect=Effect.DESTROY),
    "gate go: 1 instead of 2 must say go": base(
        gates={"go": GATE.model_copy(update={"quorum": 1})}
    ),
    "gate go: anybody may say go": base(gates={"go": GATE.model_copy(update={"approvers": ()})}),
    "gate go: also all may say go": base(
        gates={"go": GATE.model_copy(update={"approvers": ("ic", "all")})}
    ),
    "gate go: who starts the run may say go": base(
        gates={"go": GATE.model_copy(update={"self_approval": True})}
    ),
    "gate go: no reason is asked for": base(
        gates={"go": GATE.model_copy(update={"reason_required": False})}
    ),
    "model is no longer protected": base(protected=False),
    "a run may change 99 things instead of 10": base(max_targets=99),
    "a plan may be run for 24h instead of 15m": base(expires_after_s=86400.0),
    "the RTO allows more: 15m was, 30m is": base(
        objectives=base().objectives.model_copy(update={"rto_s": 1800.0})
    ),
    "the RPO allows more: 5m was, 1h is": base(
        objectives=base().objectives.model_copy(update={"rpo_s": 3600.0})
    ),
    "the incident clock no longer waits for proof": base(
        objectives=base().objectives.model_copy(update={"stops_after": ("move",)})
    ),
    "the forecast misses the RTO by 1m40s; it did not before": base(forecast_s=1000.0),
}


@pytest.mark.parametrize("sentence", WEAKER)
def test_a_guard_that_is_gone_is_called_weaker_and_the_other_way_round_is_not(sentence):
    assert sentence in diff(base(), WEAKER[sentence]).weaker
    assert sentence not in diff(WEAKER[sentence], base()).weaker
    assert sentence not in diff(base(), base()).weaker


def test_people_who_may_answer():
    zoe = {"zoe": PlannedPerson(roles=("ic",), keys=(KEY,))}
    both = {**zoe, "bob": PlannedPerson(roles=("ic",), keys=(KEY,))}
    assert "bob may answer gates" in diff(base(people=zoe), base(people=both)).weaker
    enrolled = diff(base(people=zoe), base())
    assert any("nobody is enrolled" in sentence for sentence in enrolled.weaker)
    assert diff(base(), base(people=zoe)).weaker == ()


def test_reach_planes_findings_code_and_targets():
    more = with_step("move", planes=("data-plane:s3", "control-plane:us-east-1"))
    found = diff(base(is_offline=False), more)
    assert found.planes.added == ("control-plane:us-east-1",)
    assert not found.is_same
    assert diff(without("move"), base()).reach.added == ()
    assert diff(without("promote"), base()).reach.added == ("other",)
    assert diff(without("promote"), base()).no_way_back.added == ("promote",)
    finding = Finding(id="DR6101", severity="error", where="promote", what="no fence")
    assert diff(base(), base(findings=(finding,))).findings.added == ("DR6101 promote: no fence",)
    assert diff(base(code={"x": "1"}), base(code={"x": "2"})).code.added == ("x",)
    elsewhere = diff(base(), base(targets={**base().targets, "other": SlackChannel(channel="#z")}))
    assert [part.name for part in elsewhere.targets] == ["other"]
    assert not elsewhere.is_same


ERROR = Finding(id="DR6301", severity="error", what="1m26s too long")
WARNING = Finding(id="DR6302", severity="warning", where="go", what="it waits for long")


def waived(finding, until="2027-03-31", reason="we know"):
    return Waived(finding=finding, until=until, reason=reason)


def test_a_waiver_is_no_cure(capsys):
    """It takes an error out of the list of findings as a cure does, and cures nothing."""
    before = base(findings=(ERROR, WARNING))
    found = diff(before, base(waived=(waived(ERROR), waived(WARNING))))
    assert (
        "DR6301 is waived until 2027-03-31 because we know",
        "DR6302 go is waived until 2027-03-31 because we know",
    ) == found.weaker
    assert not found.findings
    assert not found.is_same
    for text in (text_of(found, capsys), diff_markdown(found)):
        assert "DR6301 is waived until 2027-03-31 because we know" in text
        assert "too long" not in text
    cured = diff(before, base())
    assert ("DR6301: 1m26s too long", "DR6302 go: it waits for long") == cured.findings.removed
    assert cured.weaker == ()


def test_a_waiver_that_ends_later_is_weaker_and_one_that_is_gone_is_not():
    early, late = (base(waived=(waived(ERROR, until),)) for until in ("2027-03-31", "2028-01-01"))
    found = diff(early, late)
    assert found.weaker == ("DR6301 is waived until 2028-01-01 instead of 2027-03-31",)
    assert ["until"] == [field.name for field in found.waivers[0].fields]
    assert diff(late, early).weaker == ()
    assert not diff(late, early).is_same
    back = diff(early, base(findings=(ERROR,)))
    assert back.weaker == ()
    assert ["-"] == [one.sign for one in back.waivers]
    assert back.findings.added == ("DR6301: 1m26s too long",)


def test_a_new_error_is_weaker_and_is_no_good_news():
    found = diff(base(), base(findings=(ERROR, WARNING)))
    assert found.weaker == ("a new error: DR6301: 1m26s too long",)
    markdown = diff_markdown(found)
    assert "## ❌ The recovery has errors" in markdown
    assert "🆕 DR6301" in markdown
    assert not set("🟢🔴") & set(markdown + diff_markdown(diff(base(findings=(ERROR,)), base())))
    other = ERROR.model_copy(update={"what": "2m26s too long"})
    longer = diff(base(findings=(ERROR,)), base(findings=(other,)))
    assert longer.weaker == (), "the same error in other words"
    again = diff(base(findings=(ERROR,)), base(findings=(ERROR, other)))
    assert again.weaker == ("a new error: DR6301: 2m26s too long",)


LEASED = PlannedLease(store="s3", identities=("a",), cool_down_s=3600.0)


def test_a_lease_that_holds_nobody_elsewhere_is_weaker():
    alone = base(lease=LEASED.model_copy(update={"store": None}))
    [sentence] = diff(base(lease=LEASED), alone).weaker
    assert sentence.startswith("the lease is kept on one machine only")
    hot = base(lease=LEASED.model_copy(update={"cool_down_s": 60.0}))
    assert diff(base(lease=LEASED), hot).weaker == ("the cool-down is 1m instead of 1h",)
    assert diff(alone, base(lease=LEASED)).weaker == diff(hot, base(lease=LEASED)).weaker == ()


def test_planes_that_nobody_looked_up_are_not_said_to_be_none():
    bare = with_step("move", planes=()).model_copy(update={"is_offline": True})
    found = diff(bare.sealed(), base())
    assert found.planes is None
    assert "planes were not looked at" in diff_markdown(found)


def test_what_was_seen_is_the_worlds_doing():
    seen = with_step("promote", prediction=Prediction(symbol="!", facts={"state": "gone"}))
    other = with_step("promote", prediction=Prediction(symbol="!", facts={"state": "there"}))
    found = diff(seen, other)
    assert found.is_same, "a pull request did not do that"
    assert [part.name for part in found.seen] == ["promote"]
    loss = diff(base(), base(loss=LossLook(step="lag", bound_s=2.0, source="s")))
    assert [part.name for part in loss.seen] == ["data loss"]


def test_it_is_told_the_weakest_first(capsys):
    found = diff(base(), WEAKER["fence: a fence is gone"])
    text, markdown = text_of(found, capsys), diff_markdown(found)
    assert text.index("a fence is gone") < text.index("\nsteps")
    assert markdown.index("a fence is gone") < markdown.index("### Steps")
    assert markdown.startswith("<!-- drctl plan diff fake model -->\n## ⚠️ The recovery is weaker")
    same = diff(base(), base())
    assert "nothing that a run would do differs" in text_of(same, capsys)
    assert "✅ The recovery is the same" in diff_markdown(same)
    missed = diff_markdown(diff(base(), base(forecast_s=1000.0)))
    assert "❌ The recovery misses its RTO" in missed


HOSTILE = {
    "no JSON": "{",
    "nothing": "",
    "a list": "[]",
    "a number": "1",
    "deep": "[" * 100_000,
    "deep inside": json.dumps(RAW).replace('"inputs": {}', '"inputs": ' + "[" * 9999 + "]" * 9999),
    "no steps": {k: v for k, v in RAW.items() if k != "steps"},
    "steps are a text": RAW | {"steps": "abc"},
    "a step without id": RAW | {"steps": [{}]},
    "a step's id is long": RAW | {"steps": [{"id": "x" * 301}]},
    "a time is none": RAW | {"forecast_s": "soon"},
    "a time is endless": json.dumps(RAW).replace('"forecast_s": 263.0', '"forecast_s": Infinity'),
    "a time is not a number": json.dumps(RAW).replace('"forecast_s": 263.0', '"forecast_s": NaN'),
    "a time is past counting": RAW | {"forecast_s": 1e300},
    "a time is negative": RAW | {"forecast_s": -1},
    "a quorum is past counting": RAW | {"gates": {"go": {"quorum": 10**30}}},
    "needs are a number": RAW | {"steps": [{"id": "a", "needs": 3}]},
    "too many steps": RAW | {"steps": [{"id": str(n)} for n in range(20_001)]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_plan_is_refused_in_words(name, tmp_path):
    good = write(tmp_path / "good.json", RAW)
    bad = write(tmp_path / "bad.json", HOSTILE[name])
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(InvalidError, match="DR3203") as caught:
            compare_files(*pair)
        assert len(caught.value.problems) == 1
        assert len(caught.value.problems[0].why) < 400
    with pytest.raises(InvalidError) as both:
        compare_files(bad, tmp_path / "missing.json")
    assert len(both.value.problems) == 2


def test_a_plan_of_another_version_is_read_as_far_as_it_is_known(tmp_path):
    future = RAW | {
        "drctl": "9.9",
        "version": 7,
        "novelty": {"x": [1]},
        "steps": [*RAW["steps"], {"id": "new", "effect": "teleport", "novel": True}],
    }
    paths = write(tmp_path / "a.json", RAW), write(tmp_path / "b.json", future)
    found = compare_files(*paths)
    assert [part.name for part in found.steps] == ["new"]
    assert "made by two versions of drctl: 0 and 9.9" in diff_markdown(found)


def test_rings_doubles_and_needs_of_nothing_end(tmp_path, capsys):
    steps = [
        {"id": "a", "needs": ["b"], "effect": "promote"},
        {"id": "b", "needs": ["a", "b", "nobody"]},
        {"id": "a", "needs": []},
        {"id": "c", "needs": ["nobody"]},
    ]
    found = compare_files(
        write(tmp_path / "a.json", RAW), write(tmp_path / "b.json", RAW | {"steps": steps})
    )
    assert {"a", "b", "c"} <= {part.name for part in found.steps}
    assert text_of(found, capsys)
    assert level_of(found.after.steps)["c"] == 1


def test_hostile_texts_stay_texts(tmp_path, capsys):
    evil = "\x1b]0;x\x07 @org/team <script> [l](javascript:x) \u202e\n::error::x"
    steps = [{"id": evil, "title": evil, "call": {"uses": evil, "with_": {evil: evil}}}]
    raw = RAW | {"title": evil, "runbook": evil, "steps": steps, "gates": {evil: {"title": evil}}}
    found = compare_files(write(tmp_path / "a.json", RAW), write(tmp_path / "b.json", raw))
    for text in (text_of(found, capsys), diff_markdown(found)):
        assert not any(character in text for character in "\x1b\x07\u202e")
        assert "\n::error" not in text
    bare = re.sub(r"\\.", "", re.sub(r"`[^`\n]*`", "", diff_markdown(found)))
    assert "<script" not in bare
    assert "@org" not in bare
    assert found.as_json()["version"] == 1
