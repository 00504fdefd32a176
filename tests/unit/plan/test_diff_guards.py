"""A guard under another name is there; one that asks or shows less is weaker."""

import pytest
from diff_plans import GATE, KEY, base, diff, text_of, with_step, without

from drctl.actions.contract import Effect
from drctl.plan.conditions import conjuncts, lost
from drctl.plan.findings import Finding
from drctl.plan.model import PlannedCall, PlannedPerson
from drctl.view.ci.diff_markdown import diff_markdown

SAID = "data loss: ${{ steps.lag.outputs.bound }}"


def with_texts(plan):
    """The same plan, whose gate and promotion speak of other steps."""
    more = {
        "go": {"show": (SAID, "budget left")},
        "promote": {"when": "steps.lag.outputs.ok", "until": "steps.fence.outputs.shut && a"},
    }
    steps = tuple(one.model_copy(update=more.get(one.id, {})) for one in plan.steps)
    return plan.model_copy(update={"steps": steps})


def under(old, new, plan):
    """The plan with another id for a step, everywhere."""
    raw = plan.as_saved().decode()
    for start, end in (('"', '"'), ("steps.", "."), ('"task:', '"')):
        raw = raw.replace(f"{start}{old}{end}", f"{start}{new}{end}")
    # What an action or an effect is called is no id.
    for key in ("uses", "effect"):
        raw = raw.replace(f'"{key}": "{new}"', f'"{key}": "{old}"')
    return type(plan).model_validate_json(raw)


@pytest.mark.parametrize("name", ["fence", "lag", "proof", "promote", "move"])
def test_a_step_under_another_name_is_no_guard_that_is_gone(name, capsys):
    plan = with_texts(base())
    found = diff(plan, under(name, "other_name", plan))
    assert found.weaker == ()
    [part] = [one for one in found.steps if one.about]
    assert ("~", "other_name") == (part.sign, part.name)
    assert [] == [(one.name, one.fields) for one in found.steps if one.fields and one != part]
    assert not found.is_same
    for text in (text_of(found, capsys), diff_markdown(found)):
        assert f"renamed {name} to other" in text.replace("\\", "")


def test_a_gate_under_another_name_is_told_by_its_gate_or_by_its_people():
    steps = tuple(
        one.model_copy(
            update={
                "id": "decide" if one.id == "go" else one.id,
                "needs": tuple("decide" if need == "go" else need for need in one.needs),
            }
        )
        for one in base().steps
    )
    found = diff(base(), base(steps=steps))
    assert found.weaker == ()
    assert ["renamed go to decide"] == [one.about for one in found.steps]
    renamed = tuple(one.model_copy(update={"gate": "judge"}) if one.gate else one for one in steps)
    found = diff(base(), base(steps=renamed, gates={"judge": GATE}))
    assert found.weaker == ()
    eased = base(steps=renamed, gates={"judge": GATE.model_copy(update={"quorum": 1})})
    assert "go: a gate is gone" in diff(base(), eased).weaker, "it is not the same gate"


def test_a_step_that_asks_another_gate_is_held_against_the_one_it_had():
    gates = {"go": GATE, "lax": GATE.model_copy(update={"quorum": 1})}
    lax = with_step("go", gate="lax").model_copy(update={"gates": gates})
    found = diff(base(gates=gates), lax)
    assert found.weaker == ("go asks gate lax instead of go: 1 instead of 2 must say go",)
    assert diff(lax, base(gates=gates)).weaker == ()


def test_a_persons_task_under_another_name_is_the_same_task():
    task = {"call": None, "gate": "task:move", "effect": Effect.CHANGE}
    before = with_step("move", **task).model_copy(update={"gates": {"go": GATE, "task:move": GATE}})
    found = diff(before, under("move", "by_hand", before))
    assert (found.weaker, found.gates) == ((), ())
    assert ["renamed move to by_hand"] == [one.about for one in found.steps if one.about]


def test_a_renamed_step_that_does_less_is_weaker_still():
    plan = under("promote", "raise_it", with_step("promote", verify=()))
    assert diff(base(), plan).weaker == ("raise_it is no longer verified by write",)
    other = PlannedCall(uses="fence", target="other")
    fenced = under("fence", "shut", with_step("fence", call=other))
    assert "fence: a fence is gone" in diff(base(), fenced).weaker, "it fences something else"


