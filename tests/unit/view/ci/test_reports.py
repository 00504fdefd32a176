"""JUnit, SARIF and Markdown hold whatever texts are in them, and say what was found."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from engine_model import plan_of, step
from jsonschema import Draft7Validator
from nasty import NASTY

from drctl.actions.contract import Effect
from drctl.plan.findings import Finding
from drctl.plan.model import LossLook, PlannedGate, PlannedPin, Prediction
from drctl.plan.refusals import refusals
from drctl.view.ci.junit import as_junit, plan_suite, validation_suites
from drctl.view.ci.markdown import LARGEST, code, cut, plain
from drctl.view.ci.remark import MISSED, Remark, of_plan
from drctl.view.ci.sarif import as_sarif
from drctl.view.ci.summary import plan_summary, validation_summary, verdict

SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0-part.json").read_text())


def remarks(nasty):
    return [
        Remark(
            rule=rule, level=level, what=nasty, why=nasty, fix=nasty, step="a",
            file=nasty or "r.yaml", line=3, column=7,
        )
        for rule, level in (("DR1013", "error"), ("DR6101", "warning"), (nasty or "x", "error"))
    ]  # fmt: skip


def plan_with(nasty, **more):
    text = nasty.encode("utf-8", "backslashreplace").decode()
    settings = {
        "title": text,
        "inputs": {"x": text},
        "pins": (
            PlannedPin(name="n", subject=text, targets=("room",), expected="us", found=text),
            PlannedPin(name="m", subject="s", targets=("room",), expected="us", found=None),
        ),
        "gates": {"go": PlannedGate(title=text, expires_s=9)},
        "loss": LossLook(step="a", bound_s=None, source=text),
        "forecast_s": 1000.0,
        "critical_path": ("a", "g"),
        "findings": (
            Finding(id="DR6101", severity="error", where="a", at="r.yaml:3:4", what=text),
            Finding(id="DR6102", severity="warning", what=text, fix=text),
        ),
    }
    seen = Prediction(symbol="!", before=text, after=text, why=text)
    return plan_of(
        step("a", title=text, target="room", effect=Effect.PROMOTE, prediction=seen),
        step("g", gate="go", needs=("a",)),
        **(settings | more),
    )


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_junit_is_well_formed_and_no_text_makes_a_case(nasty):
    found = remarks(nasty)
    files = [nasty or "r.yaml", "clean.yaml"]
    document = ET.fromstring(as_junit(validation_suites(files, found)))  # noqa: S314 (we wrote it)
    assert [child.tag for child in document] == ["testsuite", "testsuite"]
    assert [case.get("name") for case in document[0]][:2] == ["the text is valid", "rule DR6101"]
    plan = plan_with(nasty)
    suite = plan_suite(plan, of_plan(plan, "r.yaml"), "r.yaml")
    made = ET.fromstring(as_junit([suite]))  # noqa: S314 (we wrote it)
    cases = {case.get("name"): case for case in made.iter("testcase")}
    assert len(cases) == int(made.get("tests")) == 7
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    assert failed == {name for name in cases if name.startswith("identity n of")} | {
        "the forecast fits the RTO",
        "the loss bound is within the RPO",
        "step a",
    }
    assert int(made.get("failures")) == 4
    assert cases["identity m of s"].find("skipped").get("message") == "did not answer"
    assert cases["rule DR6102"].find("system-out") is not None
    assert cases["step g"].find("failure") is None


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_sarif_holds_its_schema(nasty):
    text = as_sarif(remarks(nasty), lambda _rule: nasty or None)
    document = json.loads(text)
    json.dumps(document, ensure_ascii=False).encode()  # half a character is no JSON to some
    Draft7Validator(SCHEMA).validate(document)
    [run] = document["runs"]
    assert len(run["results"]) == 3
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region == {"startLine": 3, "startColumn": 7}


def test_the_schema_that_is_held_refuses():
    """Else the test above would show nothing."""
    good = json.loads(as_sarif(remarks("x"), lambda _rule: "y"))
    validator = Draft7Validator(SCHEMA)
    assert validator.is_valid(good)
    for path, value in (
        (("version",), "2.0.0"),
        (("runs",), None),
        (("runs", 0, "tool"), {}),
        (("runs", 0, "tool", "driver", "rules", 0, "id"), 1),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "results", 0, "ruleIndex"), -2),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
        (("runs", 0, "results", 0, "partialFingerprints", "x"), 1),
    ):
        bad = json.loads(json.dumps(good))
        place = bad
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert not validator.is_valid(bad), path


def test_a_finding_that_moves_down_the_file_is_the_same_one():
    def marks(*lines):
        found = [
            Remark(rule="DR6101", level="error", what="w", step="a", file="r.yaml", line=line)
            for line in lines
        ]
        results = json.loads(as_sarif(found, lambda _rule: None))["runs"][0]["results"]
        return [one["partialFingerprints"]["drctl/v1"] for one in results]

    assert marks(3) == marks(90)
    assert len(set(marks(3, 90))) == 2, "two of them in one file are two"
    assert marks(3, 90)[0] == marks(4)[0]


def test_what_is_nowhere_is_no_result():
    nowhere = Remark(rule="DR5001", level="error", what="no environment")
    assert json.loads(as_sarif([nowhere], lambda _rule: None))["runs"][0]["results"] == []


ALLOWED = re.compile(r"</?(details|summary|br)>|<!--[^<>]*-->")


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_markdown_has_no_markup_but_ours(nasty):
    plan = plan_with(nasty)
    for text in (
        plan_summary(plan, of_plan(plan, "r.yaml")),
        validation_summary([nasty or "r.yaml"], remarks(nasty)),
    ):
        bare = re.sub(r"\\.", "", re.sub(r"`[^`\n]*`", "", text))
        assert "<" not in ALLOWED.sub("", bare)
        assert not re.search(r"!?\[[^\]]*\]\(|:\w+:|://|@(?=\w)|www\.|&\w+;", bare)
        assert bare.count("<details>") == bare.count("</details>") <= 1
        for line in bare.splitlines():
            if line.startswith("| "):
                assert line.count("|") in {3, 7, 8}, line
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_code_is_a_span_or_no_code():
    assert code("a_b") == "`a_b`"
    assert code("a`b") == r"a\`b"
    assert code("a|b") == r"a\|b"
    assert plain("what: this") == "what: this"


def test_the_page_of_a_plan_says_what_is_not_known():
    looked = plan_with("x", loss=None)
    assert "not measured before the run" in plan_summary(looked, [])
    assert "not looked at" in plan_summary(looked.model_copy(update={"is_offline": True}), [])
    assert "**unknown** (x)" in plan_summary(plan_with("x"), [])
    above = plan_with("x", loss=LossLook(step="a", bound_s=900.0, source="s"))
    assert "above the RPO" in plan_summary(above, [])


def test_a_missed_rto_is_an_error_of_the_runbook():
    found = [one for one in of_plan(plan_with("x"), "r.yaml") if one.rule == MISSED]
    [one] = found
    assert (one.level, one.file) == ("error", "r.yaml")
    assert "misses the RTO by 1m40s" in one.what
    well = plan_with("x", forecast_s=1.0, findings=(), pins=(), loss=None)
    assert of_plan(well, "r.yaml") == []


def test_a_plan_that_fits_and_would_be_turned_away_is_not_called_well():
    """The worst that is known comes first: who merges reads one line."""
    well = plan_with("x", forecast_s=1.0, findings=(), pins=(), loss=None)
    assert verdict(well).startswith("✅ fits")
    assert refusals(well) == ()
    pin = PlannedPin(name="aws.account", subject="us", targets=(), expected="1", found="2")
    other = well.model_copy(update={"pins": (pin,)})
    assert verdict(other) == "❌ a run now would be REFUSED: aws.account of us must be 1, and is 2"
    assert [(one.rule, one.level) for one in of_plan(other)] == [("DR5201", "error")]
    silent = well.model_copy(update={"pins": (pin.model_copy(update={"found": None}),)})
    assert refusals(silent) == (), "silence is no reason; a run may have to bear it"
    for bound_s, size in ((900.0, "is at most 15m"), (None, "cannot be bounded")):
        loss = LossLook(step="a", bound_s=bound_s, source="s")
        lossy = well.model_copy(update={"loss": loss})
        assert f"would PAUSE: the loss of writes {size}" in verdict(lossy)
        changes = [one.model_copy(update={"effect": Effect.CHANGE, "needs": ()})
                   if one.id == "a" else one for one in lossy.steps]  # fmt: skip
        later = {"steps": tuple(changes), "loss": loss.model_copy(update={"step": "g"})}
        assert refusals(lossy.model_copy(update=later)) == (), "the run changes what it measures"
    ill = Finding(id="DR6306", severity="error", what="no read-back")
    assert verdict(well.model_copy(update={"findings": (ill,)})).startswith("❌ 1 error")


def test_a_page_that_is_too_long_is_cut_and_says_so():
    whole = "é line\n" * 200_000
    assert len(cut(whole).encode()) < LARGEST + 200
    assert "Cut here" in cut(whole)
    assert cut("short\n") == "short\n"
