"""What each step must be like, and what must come before what."""

from collections.abc import Callable

import pytest

from drctl.actions.targets import AwsConnection, FailoverSwitch, RdsInstance
from drctl.kernel.secret import SecretRef

Check = Callable[..., list[str]]

MEASURE = "- {id: measure, uses: aws.rds.measure_lag, target: new_db, needs: [], timeout: 9s}\n"
FENCE = "- {id: fence, uses: aws.rds.fence, target: old_db, estimate: 5s, timeout: 9s}\n"
PROMOTE = (
    "- {id: promote, uses: aws.rds.promote_replica, target: new_db, estimate: 5s, timeout: 9s}\n"
)
PROOF = """\
- id: proof
  uses: aws.rds.assert_single_primary
  target: old_db
  needs: [promote]
  estimate: 5s
  timeout: 9s
"""
SCALE = """\
- id: scale
  uses: kubernetes.deployment.scale
  target: app
  with: {replicas: 3}
  estimate: 5s
  timeout: 9s
"""
POST = "- {id: post, uses: slack.message.post, target: room, with: {text: hi}, timeout: 9s}\n"
PROBE = "- {id: probe, uses: http.probe, target: app, with: {path: /x}, timeout: 9s}\n"


def with_(step: str, line: str) -> str:
    """The step with one more line."""
    return step + f"  {line}\n"


def block(uses: str, *lines: str) -> str:
    return f"- id: one\n  uses: {uses}\n" + "".join(f"  {line}\n" for line in lines)


def test_a_sound_runbook_has_no_problems(check: Check) -> None:
    assert check(MEASURE + FENCE + PROMOTE + PROOF + SCALE) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            FENCE + PROMOTE + PROOF,
            "DR1061: promote promotes, and no step before it always measures",
        ),
        (MEASURE + PROMOTE + PROOF, "DR1060: promote promotes, and no step before it fences"),
        (
            MEASURE + FENCE.replace("old_db", "new_db") + PROMOTE + PROOF,
            (
                "DR1060: promote promotes, and no step before it fences the old primary of the"
                " same database; fence fences something else"
            ),
        ),
        (
            MEASURE + FENCE.replace("}", ", when: \"inputs.region == 'west'\"}") + PROMOTE + PROOF,
            "DR1060: promote promotes, and its fence fence has a when: a fence that may be skipped",
        ),
        (
            MEASURE.replace("}", ", when: \"inputs.region == 'west'\"}") + FENCE + PROMOTE + PROOF,
            "DR1061: promote promotes, and no step before it always measures",
        ),
        (
            MEASURE + FENCE + PROMOTE.replace("}", ", needs: [measure]}") + PROOF,
            "DR1060: promote promotes, and no step before it fences",
        ),
        (
            MEASURE + FENCE + PROMOTE,
            "DR1068: promote promotes, and no step after it proves that there is one primary",
        ),
        (
            MEASURE + FENCE + PROMOTE + with_(PROOF, "when: inputs.region == 'west'"),
            "DR1068: promote promotes, and its proof proof may be skipped",
        ),
        (
            MEASURE + FENCE + PROMOTE + PROOF.replace("[promote]", "[fence]"),
            "DR1068: promote promotes, and no step after it proves that there is one primary",
        ),
        (block("http.prob", "timeout: 9s"), 'DR1050: there is no action "http.prob"; did you mean'),
        ("- {id: one}\n", "DR1015: a step needs uses (an action) or gate"),
        (with_(SCALE, "for_each: [a]"), "DR1090: for_each is not in this version"),
        (with_(SCALE, "gate: go"), "DR1015: a step has uses or gate, not both"),
        (with_(SCALE, "show: [hi]"), "DR1015: show is what an approver sees"),
        (
            "- {id: one, gate: goo}\n",
            'DR1024: there is no gate "goo" under gates; did you mean "go"?',
        ),
        ("- {id: one, gate: go, timeout: 9s}\n", "DR1015: a gate takes no timeout; expires_after"),
        ("- {id: one, gate: go, on_failure: continue}\n", "DR1063: a gate cannot be passed"),
        (SCALE.replace("target: app", "links: [x]"), "DR1051: kubernetes.deployment.scale needs a"),
        (
            SCALE.replace("target: app", "target: ap"),
            'DR1025: there is no target "ap" under targets',
        ),
        (
            SCALE.replace("target: app", "target: room"),
            "DR1052: kubernetes.deployment.scale acts on",
        ),
        (
            block("human.task", "target: app", "with: {text: x}", "estimate: 1s", "timeout: 9s"),
            "DR1051: human.task takes no target",
        ),
        (
            SCALE.replace("estimate: 5s", "links: [x]"),
            "DR1062: a step that changes something needs",
        ),
        (SCALE.replace("timeout: 9s", "links: [x]"), "DR1062: a step that uses an action needs a"),
        (SCALE.replace("timeout: 9s", "timeout: 2s"), "DR1062: the estimate is longer than"),
        (PROBE.replace(", timeout: 9s", ""), "DR1062: a step that uses an action needs a timeout"),
        (with_(SCALE, "on_failure: continue"), "DR1063: kubernetes.deployment.scale changes"),
        (with_(SCALE, "until: 1 == 1\n  every: 1s"), "DR1065: until repeats the step, and kub"),
        (PROBE.replace("}\n", ", until: 1 == 1}\n"), 'DR1065: "until" needs "every" beside it'),
        (PROBE.replace("}\n", ", every: 5s}\n"), 'DR1065: "every" needs "until" beside it'),
        (
            with_(SCALE, "retry: {attempts: 2, backoff: 1s, on_errors: [throtled]}"),
            'DR1066: "throtled" is no kind of failure; did you mean "throttled"?',
        ),
        (
            with_(SCALE, "undo: {uses: aws.rds.promote_replica, target: new_db}"),
            "DR1067: aws.rds.promote_replica has no way back",
        ),
        (
            with_(SCALE, "verify: [{uses: aws.rds.fence, target: old_db, timeout: 9s}]"),
            "DR1067: a check looks",
        ),
        (
            with_(SCALE, "verify: [{uses: http.probe, target: app, with: {path: /x}}]"),
            "DR1062: a check needs a timeout",
        ),
        (with_(SCALE, "when: ${{ 1 == 1 }}"), "DR1040: when is an expression already"),
        (with_(SCALE, "when: inputs.region"), "DR1043: this must be bool, and is string"),
        (with_(SCALE, "when: outputs.x == 1"), "DR1041: outputs are the step's own"),
        (with_(SCALE, "when: run.succeeded"), "DR1041: run.succeeded is known under finally only"),
        (with_(SCALE, "when: each == 1"), "DR1090: each belongs to for_each"),
        (with_(SCALE, "when: steps.zz.status == 'x'"), 'DR1041: there is no step "zz"'),
        (
            with_(SCALE, "when: steps.scale.status == 'x'"),
            "DR1042: steps.scale.status is not known",
        ),
        (with_(SCALE, "when: steps.look.status == 'x'"), "DR1042: steps.look.status is not known"),
        (
            with_(SCALE, "title: about ${{ inputs.rgion }}"),
            'DR1041: nothing here is called "inputs.r',
        ),
        (
            MEASURE + with_(SCALE, "when: steps.measure.outputs.bond == 'x'"),
            'DR1041: step "measure" has no "outputs.bond"; did you mean "outputs.bound"?',
        ),
        (
            "- {id: side, uses: http.probe, target: app, with: {path: /x}, timeout: 9s}\n"
            + with_(SCALE, "needs: []\n  when: steps.side.status == 'x'"),
            "DR1042: steps.side.status is not known here: scale does not wait for side; add it",
        ),
        (POST + SCALE, "DR1064: scale changes something and waits for the message post; messages"),
        (
            POST + PROBE + SCALE,
            "DR1064: scale changes something and waits for the message post (through probe)",
        ),
        (SCALE.replace("{replicas: 3}", '{replicas: ""}'), "DR1031: this value is empty"),
        (SCALE.replace("{replicas: 3}", ""), 'DR1031: "with" has no value'),
    ],
)
def test_a_mistake_is_one_problem(check: Check, steps: str, expected: str) -> None:
    problems = check(steps)
    assert len(problems) == 1, problems
    assert problems[0].startswith(expected), problems[0]


