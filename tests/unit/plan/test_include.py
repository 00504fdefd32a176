"""A runbook inside a runbook: whose names, whose targets, whose order."""

import pytest

from drctl.actions.registry import installed
from drctl.app.runbooks import load
from drctl.config.environment import load_environment
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import InvalidError
from drctl.plan.make import Planner
from drctl.runbook import resolve_inputs

ENVIRONMENT = """\
apiVersion: drctl/v1
kind: Environment
metadata: {name: two, title: Two}
connections:
  k:
    {type: kubernetes, server: "https://127.0.0.1:1", ca_file: /x, token: "env:T",
     cluster_uid: u, region: r}
targets:
  app.one:
    {kind: kubernetes.deployment, cluster: k, namespace: n, name: one, url: "http://127.0.0.1:1"}
  app.two:
    {kind: kubernetes.deployment, cluster: k, namespace: n, name: two, url: "http://127.0.0.1:2"}
  comms.room: {kind: slack.channel, webhook: "env:W", channel: "#a"}
"""
HEAD = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: {name}, title: T, owner: o}}
objectives: {{rto: 5m, rpo: 1m, clock: {{starts_at: run, stops_after: [{stop}]}}}}
inputs:
  who: {{type: string, pattern: "[a-z]+", default: nobody}}
  wait: {{type: duration, default: 1m}}
targets: {{app: app.one, room: comms.room}}
steps:
"""
PROBE = """\
  - id: {id}
    uses: http.probe
    target: app
    with: {{path: {path}}}
    timeout: 10s
