"""Each rule speaks about its bad example, at its place, and is silent about the good one."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drctl.plan.rules import dr6108_vendor_literal
from drctl.plan.rules.catalogue import all_rules

PROBE = (
    "  - {id: verify_private, uses: http.probe, target: app, with: {path: /},"
    " until: outputs.status == 200, every: 1s, timeout: 1m}\n"
)
PUBLIC = (
    "  - {id: verify_public, uses: http.probe, target: switch, with: {path: /},"
    " until: outputs.status == 200, every: 1s, timeout: 1m}\n"
)
MOVE = "uses: aws.route53.failover_switch.engage, target: switch"
RECORD = ("  # targets", "  record: traffic.record")
AT = ", with: {path: /}, until"


def upsert(**more):
    given = {"type": "A", "values": "[192.0.2.7]", "ttl": 60} | more
    words = ", ".join(f"{name}: {value}" for name, value in given.items())
    return f"uses: aws.route53.record.upsert, target: record, with: {{{words}}}"


def _of_shape(one):
    sign, shape, _kind = one
    return st.tuples(st.just(sign), st.from_regex(shape))


def after_promote(step):
    return ("  # after promote\n", f"  - {{{step}}}\n")


def last(step):
    return ("  # last\n", f"  - {{{step}}}\n")


def targets(text):
    return ("  # targets", f"  {text}")


SCALE = "id: scale, uses: kubernetes.deployment.scale, target: app, estimate: 5s, timeout: 1m"
RESTORE = "id: back, uses: aws.rds.restore_to_time, target: old_db, estimate: 5s, timeout: 1m"
OWN = "id: back, uses: postgres.restore_to_time, estimate: 5s, timeout: 1m"
MOMENT = "2026-11-22T10:00:00Z"
SHELL = "id: x, estimate: 5s, timeout: 1m, uses: shell.command"
ADMIT = "id: admit, uses: postgres.clients.admit, target: own, estimate: 5s, timeout: 1m"
SAMPLE = "id: speed, uses: http.sample, target: switch, timeout: 1m, with: {path: /, slow: 1s}"
OWN_DB = targets("own: db.own\n  again: db.own_again\n  beside: db.beside")
EAST = targets("old_app: app.primary")
PROVEN = (
    "  - {id: fence_own, uses: postgres.fence, target: own, estimate: 1s, timeout: 1m}\n  # last"
)

# rule, where it speaks, the bad example, the good one
CASES = [
    ("DR6101", "move", [(PROBE, "")], []),
    ("DR6101", "move", [(AT, ", when: 1 == 1" + AT)], [(", timeout: 3m}\n", ", timeout: 4m}\n")]),
    (
        "DR6101",  # a look is no proof: it fails at nothing
        "move",
        [(", until: outputs.status == 200, every: 1s, timeout: 1m}\n  - {id: move",
          ", timeout: 1m}\n  - {id: move")],
        [(", with: {path: /}, until: outputs.status == 200, every: 1s, timeout: 1m}\n  - {id: move",
          ", with: {path: /, expect_status: 200}, timeout: 1m}\n  - {id: move")],
    ),
    (
        "DR6101",  # what was asked before the promotion was another service
        "move",
        [(PROBE, ""), ("  - {id: promote", PROBE + "  - {id: promote")],
        [],
    ),
    (
        "DR6102",
        "move",
        [(PUBLIC, ""), ("stops_after: [verify_public]", "stops_after: [verify_private]")],
        [],
    ),
    (
        "DR6103",
        "move",
        [RECORD, (MOVE, upsert())],
        [RECORD, (MOVE, upsert(outlast_caches="true"))],
    ),
    (
        "DR6105",
        "x",
        [last(SHELL + ", with: {argv: [/opt/x]}")],
        [last(SHELL + ", with: {argv: [/opt/x], check: [/opt/y]}")],
    ),
    (
        "DR6106",
        "promote",
        [("timeout: 6m", "timeout: 15m")],
        [("timeout: 6m", "timeout: 14m")],
    ),
    (
        "DR6106",  # behind the proof of service nobody waits for it
        "verify_public",
        [(PUBLIC, PUBLIC.replace("timeout: 1m", "timeout: 1h"))],
        [last(SCALE.replace("timeout: 1m", "timeout: 2h") + ", with: {replicas: 5}")],
    ),
    (
        "DR6107",
        "scale",
        [after_promote(SCALE + ", with: {replicas: 5}, undo: {uses: kubernetes.deployment.scale,"
                       " target: app, with: {replicas: 3}, timeout: 1m}")],
        [after_promote(SCALE + ", with: {replicas: 5}, undo: {uses: kubernetes.deployment.scale,"
                       ' target: app, with: {replicas: "${{ outputs.previous_replicas }}"},'
                       " timeout: 1m}")],
    ),
    (
        "DR6108",
        "x",
        [last(SHELL + ', with: {argv: [aws, "arn:aws:rds:us-east-1:1:db:x"], check: [/y]}')],
        [last(SHELL + ", with: {argv: [aws, arn], check: [/y]}")],
    ),
    (
        "DR6108",
        "x",
        [last(SHELL + ", with: {argv: [a, subnet-0123456789abcdef0], check: [/y]}")],
        [last(SHELL + ", with: {argv: [a, subnet-of-mine, sg-1, Zebra], check: [/y]}")],
    ),
    (
        "DR6108",
        "x",
        [last(SHELL + ", with: {argv: [a, Z1D633PJN98FT9], check: [/y]}")],
        [last(SHELL + ", with: {argv: [a, snap-20261122, ZOOKEEPER1], check: [/y]}")],
    ),
    (
        "DR6109",
        "admit",
        [OWN_DB, last(ADMIT + ', with: {operators: [10.0.0.7], networks: ["0.0.0.0/0"]}')],
        [OWN_DB, last(ADMIT + ', with: {operators: [10.0.0.7], networks: ["10.0.0.0/8"]}')],
    ),
    (
        "DR6109",  # as an input says
        "admit",
        [OWN_DB, ("default: 10.20.0.0/16", "default: 8.0.0.0/8"),
         last(ADMIT + ', with: {operators: [10.0.0.7], networks: ["${{ inputs.network }}"]}')],
        [OWN_DB,
         last(ADMIT + ', with: {operators: [10.0.0.7], networks: ["${{ inputs.network }}"]}')],
    ),
    (
        "DR6109",
        "x",
        [last(SHELL + ", with: {argv: [aws, --publicly-accessible], check: [/y]}")],
        [last(SHELL + ", with: {argv: [aws, --no-publicly-accessible], check: [/y]}")],
    ),
    (
        "DR6110",
        "back",
        [last(RESTORE + f", with: {{instance: orders, time: '{MOMENT}'}}")],
        [last(RESTORE + f", with: {{instance: orders-2, time: '{MOMENT}'}}")],
    ),
    (
        "DR6110",  # another name of the same server
        "back",
        [OWN_DB, ("  # last", PROVEN),
         last(OWN + f", target: again, with: {{target_time: '{MOMENT}', operators: [10.0.0.7]}}")],
        [OWN_DB, ("  # last", PROVEN),
         last(OWN + f", target: beside, with: {{target_time: '{MOMENT}', operators: [10.0.0.7]}}")],
    ),
    (
        "DR6111",
        "verify_public",
        [(PUBLIC, PUBLIC.replace("timeout: 1m", "timeout: 1m, on_failure: continue"))],
        [(PROBE, PROBE.replace("timeout: 1m", "timeout: 1m, on_failure: continue"))],
    ),
    (
        "DR6112",
        "speed",
        [after_promote(SAMPLE)],
        [last(SAMPLE)],
    ),
    (
        "DR6201",
        "move",
        [RECORD, (MOVE, upsert(outlast_caches="true"))],
        [RECORD, (MOVE, upsert(outlast_caches="true")), ("region-outage", "database-outage")],
    ),
    (
        "DR6202",
        "scale",
        [EAST, after_promote(SCALE.replace("app", "old_app") + ", with: {replicas: 1}")],
        [EAST, after_promote(SCALE + ", with: {replicas: 1}")],
    ),
    (
        "DR6202",  # what is decided in the run may be decided by just that
        "scale",
        [EAST, after_promote(SCALE.replace("app", "old_app") + ", with: {replicas: 1}")],
        [EAST, after_promote(SCALE.replace("app", "old_app") + ", with: {replicas: 1},"
                             " when: steps.fence.status == 'succeeded'")],
    ),
    ("DR6203", "move", [RECORD, (MOVE, upsert(outlast_caches="true"))], []),
    (
        "DR6301",
        "",
        [("estimate: 4m, timeout: 6m", "estimate: 14m, timeout: 14m")],
        [("estimate: 4m, timeout: 6m", "estimate: 5m, timeout: 14m")],
    ),
    ("DR6302", "go", [("expires_after: 3m", "expires_after: 10m")],
     [("expires_after: 3m", "expires_after: 9m")]),
    (
        "DR6303",
        "move",
        [RECORD, (MOVE, upsert(ttl=3600))],
        [RECORD, (MOVE, upsert(ttl=60))],
    ),
    ("DR6304", "", [("category: 3", "category: 1")], [("category: 3", "category: 2")]),
    ("DR6304", "", [("category: 3", "category: 2"), ("rto: 15m", "rto: 31m")],
     [("category: 3", "category: 2"), ("rto: 15m", "rto: 30m")]),
    (
        "DR6305",
        "",
        [("{text: go}, needs: []", "{text: go}, needs: [fence]")],
        [("{text: go}, needs: []", "{text: go}, needs: [fence]"), ("rto: 15m", "rto: 16m")],
    ),
    (
        "DR6305",
        "",
        [("finally:\n", "")],
        [],
    ),
    (
        "DR6307",
        "back",
        [last(RESTORE + f", with: {{instance: o-2, time: '{MOMENT}'}}")],
        [last(RESTORE + f", with: {{instance: o-2, time: '{MOMENT}'}}"), ("rpo: 5m", "rpo: 6m")],
    ),
    ("DR6308", "go", [("gate: go, estimate: 1m", "gate: go")], []),
    (
        "DR6309",
        "",
        [("stops_after: [verify_public]", "stops_after: [move]")],
        [],
    ),
]  # fmt: skip


def found(plan):
    return {(one.id, one.where) for one in plan.findings}


def test_there_is_nothing_to_say_about_the_recovery_that_the_others_spoil(judge):
    assert found(judge()) == set()
    assert found(judge(alone=True)) == set()
    assert found(judge(seen={})) == set()


@pytest.mark.parametrize(("rule", "where", "bad", "good"), CASES, ids=lambda one: str(one)[:8])
def test_it_speaks_about_the_bad_example_only(judge, rule, where, bad, good):
    plan = judge(*bad)
    said = [one for one in plan.findings if (one.id, one.where) == (rule, where)]
    assert said, found(plan)
    file, line, _column = said[0].at.rsplit(":", 2)
    assert file.endswith("spoilt.yaml")
    if where:
        assert said[0].at == plan.by_id[where].at
    assert int(line) > 1
    assert said[0].severity == all_rules()[rule].severity
    assert said[0].fix
    assert rule not in {one.id for one in judge(*good).findings}


def test_dr6107_sees_that_a_number_takes_capacity_away(judge):
    scale = after_promote(SCALE + ", with: {replicas: 3}")
    more, fewer = {"scale": {"facts": {"replicas": 5}}}, {"scale": {"facts": {"replicas": 2}}}
    assert ("DR6107", "scale") in found(judge(scale, seen=more))
    assert ("DR6107", "scale") not in found(judge(scale, seen=fewer))
    floor = after_promote(SCALE + ", with: {replicas: 3, at_least: true}")
    assert ("DR6107", "scale") not in found(judge(floor, seen=more))


@pytest.mark.parametrize(("ttl_s", "speaks"), [(3600, True), (900, True), (240, True), (60, False)])
def test_dr6303_weighs_the_ttl_that_the_look_has_read(judge, ttl_s, speaks):
    move = upsert(outlast_caches="true")
    seen = {"move": {"readings": {"ttl_s": ttl_s}}}
    plan = judge(RECORD, (MOVE, move), seen=seen)
    assert (("DR6303", "move") in found(plan)) is speaks


def test_dr6201_names_the_plane_and_the_way_around_it(judge):
    plan = judge(RECORD, (MOVE, upsert(outlast_caches="true")))
    said = next(one for one in plan.findings if one.id == "DR6201")
    assert "needs control-plane:us-east-1, which this scenario assumes down" in said.what
    assert "aws.route53.failover_switch.engage" in said.fix


def test_dr6204_and_dr6205_want_state_outside_what_is_left(judge):
    lease = ("store: s3, aws: west", "store: s3, aws: east")
    plan = judge(env=[lease])
    assert {one.id for one in plan.findings} == {"DR6204"}
    assert "env.yaml:" in plan.findings[0].at
    planned = ("scenario: region-outage", "scenario: region-return")
    assert found(judge(planned, env=[lease])) == set(), "the region is left, and not lost"
    # Both databases read what the one witness saw.
    plan = judge(env=[("{aws: west, bucket: witness", "{aws: east, bucket: witness")])
    assert found(plan) == {("DR6202", "promote"), ("DR6205", "measure")}


def test_dr6306_wants_a_step_or_a_waiver_for_each_store(judge):
    files = ("stores:\n", "stores:\n  files: {kind: bucket, targets: [storage.files]}\n")
    queue = ("stores:\n", "stores:\n  jobs: {kind: queue}\n")
    plan = judge(env=[files, queue])
    assert found(plan) == {("DR6306", "files"), ("DR6306", "jobs")}
    assert "env.yaml:" in plan.findings[0].at
    look = last("id: look, uses: aws.s3.replication.assert, target: files, timeout: 1m,"
                " with: {rpo: 5m, newest: 3}, on_failure: continue")  # fmt: skip
    assert found(judge(targets("files: storage.files"), look, env=[files])) == set()
    other = ("stores:\n", "stores:\n  jobs: {kind: queue, scenarios: [database-outage]}\n")
    assert found(judge(env=[other])) == set()
    waiver = (
        "waivers: [{rule: DR6306, store: jobs, reason: none is kept, until: 2027-03-31}]\nfinally:"
    )
    plan = judge(("finally:", waiver), env=[files, queue])
    assert found(plan) == {("DR6306", "files")}
    assert [one.finding.where for one in plan.waived] == ["jobs"]


def test_dr6307_knows_how_often_a_snapshot_is_taken(judge):
    restore = last("id: back, uses: aws.rds.snapshot.restore, target: old_db, estimate: 5s,"
                   " timeout: 1m, with: {snapshot: s, instance: o-2}")  # fmt: skip
    often = ("[db.primary, db.recovery]", "[db.primary, db.recovery], snapshot_every: 5m")
    rarely = ("[db.primary, db.recovery]", "[db.primary, db.recovery], snapshot_every: 6h")
    assert ("DR6307", "back") in found(judge(restore, env=[rarely]))
    assert ("DR6307", "back") not in found(judge(restore, env=[often]))
    assert ("DR6307", "back") not in found(judge(restore))  # nobody has said how often


def test_dr6310_wants_https_where_customers_are(judge):
    plain = ("url: https://api.example.com", "url: http://api.example.com")
    assert found(judge(env=[plain, ("metadata:", "world: live\nmetadata:")])) == {
        ("DR6310", "verify_public")
    }
    assert found(judge(env=[plain, ("metadata:", "world: lab\nmetadata:")])) == set()


def test_dr6311_asks_for_a_list_of_stores(judge):
    none = ("stores:\n  database: {kind: database, targets: [db.primary, db.recovery]}\n", "")
    assert found(judge(env=[none])) == {("DR6311", "")}
    assert found(judge(("region-outage", "database-outage"), env=[none])) == set()


def test_no_rule_was_forgotten_here():
    """Each has a bad and a good example above; DR6104 has its own, with an action made for it."""
    text = Path(__file__).read_text()
    assert [rule for rule in all_rules() if rule not in text] == []


@given(st.sampled_from(dr6108_vendor_literal.SHAPES).flatmap(_of_shape))
def test_whatever_has_the_shape_of_a_vendors_name_has_its_sign(both):
    """The sign is looked for first; a shape without it would never be found."""
    sign, text = both
    assert sign in text
