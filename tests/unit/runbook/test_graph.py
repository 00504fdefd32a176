"""Which step waits for which."""

from collections.abc import Callable

import pytest

from drctl.kernel.ids import StepId
from drctl.runbook import ancestors, in_order, load_runbook
from drctl.runbook.graph import cycles

Check = Callable[..., list[str]]

PROBE = "uses: http.probe, target: app, with: {path: /x}, timeout: 5s"


def needs(**steps: str) -> dict[StepId, tuple[StepId, ...]]:
    return {StepId(s): tuple(StepId(n) for n in ns.split()) for s, ns in steps.items()}


def test_ancestors_are_all_steps_that_are_over_before() -> None:
    found = ancestors(needs(a="", b="a", c="a", d="b c"))
    assert found["d"] == {"a", "b", "c"}
    assert found["a"] == frozenset()


def test_steps_in_a_cycle_are_not_each_others_ancestors() -> None:
    found = ancestors(needs(a="", b="a c", c="b", d="c"))
    assert found["b"] == {"a"}
    assert found["c"] == {"a"}
    assert found["d"] == {"a", "b", "c"}


def test_a_need_that_leads_nowhere_is_no_ancestor() -> None:
    assert ancestors(needs(a="zz"))["a"] == frozenset()


def test_ten_thousand_steps_in_a_row_are_no_trouble() -> None:
    names = [StepId(f"s{n}") for n in range(2_000)]
    row = {name: tuple(names[max(0, n - 1) : n]) for n, name in enumerate(names)}
    assert len(ancestors(row)[names[-1]]) == 1_999


def test_the_order_keeps_to_the_reading_order_where_it_may() -> None:
    assert in_order(needs(b="", a="", c="d", d="a")) == ("b", "a", "d", "c")


def test_one_cycle_is_told_for_each_knot_from_the_step_that_is_read_first() -> None:
    assert cycles(needs(a="c", b="a", c="b", d="", e="f", f="e")) == [("a", "c", "b"), ("e", "f")]
    assert cycles(needs(a="a")) == [("a",)]
    assert cycles(needs(a="", b="a")) == []


def test_a_step_without_needs_waits_for_the_step_above(registry) -> None:
    text = f"""\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: x, title: X, owner: us}}
objectives: {{rto: 1m, rpo: 0s, clock: {{stops_after: [c]}}}}
targets: {{app: app.recovery}}
steps:
  - {{id: a, {PROBE}}}
  - {{id: b, needs: [], {PROBE}}}
  - {{id: c, {PROBE}}}
finally:
  - {{id: d, {PROBE}}}
  - {{id: e, {PROBE}}}
"""
    runbook = load_runbook(text, registry=registry)
    assert [step.needs for step in runbook.steps] == [(), (), ("b",)]
    assert [step.needs for step in runbook.finally_] == [(), ("d",)]
    assert runbook.step(StepId("e")).id == "e"
    with pytest.raises(KeyError):
        runbook.step(StepId("zz"))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (f"- {{id: a, needs: [lok], {PROBE}}}\n", 'there is no step "lok"; did you mean "look"?'),
        (f"- {{id: A-b, {PROBE}}}\n", '"A-b" is not an id'),
        (f"- {{id: a, {PROBE}}}\n- {{id: a, {PROBE}}}\n", 'the id "a" is used twice'),
        (
            f"- {{id: a, needs: [b], {PROBE}}}\n- {{id: b, {PROBE}}}\n",
            "a needs b, b stands below a",
        ),
        (f"- {{id: a, needs: [a], {PROBE}}}\n", "a needs a"),
    ],
)
def test_a_mistake_in_the_graph_is_one_problem(check: Check, steps: str, expected: str) -> None:
    problems = check(steps)
    assert len(problems) == 1, problems
    assert expected in problems[0]


def test_a_step_under_finally_cannot_need_one_above(check: Check) -> None:
    last = "- {id: look, uses: http.probe, target: app, with: {path: /x}, timeout: 5s}\n"
    final = f"finally:\n- {{id: end, needs: [look], {PROBE}}}\n"
    head = "apiVersion: drctl/v1\nkind: Runbook\nmetadata: {name: x, title: X, owner: us}\n"
    head += "objectives: {rto: 1m, rpo: 0s, clock: {stops_after: [look]}}\n"
    head += "targets: {app: app.recovery}\n" + final
    assert check(head=head, last=last) == [
        'DR1020: steps under "finally" run after all others; leave "look" out'
    ]


def test_the_clock_stops_after_a_step_that_exists(check: Check) -> None:
    problems = check(last=f"- {{id: lock, {PROBE}}}\n")
    assert problems == ['DR1023: there is no step "look"; did you mean "lock"?']