"""


def probe(name, path="/", **more):
    extra = "".join(f"    {key}: {value}\n" for key, value in more.items())
    return PROBE.format(id=name, path=path) + extra


def include(name, runbook="inner", **with_):
    given = "".join(f", {key}: {value}" for key, value in with_.items())
    return f"  - id: {name}\n    uses: runbook.run\n    with: {{runbook: {runbook}{given}}}\n"


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "env.yaml").write_text(ENVIRONMENT)

    def of(outer, *, stop="last", given=None, targets="", is_whole=True, **others):
        for name, steps in others.items():
            head = HEAD.format(name=name, stop=steps.split("id: ")[1].split("\n")[0])
            (tmp_path / f"{name}.yaml").write_text(head + steps)
        head = HEAD.format(name="outer", stop=stop).replace("targets: {", "targets: {" + targets)
        (tmp_path / "outer.yaml").write_text(head + outer)
        env, registry = load_environment(tmp_path / "env.yaml"), installed()
        loaded = load(tmp_path / "outer.yaml", registry, env.targets)
        planner = Planner(registry=registry, clock=SystemClock(), secrets=LocalSecrets())
        inputs = resolve_inputs(loaded.runbook, given or {})
        return planner.draft(
            loaded.runbook,
            "0" * 64,
            env,
            inputs,
            included=loaded.source.included,
            is_whole=is_whole,
        )

    return of


def test_what_is_only_judged_lacks_what_only_a_run_reads(plan):
    """And is the same in all else; with a runbook inside, also the types."""
    inner = {"inner": probe("a")}
    texts = [(probe("last"), {}), (include("in_", inputs="{wait: 2m}") + probe("last"), inner)]
    for text, others in texts:
        whole, judged = plan(text, **others), plan(text, is_whole=False, **others)
        lacks = {} if others else {"types": judged.types}
        assert judged.forecast.steps == ()
        assert set(whole.types) - set(judged.types) == (
            set() if others else {name for name in whole.types if name.startswith("steps.")}
        )
        forecast = whole.forecast.model_copy(update={"steps": ()})
        same = {"forecast": forecast, "created_at": judged.created_at, **lacks}
        assert judged == whole.model_copy(update=same)


def needs(plan):
    return {step.id: set(step.needs) for step in plan.steps}


def test_its_first_steps_wait_for_what_it_waits_for_and_what_follows_for_its_last(plan):
    inner = probe("a") + probe("b", needs="[]") + probe("c", needs="[a]")
    made = plan(probe("first") + include("in_") + probe("last"), inner=inner)
    assert needs(made) == {
        "first": set(),
        "in_.a": {"first"},
        "in_.b": {"first"},
        "in_.c": {"in_.a"},
        "last": {"in_.b", "in_.c"},
    }


def test_nobody_waits_for_its_last_message(plan):
    tell = (
        "  - id: tell\n    uses: slack.message.post\n    target: room\n    with: {text: done}\n"
        "    timeout: 5s\n    on_failure: continue\n"
    )
    made = plan(include("in_") + probe("last"), inner=probe("a") + tell)
    assert {"in_.a"} == needs(made)["last"]


def test_it_may_be_included_twice_and_inside_another_one(plan):
    made = plan(
        include("one", targets="{app: app}")
        + include("two", runbook="middle")
        + probe("last", needs="[one, two]"),
        inner=probe("a"),
        middle=probe("m") + include("deep"),
        stop="two",
    )
    assert ["one.a", "two.m", "two.deep.a", "last"] == [step.id for step in made.steps]
    assert {"one.a", "two.deep.a"} == needs(made)["last"]
    assert ("two.m",) == made.objectives.stops_after
    assert {"one", "two", "two.deep"} == set(made.scopes)


def test_its_targets_are_its_own_unless_they_are_bound(plan):
    outer = include("mine") + include("ours", targets="{app: other}") + probe("last")
    made = plan(outer, targets="other: app.two, ", inner=probe("a"))
    bound = [made.by_id[f"{one}.a"].call.target for one in ("mine", "ours")]
    assert ["app.one", "app.two"] == bound


def test_its_inputs_are_checked_as_its_own(plan):
    def refused(given):
        with pytest.raises(InvalidError) as caught:
            plan(include("in_", inputs=given) + probe("last"), inner=probe("a"))
        return caught.value.problems[0].code

    assert refused("{who: UPPER}") == "DR1082"
    assert refused("{whom: a}") == "DR1080"
    assert refused("{wait: 3}") == "DR1082"
    assert refused('{who: "${{ steps.nope.outputs.status }}"}') == "DR1041"
    made = plan(include("in_", inputs="{who: carol, wait: 5s}") + probe("last"), inner=probe("a"))
    assert made.scopes["in_"].inputs["who"] == "carol"


def test_what_is_known_now_is_checked_now_and_what_is_not_is_kept_as_text(plan):
    text = '{who: "${{ inputs.who }}"}'
    made = plan(include("in_", inputs=text) + probe("last"), given={"who": "bob"}, inner=probe("a"))
    assert made.scopes["in_"].inputs["who"] == "bob"
    late = '{who: "${{ steps.first.outputs.served_by }}"}'
    made = plan(probe("first") + include("in_", inputs=late) + probe("last"), inner=probe("a"))
    assert "steps.first" in made.scopes["in_"].inputs["who"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (include("in_", runbook="nowhere"), "DR1091"),
        (include("in_", targets="{nobody: app}"), "DR1025"),
        (include("in_", targets="{app: nobody}"), "DR1025"),
        (include("in_", runbook='"${{ inputs.who }}"'), "DR1031"),
        (include("in_") + "    timeout: 5s\n", "DR1015"),
        (include("in_") + "    when: 1 == 1\n", "DR1015"),
        (include("in_", runbook="outer"), "DR1094"),
    ],
)
def test_a_wrong_inclusion_is_refused_where_it_stands(plan, wrong, code):
    with pytest.raises(InvalidError) as caught:
        plan(wrong + probe("last"), inner=probe("a"))
    assert code in [problem.code for problem in caught.value.problems]


def test_a_problem_inside_names_the_file_inside(plan):
    with pytest.raises(InvalidError) as caught:
        plan(include("in_") + probe("last"), inner=probe("a").replace("timeout", "timout"))
    assert caught.value.problems[0].at.file.endswith("inner.yaml")


def test_a_copy_of_a_plan_does_not_remember_the_steps_of_the_first(plan):
    made = plan(probe("last"))
    assert made.by_id["last"].title
    other = made.steps[0].model_copy(update={"title": "other"})
    assert made.model_copy(update={"steps": (other,)}).by_id["last"].title == "other"