def test_outputs_of_an_unknown_action_are_no_second_mistake(check: Check) -> None:
    steps = block("http.prob", "timeout: 9s", "until: outputs.x == 1", "every: 1s")
    assert len(check(steps + with_(SCALE, "when: steps.one.outputs.y.z == 1"))) == 1


@pytest.mark.parametrize("wrong", ["uses: aws.rds.fance", "use: aws.rds.fence"])
def test_a_misspelt_fence_is_not_missing_as_well(check: Check, wrong: str) -> None:
    problems = check(MEASURE + FENCE.replace("uses: aws.rds.fence", wrong) + PROMOTE + PROOF)
    assert len(problems) == 1, problems
    assert "did you mean" in problems[0]


def test_a_wrongly_declared_input_gate_or_target_is_no_second_mistake(check: Check) -> None:
    head = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: small, title: Small, owner: us}
objectives: {rto: 15m, rpo: 5m, clock: {stops_after: [look]}}
inputs: {n: {type: integer}}
targets: {app: recovery}
gates: {go: {title: Go}}
"""
    steps = "- {id: one, gate: go}\n" + SCALE.replace("replicas: 3", 'replicas: "${{ inputs.n }}"')
    problems = check(steps, head=head)
    codes = [problem[:6] for problem in problems]
    assert codes == ["DR1012", "DR1012", "DR1011", "DR1011"]


def test_a_message_may_follow_a_change_and_a_read_may_follow_a_message(check: Check) -> None:
    assert check(SCALE + POST) == []


AWS = AwsConnection(
    region="us-west-2",
    account="123456789012",
    access_key_id=SecretRef("env:A"),
    secret_access_key=SecretRef("env:B"),
)


def database(system: str | None) -> RdsInstance:
    return RdsInstance(aws=AWS, instance="x", system_identifier=system)


def environment(old: str | None, new: str | None) -> dict[str, object]:
    switch = FailoverSwitch(
        aws=AWS, bucket="b", key="k", record_name="r", recovery_name="n", url="http://x"
    )
    return {
        "db.primary": database(old),
        "db.recovery": database(new),
        "app.recovery": switch,
        "traffic.api": switch,
    }


def test_with_an_environment_targets_are_checked_by_kind_and_name(check: Check) -> None:
    problems = check(MEASURE + FENCE + PROMOTE + PROOF + SCALE, environment=environment("7", "7"))
    assert problems == [
        'DR1053: the environment has no target "comms.room"',
        (
            "DR1052: kubernetes.deployment.scale acts on kubernetes.deployment, and app.recovery"
            " is aws.route53.failover_switch"
        ),
    ]


@pytest.mark.parametrize(("old", "new", "is_same"), [("7", "8", False), (None, "8", True)])
def test_a_fence_of_another_cluster_is_no_fence(
    check: Check, old: str | None, new: str | None, is_same: bool
) -> None:
    problems = check(MEASURE + FENCE + PROMOTE + PROOF, environment=environment(old, new))
    assert any(problem.startswith("DR1060") for problem in problems) is not is_same
