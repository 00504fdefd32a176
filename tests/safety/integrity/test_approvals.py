"""
I17: approvals cannot be replayed, self-given or counted twice. Twelve attacks, twenty shapes each.

Each attack is thrown at the real driver; it is repelled when the gate stays shut and nothing behind
it is sent. Beside each stands the same answer without the attack, which must open the gate: else
the suite would be green for a gate that nobody can open.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
import results
from integrity_model import (
    COMMANDER,
    KEYS,
    People,
    draws,
    gated,
    signed,
    some_people,
    statement,
    try_answers,
)

from drctl.config.environment import load_environment
from drctl.engine import events as e
from drctl.engine.approval import MOST_REFUSED
from drctl.engine.ports import Answer
from drctl.engine.statement import as_time, write_answer
from drctl.kernel.errors import InvalidError
from drctl.plan.model import Plan, PlannedPerson
from drctl.simulated.clock import EPOCH

SHAPES = 20


def other_plan(draw):
    people = some_people(draw)
    plan, other = gated(people), gated(people, expires_s=float(draw.randint(601, 900)))
    who = draw.choice(sorted(people.keys))
    return plan, (), [lambda s, _c: signed(plan, s, people, who, digest=other.digest)]


def other_run(draw):
    people = some_people(draw)
    plan, who = gated(people), draw.choice(sorted(people.keys))
    run = draw.choice(["", "other", "run ", "RUN", "run2"])
    return plan, (), [lambda s, _c: signed(plan, s, people, who, run=run)]


def other_step(draw):
    """What said go to the first gate is thrown at the second."""
    people = some_people(draw)
    plan, who = gated(people), draw.choice(sorted(people.keys))
    kept = []

    def first(state, _clock):
        kept.append(signed(plan, state, people, who))
        return kept

    return plan, ("change",), [first, lambda _s, _c: replace(kept[0], gate="go_on")]


def other_environment(draw):
    people = some_people(draw)
    plan, who = gated(people), draw.choice(sorted(people.keys))
    name = draw.choice(["prod", "staging", "", "Model", "model "])
    return plan, (), [lambda s, _c: signed(plan, s, people, who, environment=name)]


def after_expiry(draw):
    people = some_people(draw)
    plan, who = gated(people), draw.choice(sorted(people.keys))
    expires = as_time(EPOCH - timedelta(seconds=draw.choice([0, 1, 60, 86400])))
    return plan, (), [lambda s, _c: signed(plan, s, people, who, expires=expires)]


def after_use(draw):
    """Two must say go; one line is thrown twice, or twenty times."""
    people = some_people(draw)
    plan, who = gated(people, quorum=2), draw.choice(sorted(people.keys))
    kept = []

    def first(state, _clock):
        kept.append(signed(plan, state, people, who))
        return kept

    return plan, (), [first, lambda _s, _c: kept * draw.randint(1, 20)]


def after_rejection(draw):
    people = some_people(draw)
    plan = gated(people)
    no, yes = draw.sample(sorted(people.keys), k=2)
    return (
        plan,
        (),
        [
            lambda s, _c: [
                signed(plan, s, people, no, answer="deny"),
                signed(plan, s, people, yes),
            ]
        ],
    )


def self_approval(draw):
    people = some_people(draw)
    plan, who = gated(people), draw.choice(sorted(people.keys))
    key = draw.randint(0, 1)
    return plan, (), [lambda s, _c: signed(plan, s, people, who, key=key)], (who, "zoe")


def two_keys_of_one(draw):
    people = some_people(draw)
    plan, who = gated(people, quorum=2), draw.choice(sorted(people.keys))
    return (
        plan,
        (),
        [
            lambda s, _c: signed(plan, s, people, who, key=0),
            lambda s, _c: signed(plan, s, people, who, key=1),
        ],
    )


def one_key_of_two(draw):
    """Where an environment did not refuse it: the plan itself has one key under two names."""
    people = some_people(draw)
    one, two = draw.sample(sorted(people.keys), k=2)
    people.keys[two] = list(people.keys[one])
    plan = gated(people, quorum=2)
    return (
        plan,
        (),
        [lambda s, _c: signed(plan, s, people, one), lambda s, _c: signed(plan, s, people, two)],
    )


def clock_set_back(draw):
    people = some_people(draw)
    plan, who = gated(people), draw.choice(sorted(people.keys))
    age = timedelta(hours=draw.randint(1, 23), seconds=draw.randint(0, 59))

    def set_back(state, clock):
        clock.off = -timedelta(days=1)
        return signed(plan, state, people, who, expires=as_time(EPOCH - age))

    return plan, (), [set_back]


def altered_threshold(draw):
    """The plan's file says less is enough; the answer was given to the plan as it was."""
    people = some_people(draw)
    asked, who = gated(people, quorum=2), draw.choice(sorted(people.keys))
    change = draw.choice(["quorum", "approvers", "self_approval", "people"])
    gate = asked.gates["go"]
    if change == "people":
        more = {
            **asked.people,
            "mallory": PlannedPerson(roles=(COMMANDER,), keys=(KEYS[0].public,)),
        }
        eased = {"people": more, "gates": {**asked.gates, "go": gate.model_copy(update=LESS)}}
    else:
        less = {"quorum": 1, "approvers": (), "self_approval": True}
        update = LESS | {change: less[change]}
        eased = {"gates": {**asked.gates, "go": gate.model_copy(update=update)}}
    plan = asked.model_copy(update=eased).sealed()
    return plan, (), [lambda s, _c: signed(plan, s, people, who, digest=asked.digest)]


