"""From text to a runbook, or to all that is wrong with it."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from drctl.actions.registry import Registry
from drctl.kernel.errors import InvalidError, Problem
from drctl.kernel.yaml_text import MAX_BYTES
from drctl.runbook import check_runbook, load_runbook

FULL = """\
apiVersion: drctl/v1
kind: Runbook
metadata:
  name: full
  title: Everything
  owner: us
  scenario: region-outage
  category: 3
  links: [https://example.com]
  compliance: [SOC2 A1.3]
objectives: {rto: 15m, rpo: 0s, clock: {starts_at: declared, stops_after: [look]}}
inputs:
  n: {type: int, default: 3, minimum: 1, maximum: 9, description: how many}
targets: {app: app.recovery}
gates:
  go: {title: Go, approvers: [a, b], quorum: 2, expires_after: 3m, reason_required: true}
steps:
  - id: scale
    title: Scale
    uses: kubernetes.deployment.scale
    target: app
    with: {replicas: "${{ inputs.n }}"}
    needs: []
    when: inputs.n > 1
    estimate: 2m
    timeout: 4m
    retry: {attempts: 3, backoff: 5s, max_backoff: 30s, on_errors: [throttled]}
    verify:
      - {uses: http.probe, target: app, with: {path: /x}, timeout: 5s}
    undo:
      {uses: human.task, with: {text: "was ${{ outputs.previous_replicas }}"}}
    on_failure: stop
    links: [x]
    compliance: [y]
  - id: go
    gate: go
    estimate: 1m
    show: ["${{ rto.remaining }} left"]
  - id: look
    uses: http.probe
    target: app
    with: {path: /health}
    until: outputs.checks.database == true && outputs.proof.by == 'x'
    every: 5s
    timeout: 90s
finally:
  - id: end
    uses: http.probe
    target: app
    with: {path: "/${{ run.succeeded }}"}
    timeout: 5s
waivers:
  - {rule: DR6101, step: go, reason: known, until: 2027-03-31}
"""


def test_every_field_arrives(registry: Registry) -> None:
    runbook = load_runbook(FULL, registry=registry)
    scale, go, look = runbook.steps
    assert runbook.metadata.compliance == ("SOC2 A1.3",)
    assert runbook.objectives.rpo == timedelta(0)
    assert runbook.inputs["n"].maximum == 9
    assert runbook.gates[go.gate or ""].quorum == 2
    assert (scale.retry.max_backoff if scale.retry else None) == timedelta(seconds=30)
    assert scale.verify[0].with_ == {"path": "/x"}
    assert scale.with_ == {"replicas": "${{ inputs.n }}"}
    assert (scale.label, look.label) == ("Scale", "look")
    assert str(look.position) == "<text>:39:5"
    assert runbook.finally_[0].id == "end"
    (waiver,) = runbook.waivers
    assert (waiver.rule, waiver.step, waiver.until) == ("DR6101", "go", date(2027, 3, 31))
    assert (str(waiver.position), waiver.store) == ("<text>:53:5", None)
    places = [str(runbook.places[name]) for name in ("metadata.category", "gates.go", "targets")]
    assert places == ["<text>:8:3", "<text>:16:3", "<text>:14:1"]
    again = type(runbook).model_validate_json(runbook.model_dump_json(by_alias=True))
    assert again == runbook


def problems_of(text: str, registry: Registry, place: Callable[[Problem], str]) -> list[str]:
    return [place(problem) for problem in check_runbook(text, registry=registry)[1]]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("drctl/v1", "drctl/v2", ["1:13 DR1012"]),
        ("kind: Runbook\n", "", ["1:1 DR1011"]),
        ("metadata:", "metadat:", ["3:1 DR1010"]),
        ("  owner: us\n", "", ["4:3 DR1011"]),
        ("category: 3", "category: 4", ["8:13 DR1012"]),
        ("category: 3", "category: '3'", ["8:13 DR1012"]),
        ("name: full", "name: Full", ["4:9 DR1012"]),
        ("rto: 15m", "rto: 15", ["11:19 DR1013"]),
        ("rto: 15m", "rto: 0s", ["11:19 DR1013"]),
        ("rto: 15m", "rto: true", ["11:19 DR1013"]),
        ("starts_at: declared", "starts_at: declare", ["11:52 DR1012"]),
        ("n: {type: int", "N: {type: int", ["13:3 DR1014", "22:27 DR1041", "24:11 DR1041"]),
        ("minimum: 1", "minimum: a", ["13:39 DR1016"]),
        ("default: 3", "default: 30", ["13:27 DR1016"]),
        ("targets: {app: app.recovery}", "targets: app", ["14:10 DR1012"]),
        ("approvers: [a, b]", "approvers: []", ["16:30 DR1031"]),
        ("on_errors: [throttled]", "on_errors: throttled", ["27:68 DR1012"]),
        ("attempts: 3", "atempts: 3", ["27:13 DR1010"]),
        ("on_failure: stop", "on_failure: stopp", ["32:17 DR1012"]),
        ("needs: []", "needs:", ["23:5 DR1031"]),
        ("links: [x]", "links: [~]", ["33:13 DR1031"]),
        ("id: scale", "id: 7", ["18:9 DR1012"]),
        ("id: scale", "ident: scale", ["18:5 DR1010", "18:5 DR1011"]),
        ("id: scale", "position: x", ["18:5 DR1010", "18:5 DR1011"]),
        ("    with: {path: /health}", "    with_: {path: /health}", ["42:5 DR1010"]),
        ("{path: /health}", "{pth: /health}", ["42:12 DR1010"]),
        ("{path: /health}", "{path: 3}", ["42:18 DR1012"]),
        ("{path: /health}", '{path: /health, expect: "3"}', ["42:35 DR1012"]),
        ("{path: /health}", "{path: /health, limit: 3}", ["42:34 DR1013"]),
        ("{path: /health}", "{path: /health, limit: soon}", ["42:34 DR1013"]),
        ("{path: /health}", '{path: /health, expect: "${{ env.name }}"}', ["42:35 DR1043"]),
        ("{path: /health}", '{path: "${{ inputs.n }}"}', ["42:18 DR1043"]),
        ("{path: /health}", "[path]", ["42:11 DR1012"]),
        ("outputs.proof.by", "outputs.proof.bye", ["43:47 DR1041"]),
        ("rule: DR6101", "rule: DR1060", ["53:12 DR1012"]),
        ("rule: DR6101", "rle: DR6101", ["53:6 DR1010"]),
        ("step: go", "step: goo", ["53:26 DR1070"]),
        (", reason: known", "", ["53:5 DR1011"]),
        ("reason: known", "reason: ''", ["53:38 DR1012"]),
        ("reason: known", 'reason: "  "', ["53:38 DR1012"]),
        (", until: 2027-03-31", "", ["53:5 DR1011"]),
        ("until: 2027-03-31", "until: soon", ["53:52 DR1012"]),
        ("until: 2027-03-31", "until: 2027", ["53:52 DR1012"]),
        ("  - {rule: DR6101,", "  - x: {rule: DR6101,", ["53:5 DR1010", *["53:5 DR1011"] * 3]),
        ("finally:\n", "finally: x\nx:\n", ["46:10 DR1012", "47:1 DR1010"]),
    ],
)
def test_a_mistake_is_told_at_its_place(
    registry: Registry,
    place: Callable[[Problem], str],
    old: str,
    new: str,
    expected: list[str],
) -> None:
    assert FULL.count(old) >= 1
    assert expected == problems_of(FULL.replace(old, new, 1), registry, place)


@pytest.mark.parametrize("text", ["a", "[]", "{}", "steps: 3", "steps: [3, [], {}]", "inputs: []"])
def test_a_text_that_is_no_runbook_is_told_so(registry: Registry, text: str) -> None:
    runbook, problems = check_runbook(text, registry=registry)
    assert runbook is None
    assert problems


def test_problems_come_in_the_order_of_the_file(registry: Registry) -> None:
    with pytest.raises(InvalidError) as caught:
        load_runbook("steps: 3\nkindd: x\nmetadata: 7\n", registry=registry)
    places = [problem.at for problem in caught.value.problems]
    assert places == sorted(places)
    assert len(places) > 3


def test_a_file_that_cannot_be_read_is_one_problem(registry: Registry, tmp_path: Path) -> None:
    missing, binary, large = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    binary.write_bytes(b"a: 1\n\xff")
    large.write_bytes(b"# " + b"\xc3\xa9" * (MAX_BYTES // 2))
    for path, code in (
        (missing, "DR1000"),
        (binary, "DR1000"),
        (large, "DR1002"),
        (tmp_path, "DR1000"),
    ):
        _, problems = check_runbook(path, registry=registry)
        assert [problem.code for problem in problems] == [code]


def test_a_file_is_read_and_named_in_positions(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "full.yaml"
    path.write_text(FULL)
    assert load_runbook(path, registry=registry).steps[0].position.file == str(path)
