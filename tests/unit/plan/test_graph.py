"""Waves and the longest chain, against every path there is."""

import itertools

from engine_model import plan_of, step
from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.actions.contract import Effect
from drctl.plan.forecast import Progress, chain_left, forecast_s, left_s
from drctl.plan.graph import longest_chain, waves


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 9))
    made = []
    for index in range(count):
        needs = draw(st.sets(st.integers(0, index - 1))) if index else set()
        estimate = draw(st.integers(0, 50))
        made.append(
            step(f"s{index}", needs=tuple(f"s{n}" for n in sorted(needs)), estimate_s=estimate)
        )
    return tuple(draw(st.permutations(made)))


def paths(steps):
    by_id = {one.id: one for one in steps}
    found = [(one.id,) for one in steps]
    while found:
        path = found.pop()
        yield path
        found += [(need, *path) for need in by_id[path[0]].needs]


@settings(max_examples=150)
@given(graphs(), st.data())
def test_the_longest_chain_is_as_long_as_the_longest_path_and_is_one(steps, data):
    by_id = {one.id: one for one in steps}
    ends = tuple(data.draw(st.sets(st.sampled_from(sorted(by_id)))))
    left = {one.id: one.estimate_s for one in steps}
    length, chain = longest_chain(steps, left, ends)
    to_ends = [path for path in paths(steps) if not ends or path[-1] in ends]
    assert max(sum(left[name] for name in path) for path in to_ends) == length
    assert sum(left[name] for name in chain) == length
    assert all(a in by_id[b].needs for a, b in itertools.pairwise(chain))
    assert not ends or chain[-1] in ends


@settings(max_examples=150)
@given(graphs())
def test_waves_hold_each_step_once_and_after_its_needs(steps):
    groups = waves(steps)
    order = {name: number for number, group in enumerate(groups) for name in group}
    assert sorted(order) == sorted(one.id for one in steps)
    assert sum(map(len, groups)) == len(steps)
    for one in steps:
        assert all(order[need] < order[one.id] for need in one.needs)


def test_what_runs_counts_its_rest_and_never_less_than_nothing():
    one = step("a", estimate_s=10)
    assert left_s(one, Progress()) == 10
    assert left_s(one, Progress(running_s={"a": 4})) == 6
    assert left_s(one, Progress(running_s={"a": 40})) == 0
    assert left_s(one, Progress(settled=frozenset({"a"}))) == 0


def test_the_forecast_ends_where_the_clock_stops():
    plan = plan_of(
        step("a", estimate_s=10),
        step("proof", estimate_s=5, needs=("a",)),
        step("beside", estimate_s=12),
        step("tidy", estimate_s=99, needs=("proof",)),
        step("news", effect=Effect.NOTIFY, estimate_s=999, is_final=True),
        ends=("proof",),
    )
    assert (15, ("a", "proof")) == chain_left(plan, Progress())
    assert forecast_s(plan, Progress(settled=frozenset({"a"}), running_s={"proof": 2})) == 3


def test_no_end_that_is_there_is_no_chain():
    assert longest_chain((), {}, ()) == (0.0, ())
    assert longest_chain((step("a"),), {"a": 1}, ("b",)) == (0.0, ())