LESS = {"quorum": 1}
ATTACKS = [
    other_plan, other_run, other_step, other_environment, after_expiry, after_use, after_rejection,
    self_approval, two_keys_of_one, one_key_of_two, clock_set_back, altered_threshold,
]  # fmt: skip


def throw(attack, shape):
    draw = draws(f"{attack.__name__}/{shape}")
    plan, may_be_sent, moves, *requesters = attack(draw)
    tried = try_answers(plan, *moves, requesters=requesters[0] if requesters else ("zoe",))
    return tried, may_be_sent


def test_twelve_attacks_in_twenty_shapes_open_no_gate():
    accepted = []
    for attack in ATTACKS:
        for shape in range(SHAPES):
            tried, may_be_sent = throw(attack, shape)
            if tuple(tried.effects) != may_be_sent or tried.state.finished.result == "succeeded":
                accepted.append(f"{attack.__name__}/{shape}: sent {tried.effects}")
    results.record("integrity", "I17", cases=len(ATTACKS) * SHAPES, violations=len(accepted))
    assert accepted == []


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_each_attack_is_on_record(attack):
    tried, _ = throw(attack, 0)
    if attack is after_rejection:
        assert tried.of(e.GateAnswered)[0].answer == "deny"
    if attack not in {two_keys_of_one, after_rejection}:
        assert tried.why, "a refused answer is written down, with why"


def test_the_same_answer_without_the_attack_opens_the_gate():
    for shape in range(SHAPES):
        draw = draws(shape)
        people = some_people(draw)
        plan = gated(people, quorum=2)
        one, two = draw.sample(sorted(people.keys), k=2)
        tried = try_answers(
            plan,
            lambda s, _c, one=one, plan=plan, people=people: signed(plan, s, people, one, key=1),
            lambda s, _c, two=two, plan=plan, people=people: signed(plan, s, people, two),
        )
        assert tried.effects == ["change"]
        given = tried.of(e.GateAnswered)
        assert [one, two] == [event.person for event in given]
        assert all(event.key.startswith("SHA256:") and event.nonce for event in given)


def test_where_people_are_enrolled_a_plain_yes_is_nothing():
    people = some_people(draws(1))
    yes = Answer(gate="go", answer="approve", by="alice", via="terminal")
    tried = try_answers(gated(people), lambda _s, _c: yes)
    assert tried.effects == []
    assert tried.why == ["people are enrolled: only a signed answer counts"]


def test_a_journal_that_says_so_without_a_person_opens_nothing():
    """The fold itself asks for a person: an event that the driver should not have written."""
    from drctl.engine.fold import fold
    from drctl.engine.state import Record, initial
    from drctl.kernel.clock import Instant

    people = some_people(draws(1))
    plan = gated(people)
    state = initial(plan)
    opened = e.GateOpened(
        step="go", gate="go", title="Go", show=(), approvers=(), quorum=1, expires_s=9.0
    )
    forged = e.GateAnswered(step="go", answer="approve", by="alice", via="terminal")
    for seq, event in enumerate((opened, forged), start=1):
        at = Instant(wall=EPOCH, boot_s=0.0, boot_id="b")
        state = fold(plan, state, Record(seq=seq, at=at, event=event))
    assert state.steps["go"].status == "running"


def test_who_may_answer_is_who_the_gate_asks():
    people = some_people(draws(2))
    who, other, third = sorted(people.keys)
    people.roles = {who: ("database-owner",), other: (), third: (COMMANDER,)}
    for name, approvers, opens in [
        (who, (COMMANDER,), False), (other, (COMMANDER,), False), (third, (COMMANDER,), True),
        (who, ("database-owner",), True), (other, (other,), True), (third, (other,), False),
        (other, (), True),
    ]:  # fmt: skip
        plan = gated(people, approvers=approvers)
        tried = try_answers(plan, lambda s, _c, plan=plan, name=name: signed(plan, s, people, name))
        assert bool(tried.effects) == opens, (name, approvers, tried.why)


