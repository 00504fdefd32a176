"""Steps that say the same but for their names are read and checked once, and no less well."""

from collections.abc import Callable

import pytest

from drctl.actions.registry import Registry
from drctl.kernel.errors import Problem
from drctl.runbook import check_runbook

HEAD = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: small, title: Small, owner: us}
objectives: {rto: 15m, rpo: 5m, clock: {stops_after: [a]}}
targets: {app: app.recovery}
steps:
"""
PROBE = "uses: http.probe, target: app, timeout: 9s"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("id: b, needs: [a]", "id: c, needs: []", []),
        ("id: b, title: B", "id: c, title: ''", ["9:20 DR1031"]),
        ("id: b, title: B", "id: c, title: 5", ["9:20 DR1012"]),
        ("id: b, needs: [a]", "id: c, needs: a", ["9:20 DR1012"]),
        ("id: b, needs: [a]", "id: c, needs: [5]", ["9:21 DR1012"]),
        ("id: b, needs: [a]", "id: c, needs: [d]", ["9:21 DR1020"]),
        ("id: b, title: B", "title: C", ["9:5 DR1011"]),
        ("id: b, title: B", "id: [c], title: C", ["9:10 DR1012"]),
        ("id: b, title: B", "id: C, title: C", ["9:10 DR1014"]),
        ("id: b, title: B", "id: b, title: C", ["9:10 DR1022"]),
        ("id: b, title: B", 'id: c, title: "${{ steps.z.status }}"', ["9:25 DR1041"]),
        ("id: b, position: 1", "id: c, position: 1", ["8:13 DR1010", "9:13 DR1010"]),
        ("id: b, timeot: 1s", "id: c, timeot: 1s", ["8:13 DR1010", "9:13 DR1010"]),
    ],
)
def test_what_a_step_has_for_itself_is_looked_at(
    registry: Registry,
    place: Callable[[Problem], str],
    first: str,
    second: str,
    expected: list[str],
) -> None:
    text = f"{HEAD}  - {{id: a, {PROBE}, with: {{path: /y}}}}\n"
    body = ", with: {path: /x}, " + PROBE
    text += "".join(f"  - {{{own}{body}}}\n" for own in (first, second))
    assert [place(one) for one in check_runbook(text, registry=registry)[1]] == expected


def test_a_body_that_speaks_of_another_step_is_checked_wherever_it_stands(
    registry: Registry, place: Callable[[Problem], str]
) -> None:
    speaks = '{path: "/${{ string(steps.a.outputs.status) }}"}'
    text = f"{HEAD}  - {{id: a, {PROBE}, with: {{path: /x}}}}\n"
    text += f"  - {{id: b, needs: [a], {PROBE}, with: {speaks}}}\n"
    text += f"  - {{id: c, needs: [], {PROBE}, with: {speaks}}}\n"
    problems = check_runbook(text, registry=registry)[1]
    assert [place(one).split()[1] for one in problems] == ["DR1042"]
    assert place(problems[0]).startswith("9:")


def test_a_body_that_is_right_under_steps_may_be_wrong_under_finally(
    registry: Registry, place: Callable[[Problem], str]
) -> None:
    includes = "uses: runbook.run, with: {runbook: other}"
    text = f"{HEAD}  - {{id: a, {PROBE}, with: {{path: /x}}}}\n  - {{id: b, {includes}}}\n"
    text += f"finally:\n  - {{id: c, {includes}}}\n"
    assert [place(one) for one in check_runbook(text, registry=registry)[1]] == ["10:19 DR1015"]


def test_a_body_that_was_passed_over_for_another_problem_is_no_sound_one(
    registry: Registry, place: Callable[[Problem], str]
) -> None:
    """What carries a tag is told of its tag alone; the same without has the other problem."""
    rest = "uses: http.probe, timeout: 9s, with: {path: /x}"
    text = f"{HEAD}  - {{id: a, target: !x nope, {rest}}}\n  - {{id: b, target: nope, {rest}}}\n"
    expected = ["7:21 DR1003", "8:21 DR1025"]
    assert [place(one) for one in check_runbook(text, registry=registry)[1]] == expected


def test_each_step_keeps_what_is_its_own(registry: Registry) -> None:
    rest = f"{PROBE}, with: {{path: /x}}"
    text = f"{HEAD}  - {{id: a, title: A, {rest}}}\n  - {{id: b, {rest}}}\n"
    text += f"  - {{id: c, title: C, needs: [a], {rest}}}\n"
    runbook, problems = check_runbook(text, registry=registry)
    assert runbook is not None
    assert not problems
    assert [(step.id, step.title, step.needs) for step in runbook.steps] == [
        ("a", "A", ()),
        ("b", None, ("a",)),
        ("c", "C", ("a",)),
    ]
    assert [step.position.line for step in runbook.steps] == [7, 8, 9]
    assert "title" not in runbook.steps[1].model_fields_set
