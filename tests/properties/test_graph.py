"""Random graphs: ancestors, orders and cycles agree with their definitions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.kernel.ids import StepId
from drctl.runbook import ancestors, in_order
from drctl.runbook.graph import cycles

Needs = dict[StepId, tuple[StepId, ...]]


@st.composite
def graphs(draw: st.DrawFn, *, acyclic: bool = True) -> Needs:
    names = [StepId(f"s{n}") for n in range(draw(st.integers(1, 12)))]
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:n] if acyclic else names), unique=True)))
        if n or not acyclic
        else ()
        for n, name in enumerate(names)
    }
    shuffled = draw(st.permutations(names))
    return {name: needs[name] for name in shuffled}


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_ancestors_are_the_needs_and_their_ancestors(needs: Needs) -> None:
    found = ancestors(needs)
    for step, direct in needs.items():
        assert found[step] == set(direct).union(*(found[need] for need in direct))
        assert step not in found[step]


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_an_order_has_every_step_once_and_after_all_its_ancestors(needs: Needs) -> None:
    order, above = in_order(needs), ancestors(needs)
    assert sorted(order) == sorted(needs)
    for place, step in enumerate(order):
        assert above[step] <= set(order[:place])
    assert cycles(needs) == []


@settings(max_examples=200, deadline=None)
@given(graphs(acyclic=False))
def test_a_cycle_is_a_real_one_and_is_found_when_there_is_one(needs: Needs) -> None:
    rings = cycles(needs)
    for ring in rings:
        for step, need in zip(ring, (*ring[1:], ring[0]), strict=True):
            assert need in needs[step]
    above = ancestors(needs)
    assert all(step not in above[step] for step in needs)
    if not rings:
        assert len(in_order(needs)) == len(needs)