def test_who_asks_may_answer_only_where_the_gate_says_so():
    people = some_people(draws(3))
    who = min(people.keys)
    plan = gated(people, self_approval=True)
    tried = try_answers(plan, lambda s, _c: signed(plan, s, people, who), requesters=(who,))
    assert tried.effects == ["change"]
    # Nobody knows who asks: then nobody is somebody else.
    plan = gated(people)
    tried = try_answers(plan, lambda s, _c: signed(plan, s, people, who), requesters=())
    assert tried.effects == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"seen": "0" * 64}, "shown something else"),
        ({"expires": as_time(EPOCH + timedelta(days=30))}, "at most 24h ahead"),
        ({"person": "nobody"}, "no key that is enrolled for nobody"),
        ({"reason": "  "}, "wants a reason"),
    ],
)
def test_what_else_does_not_count(more, why):
    people = some_people(draws(4))
    plan, who = gated(people, reason_required=True), min(people.keys)

    def move(state, _clock):
        line = write_answer(
            statement(plan, state, **({"person": who} | more)), people.keys[who][0].private
        )
        return Answer(gate="go", answer="approve", by="x", via="test", statement=line)

    tried = try_answers(plan, move)
    assert tried.effects == []
    assert why in tried.why[0]


def test_the_gate_alone_makes_it_another_answer():
    """Two gates that ask the same in the same words: the gate's id is a field of its own."""
    people = some_people(draws(9))
    plan, who = gated(people), min(people.keys)

    def move(state, _clock):
        from drctl.engine.approval import seen_of

        said = signed(plan, state, people, who, gate="go_on", seen=seen_of(plan, state, "go"))
        return replace(said, gate="go")

    tried = try_answers(plan, move)
    assert tried.effects == []
    assert tried.why == ["it is for another gate"]


def test_another_persons_signature_is_not_theirs():
    people = some_people(draws(5))
    plan = gated(people)
    one, two, _ = sorted(people.keys)

    def move(state, _clock):
        line = write_answer(statement(plan, state, one), people.keys[two][0].private)
        return Answer(gate="go", answer="approve", by="x", via="test", statement=line)

    assert try_answers(plan, move).effects == []


def test_a_yes_that_says_no_is_neither():
    people = some_people(draws(6))
    plan, who = gated(people), min(people.keys)
    tried = try_answers(
        plan, lambda s, _c: replace(signed(plan, s, people, who, answer="deny"), answer="approve")
    )
    assert tried.effects == []
    assert not tried.state.denied


def test_a_flood_of_bad_answers_does_not_fill_the_journal():
    people = some_people(draws(7))
    plan, who = gated(people), min(people.keys)
    junk = [
        Answer(gate="go", answer="approve", by=f"m{n}", via="x" * 9000, statement="junk" * 9)
        for n in range(2000)
    ]
    tried = try_answers(plan, lambda _s, _c: junk, lambda s, _c: signed(plan, s, people, who))
    assert len(tried.why) == MOST_REFUSED
    assert "further refusals of this run are not written down" in tried.why[-1]
    assert tried.effects == ["change"], "and the true answer is heard all the same"


ENVIRONMENT = """
apiVersion: drctl/v1
kind: Environment
metadata: {{name: e}}
people:
{people}
"""


@pytest.mark.parametrize(
    ("people", "why"),
    [
        (["alice: {{roles: [ic], keys: ['{0}']}}", "bob: {{roles: [ic], keys: ['{0}']}}"],
         "enrolled for alice already"),
        (["alice: {{keys: ['{0}', '{0}']}}"], "enrolled for alice already"),
        (["alice: {{login: a, keys: ['{0}']}}", "bob: {{login: a, keys: ['{1}']}}"],
         "that of alice already"),
        (["alice: {{roles: [bob], keys: ['{0}']}}", "bob: {{keys: ['{1}']}}"],
         "a person and a role"),
        (["Alice: {{keys: ['{0}']}}"], "Alice"),
        (["alice: {{keys: ['ed25519:AAAA']}}"], "32 bytes in base64"),
        (["alice: {{keys: ['ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']}}"],
         "anybody could sign"),
        (["alice: {{keys: ['ed25519:JuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/IU=']}}"],
         "anybody could sign"),
    ],
)  # fmt: skip
def test_an_environment_that_could_count_one_as_two_is_refused(people, why, tmp_path):
    lines = "\n".join(f"  {line}" for line in people).format(KEYS[0].public, KEYS[1].public)
    path = tmp_path / "e.yaml"
    path.write_text(ENVIRONMENT.format(people=lines))
    with pytest.raises(InvalidError, match=why):
        load_environment(path)


def test_a_plan_keeps_who_was_enrolled_when_it_was_made():
    """Somebody who is enrolled afterwards is nobody to a plan that is there already."""
    people = some_people(draws(8))
    plan = gated(people)
    late = People({"zed": [key for key in KEYS if key.public not in str(plan.people)][:1]})
    assert late.keys["zed"]
    tried = try_answers(plan, lambda s, _c: signed(plan, s, late, "zed"))
    assert tried.effects == []
    assert isinstance(plan, Plan)