def test_two_that_do_the_same_are_told_apart_by_what_they_are_given():
    calls = [PlannedCall(uses="shut", target="room", with_={"n": n}) for n in (1, 2)]
    fence = base().by_id["fence"]
    before = base(
        steps=tuple(
            fence.model_copy(update={"id": f"f{n}", "call": call, "needs": ()})
            for n, call in enumerate(calls)
        )
    )
    after = base(steps=(before.steps[1].model_copy(update={"id": "second"}),))
    found = diff(before, after)
    assert found.weaker == ("f0: a fence is gone",)
    assert {"second": "renamed f1 to second"} == {
        one.name: one.about for one in found.steps if one.sign == "~"
    }


def test_a_finding_follows_its_step():
    finding = Finding(id="DR6101", severity="error", where="promote", what="it is late")
    before = base(findings=(finding,))
    found = diff(before, under("promote", "raise_it", before))
    assert not found.findings
    assert found.weaker == ()


TEXTS = {
    "promote no longer waits until b": ({"until": "a && b"}, {"until": "a"}),
    "promote no longer waits until a": ({"until": "${{ a }}"}, {"until": None}),
    "promote no longer asks first whether a": ({"when": "a && b"}, {"when": "b"}),
    "promote no longer asks first whether b": ({"when": "b"}, {"when": None}),
}


@pytest.mark.parametrize("sentence", TEXTS)
def test_a_condition_that_asks_less_is_weaker_and_one_that_asks_more_is_not(sentence):
    before, after = (with_step("promote", **more) for more in TEXTS[sentence])
    assert diff(before, after).weaker == (sentence,)
    assert diff(after, before).weaker == ()
    assert diff(before, after).steps


def test_a_condition_in_other_words_is_only_another_one():
    before, after = (with_step("promote", until=f"outputs.lag < {n}") for n in (5, 60))
    found = diff(before, after)
    assert found.weaker == ()
    assert ["until"] == [field.name for field in found.steps[0].fields]


@pytest.mark.parametrize("name", ["fence", "go", "lag", "proof"])
def test_a_guard_that_may_be_skipped_is_weaker(name):
    found = diff(base(), with_step(name, when="inputs.careful"))
    assert found.weaker == (f"{name} is skipped unless inputs.careful",)
    other = diff(base(), with_step("move", when="inputs.careful"))
    assert other.weaker == (), "no guard"


def test_what_people_at_a_gate_no_longer_read_of_the_loss():
    before = with_step("go", show=(SAID, "budget left", "We accept a lag"))
    found = diff(before, with_step("go", show=("budget left", "We accept a lag")))
    assert found.weaker == (f"gate go no longer shows: {SAID}",)
    found = diff(before, with_step("go", show=(SAID, "budget left")))
    assert found.weaker == ("gate go no longer shows: We accept a lag",)
    found = diff(before, with_step("go", show=(SAID, "We accept a lag")))
    assert (found.weaker, ["show"]) == ((), [one.name for one in found.steps[0].fields])
    again = "at most ${{ steps.lag.outputs.bound }}"
    said = with_step("go", show=(again, "budget left", "We accept a lag"))
    assert diff(before, said).weaker == (), "the same number in other words"


def test_one_of_two_like_checks_that_is_gone_is_weaker():
    both = with_step("promote", verify=(PlannedCall(uses="write"), PlannedCall(uses="write")))
    assert diff(both, base()).weaker == ("promote is no longer verified by write",)


def test_other_people_under_a_rename_are_still_seen():
    zoe = {"zoe": PlannedPerson(roles=("ic",), keys=(KEY,))}
    before = base(people=zoe)
    found = diff(before, under("fence", "shut", base(people=zoe | {"bob": zoe["zoe"]})))
    assert found.weaker == ("bob may answer gates",)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (None, ()),
        ("", ()),
        ("a  &&\n b", ("a", "b")),
        ("${{ a && (b || c) }}", ("a", "(b || c)")),
        ("a && b || c", ("a && b || c",)),
        ("a ? b && c : d", ("a ? b && c : d",)),
        ("x == 'a && b' && y", ("x == 'a && b'", "y")),
        ('x == "(" && y', ('x == "("', "y")),
        ("f(a && b) && [c && d] == e", ("f(a && b)", "[c && d] == e")),
    ],
)
def test_what_a_condition_asks(text, asked):
    assert asked == conjuncts(text)


def test_what_is_no_longer_asked():
    assert lost("a && b", "a || b") == ("a", "b")
    assert lost("a", "a && b") == ()
    assert lost("a", "c") == ()
    assert "fence: a fence is gone" in diff(base(), without("fence")).weaker
