"""
Twenty and some things that keep a recovery from working, each made and taken back by hand.

A defect says which finding must name it, how it is made and undone, and how a failover is then
tried: as a whole where it must be refused before anything is changed, otherwise as the one step of
the shipped runbook that must fail, in a runbook of its own.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from estate_hands import (
    APP,
    EAST,
    WEST,
    Hands,
    Resolver,
    public_record,
    step_alone,
    until,
    upsert,
)

from drctl.lab.plan import PUBLIC_NAME

OUTAGE = "region-outage"


@dataclass(frozen=True, kw_only=True)
class Defect:
    name: str
    finding: str
    """The id that must name it, and no other."""
    make: Callable[[Hands], str]
    """Makes it; returns the environment under which it is there."""
    mend: Callable[[Hands], None] = lambda _hands: None
    step: str
    """The step of the runbook that it breaks; ready must say so."""
    scenario: str = OUTAGE
    standing: str = "not ready"
    alone: Callable[[], dict] | None = None
    """The step in a runbook of its own; ``None``: a whole failover is tried."""
    refusal: str = ""
    """Of a whole failover: words that its refusal must have."""
    untried: str = ""
    """Why no failover is tried."""


def _lab(_hands: Hands) -> str:
    return "lab"


# What somebody wrote into the environment file.


def _wrong_account(hands: Hands) -> str:
    return str(hands.edited(lambda e: e["connections"]["aws-west"].update(account="999999999999")))


def _wrong_cluster(hands: Hands) -> str:
    def edit(env):
        env["connections"]["cluster-west"]["cluster_uid"] = "00000000-aaaa-bbbb-cccc-000000000000"

    return str(hands.edited(edit))


def _wrong_database(hands: Hands) -> str:
    def edit(env):
        for target in env["targets"].values():
            if "system_identifier" in target:  # of one system, or lint would not have it
                target["system_identifier"] = "7000000000000000001"

    return str(hands.edited(edit))


def _dead_key(hands: Hands) -> str:
    path = hands.folder / "old_key"
    path.write_text("AKIAOLDOLDOLDOLDOLD0")
    path.chmod(0o600)

    def edit(env):
        env["connections"]["aws-west"]["access_key_id"] = f"file:{path}"

    return str(hands.edited(edit))


def _secret_gone(hands: Hands) -> str:
    def edit(env):
        env["targets"]["comms.statuspage"]["token"] = f"file:{hands.folder / 'nothing'}"

    return str(hands.edited(edit))


def _page_token_revoked(hands: Hands) -> str:
    path = hands.folder / "page_token"
    path.write_text("revoked-last-month")
    path.chmod(0o600)

    def edit(env):
        env["targets"]["comms.statuspage"]["token"] = f"file:{path}"

    return str(hands.edited(edit))


def _lease_in_the_east(hands: Hands) -> str:
    with suppress(Exception):
        hands.aws("s3", EAST).create_bucket(Bucket="healing-guard-leases-e")

    def edit(env):
        env["lease"].update(aws="aws-east", bucket="healing-guard-leases-e")

    return str(hands.edited(edit))


# What somebody did to AWS.


def _deny(action: str, resource: str = "*") -> Callable[[Hands], str]:
    def make(hands: Hands) -> str:
        # fmt: off
        policy = {"Version": "2012-10-17",
                  "Statement": [{"Effect": "Deny", "Action": action, "Resource": resource}]}
        # fmt: on
        hands.aws("iam").put_user_policy(
            UserName="drctl", PolicyName="tightened", PolicyDocument=json.dumps(policy)
        )
        return "lab"

    return make


def _allow_again(hands: Hands) -> None:
    hands.aws("iam").delete_user_policy(UserName="drctl", PolicyName="tightened")


def _fence_group(hands: Hands) -> str:
    groups = hands.aws("ec2").describe_security_groups()["SecurityGroups"]
    return next(one["GroupId"] for one in groups if one["GroupName"] == f"{APP}-fence")


_HOLE = [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
          "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}]  # fmt: skip


def _open_the_fence(hands: Hands) -> str:
    hands.aws("ec2").authorize_security_group_ingress(
        GroupId=_fence_group(hands), IpPermissions=_HOLE
    )
    return "lab"


def _close_the_fence(hands: Hands) -> None:
    hands.aws("ec2").revoke_security_group_ingress(GroupId=_fence_group(hands), IpPermissions=_HOLE)


def _no_backups(hands: Hands) -> str:
    hands.aws("rds").modify_db_instance(
        DBInstanceIdentifier=f"{APP}-prod", BackupRetentionPeriod=0, ApplyImmediately=True
    )
    return "lab"


def _backups(hands: Hands) -> None:
    rds = hands.aws("rds")
    rds.modify_db_instance(
        DBInstanceIdentifier=f"{APP}-prod", BackupRetentionPeriod=7, ApplyImmediately=True
    )
    until(lambda: "RestoreWindow" in rds.describe_db_instance_automated_backups(
        DBInstanceIdentifier=f"{APP}-prod")["DBInstanceAutomatedBackups"][0])  # fmt: skip


def _switch_watches_the_east(hands: Hands) -> str:
    zone, record = public_record(hands, "PRIMARY")
    hands.kept["primary"] = record
    # An object of its own in the east, as the first draft of the estate had it.
    hands.aws("s3", EAST).create_bucket(Bucket=f"{APP}-switch-east")
    host, port = hands.plan.aws_address(EAST)
    check = hands.aws("route53").create_health_check(
        CallerReference=f"wrong-{time.monotonic_ns()}",
        HealthCheckConfig={
            "Type": "HTTP", "IPAddress": host, "Port": port,
            "ResourcePath": f"/{APP}-switch-east/engaged", "RequestInterval": 10,
            "FailureThreshold": 1, "Inverted": True,
        },
    )["HealthCheck"]["Id"]  # fmt: skip
    upsert(hands, zone, {**record, "HealthCheckId": check})
    return "lab"


def _switch_watches_nothing(hands: Hands) -> str:
    zone, record = public_record(hands, "PRIMARY")
    hands.kept["primary"] = record
    upsert(hands, zone, {name: value for name, value in record.items() if name != "HealthCheckId"})
    return "lab"


def _primary_record_again(hands: Hands) -> None:
    with suppress(Exception):
        hands.aws("s3", WEST).delete_object(Bucket=f"{APP}-switch", Key="engaged")
    zone, _record = public_record(hands, "PRIMARY")
    upsert(hands, zone, hands.kept["primary"])


def _long_ttl(hands: Hands) -> str:
    zone, record = public_record(hands, "PRIMARY")
    hands.kept["primary"] = record
    import dns.message
    import dns.query

    host, port = hands.plan.dns
    query = dns.message.make_query(PUBLIC_NAME, "A")
    now = dns.query.udp(query, host, port=port, timeout=3).answer[-1][0].to_text()
    plain = {name: value for name, value in record.items() if name != "AliasTarget"}
    upsert(hands, zone, {**plain, "TTL": 3600, "ResourceRecords": [{"Value": now}]})
    net = hands.plan.net
    hands.kept["resolver"] = Resolver((f"127.{net}.0.54", 5354), hands.plan.dns)
    # Ready asks the zone's own nameserver; the failover, one that keeps what it has heard.
    resolvers = [f"127.{net}.0.54:5354"]
    hands.kept["then"] = str(hands.edited(lambda env: env.update(resolvers=resolvers)))
    return "lab"


def _short_ttl(hands: Hands) -> None:
    hands.kept["resolver"].stop()
    _primary_record_again(hands)


def _stop_copying(hands: Hands) -> str:
    assert hands.lab.drctl("lab", "break", "storage").returncode == 0
    hands.aws("s3", EAST).put_object(Bucket=f"{APP}-files", Key="order-1.json", Body=b"{}")
    time.sleep(4)
    return _own_scenario(hands, {"storage.files": None}, _files_copied())


def _files_copied() -> dict:
    return _runbook(
        "files-copied", {"files": "storage.files"},
        {"id": "files_copied", "uses": "aws.s3.replication.assert", "target": "files",
         "with": {"rpo": "2s", "newest": 5}},
    )  # fmt: skip


def _quota_too_small(hands: Hands) -> str:
    return _own_scenario(
        hands, {"capacity.recovery": {"kind": "aws.region", "aws": "aws-west"}}, _room_for_twenty()
    )


def _room_for_twenty() -> dict:
    return _runbook(
        "room", {"recovery": "capacity.recovery"},
        {"id": "room", "uses": "aws.servicequotas.assert", "target": "recovery",
         "with": {"service": "ec2", "quota": "L-1216C47A", "needs": 20, "used": 0}},
    )  # fmt: skip


# What somebody did to the cluster.


def _role(hands: Hands, rules: list[dict]) -> None:
    from kubernetes import client

    rbac = client.RbacAuthorizationV1Api(hands.kubernetes(WEST))
    rbac.patch_cluster_role("drctl", {"rules": rules})


def _may_not_scale(hands: Hands) -> str:
    _role(hands, [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch", "create"]},
        {"apiGroups": ["*"], "resources": ["secrets", "deployments", "pods"], "verbs": ["*"]},
    ])  # fmt: skip
    return "lab"


def _may_all(hands: Hands) -> None:
    _role(hands, [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])


def _expire(hands: Hands) -> str:
    assert hands.lab.drctl("lab", "break", "certificate", WEST).returncode == 0
    return "lab"


def _heal(hands: Hands) -> None:
    healed = hands.lab.drctl("lab", "heal")
    assert healed.returncode == 0, healed.stderr


def _small_quota(hands: Hands) -> str:
    quota = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}
    hands.core().create_namespaced_resource_quota(APP, quota)
    return "lab"


def _no_quota(hands: Hands) -> None:
    hands.core().delete_namespaced_resource_quota("few", APP)
    _one_pod(hands)


def _one_pod(hands: Hands) -> None:
    hands.apps().patch_namespaced_deployment(APP, APP, {"spec": {"replicas": 1}})
    until(lambda: hands.apps().read_namespaced_deployment(APP, APP).status.ready_replicas == 1)
    until(lambda: len(hands.core().list_namespaced_pod(APP).items) == 1)


def _image(hands: Hands, tag: str) -> None:
    container = {"name": APP, "image": f"registry.example/{APP}:{tag}"}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    hands.apps().patch_namespaced_deployment(APP, APP, body)


def _absent_image(hands: Hands) -> str:
    _image(hands, "9.9.9")
    return "lab"


def _present_image(hands: Hands) -> None:
    _image(hands, "1.0.0")
    _one_pod(hands)


def _no_secret(hands: Hands) -> str:
    hands.kept["secret"] = hands.core().read_namespaced_secret(f"{APP}-db", APP)
    hands.core().delete_namespaced_secret(f"{APP}-db", APP)
    return "lab"


def _secret_again(hands: Hands) -> None:
    kept = hands.kept["secret"]
    body = {"metadata": {"name": f"{APP}-db"}, "data": kept.data, "type": kept.type}
    hands.core().create_namespaced_secret(APP, body)


# What happened to the database.


def _revoke(hands: Hands) -> str:
    hands.sql("REVOKE INSERT ON drctl.write_check FROM drctl")
    time.sleep(1)  # the standby replays it
    return "lab"


def _grant(hands: Hands) -> None:
    hands.sql("GRANT INSERT ON drctl.write_check TO drctl")


def _cut(hands: Hands) -> str:
    assert hands.lab.drctl("lab", "break", "replication").returncode == 0
    time.sleep(13)  # the lab's RPO is 10 s
    return "lab"


def _detach(hands: Hands) -> str:
    rds = hands.aws("rds", WEST)
    rds.promote_read_replica(DBInstanceIdentifier=f"{APP}-dr")

    def is_primary() -> bool:
        [seen] = rds.describe_db_instances(DBInstanceIdentifier=f"{APP}-dr")["DBInstances"]
        is_done = seen["DBInstanceStatus"] == "available"
        return is_done and not seen.get("ReadReplicaSourceDBInstanceIdentifier")

    until(is_primary)
    return "lab"


# What happened to the runbook.


def _edited_since(hands: Hands) -> str:
    environment = _own_scenario(hands, {}, _drilled())
    path = hands.folder / "own.yaml"
    drilled = hands.lab.drctl("run", str(path), "-e", environment, "--no-input")
    assert drilled.returncode == 0, drilled.stdout + drilled.stderr
    code, before = hands.ready("own", environment)
    assert (code, before["result"]) == (0, "ready"), before
    path.write_text(path.read_text().replace('"30s"', '"31s"'))
    return environment


def _drilled() -> dict:
    return _runbook(
        "drilled", {"app": "app.recovery"},
        {"id": "warm", "uses": "kubernetes.deployment.scale", "target": "app",
         "with": {"replicas": 1, "at_least": True}, "timeout": "30s"},
    )  # fmt: skip


def _runbook(name: str, targets: dict, step: dict) -> dict:
    return {
        "apiVersion": "drctl/v1",
        "kind": "Runbook",
        "metadata": {"name": name, "title": name, "owner": "tests", "scenario": "own"},
        "objectives": {"rto": "15m", "rpo": "5m",
                       "clock": {"starts_at": "run", "stops_after": [step["id"]]}},
        "targets": targets,
        "steps": [{"timeout": "20s", "estimate": "1s", "on_failure": "stop", "needs": [], **step}],
    }  # fmt: skip


def _own_scenario(hands: Hands, targets: dict, runbook: dict) -> str:
    path = hands.folder / "own.yaml"
    path.write_text(json.dumps(runbook))

    def edit(env):
        env["targets"] |= {name: entry for name, entry in targets.items() if entry}
        env["runbooks"]["own"] = str(path)

    return str(hands.edited(edit))


def _only_writable() -> dict:
    made = step_alone("promote")
    made["steps"][0] |= {"uses": "postgres.primary.assert_writable", "target": "old_db"}
    made["targets"] = {"old_db": "db.primary"}
    return made


DEFECTS = (
    Defect(name="wrong account", finding="identity.aws.account", make=_wrong_account,
           step="promote", refusal="DR520"),
    Defect(name="wrong cluster", finding="identity.kubernetes.cluster_uid", make=_wrong_cluster,
           step="prewarm_app", refusal="DR520"),
    Defect(name="wrong database", finding="identity.postgres.system_identifier",
           make=_wrong_database, step="promote", refusal="DR520"),
    Defect(name="access key withdrawn", finding="aws.credentials", make=_dead_key,
           step="promote", refusal="DR520"),
    Defect(name="secret reference leads nowhere", finding="drctl.secrets", make=_secret_gone,
           step="open_incident", alone=lambda: step_alone("open_incident")),
    Defect(name="Statuspage token revoked", finding="statuspage.reachable", standing="at risk",
           make=_page_token_revoked, step="open_incident",
           alone=lambda: step_alone("open_incident")),
    Defect(name="leases kept in the region that dies", finding="drctl.lease", standing="at risk",
           make=_lease_in_the_east, step="fence_old_primary",
           untried="the region would have to die first: see the test of --assume-down"),
    Defect(name="permission to fence missing", finding="aws.permissions",
           make=_deny("rds:ModifyDBInstance"), mend=_allow_again, step="fence_old_primary",
           alone=lambda: step_alone("fence_old_primary", timeout="40s")),
    Defect(name="permission to move traffic missing", finding="aws.permissions",
           make=_deny("s3:PutObject", f"arn:aws:s3:::{APP}-switch/*"), mend=_allow_again,
           step="move_traffic", alone=lambda: step_alone("move_traffic")),
    Defect(name="fence group lets traffic in", finding="aws.rds.fence_group",
           make=_open_the_fence, mend=_close_the_fence, step="fence_old_primary",
           alone=lambda: step_alone("fence_old_primary", timeout="40s")),
    Defect(name="no backups", finding="aws.rds.backups", scenario="database-corruption",
           make=_no_backups, mend=_backups, step="window",
           alone=lambda: _runbook("window", {"db": "db.primary"}, {
               "id": "window", "uses": "aws.rds.restore_window", "target": "db"})),
    Defect(name="switch watches the region that dies", finding="aws.route53.switch",
           make=_switch_watches_the_east, mend=_primary_record_again, step="move_traffic",
           alone=lambda: step_alone("move_traffic")),
    Defect(name="switch without a health check", finding="aws.route53.switch",
           make=_switch_watches_nothing, mend=_primary_record_again, step="move_traffic",
           alone=lambda: step_alone("move_traffic")),
    Defect(name="TTL 3600", finding="dns.ttl", make=_long_ttl, mend=_short_ttl,
           step="move_traffic", alone=lambda: step_alone("move_traffic")),
    Defect(name="files not copied", finding="aws.s3.replication.assert", scenario="own",
           make=_stop_copying, mend=_heal, step="files_copied", alone=_files_copied),
    Defect(name="service quota too small", finding="aws.servicequotas.assert", scenario="own",
           make=_quota_too_small, step="room", alone=_room_for_twenty),
    Defect(name="right to scale missing", finding="kubernetes.permissions", make=_may_not_scale,
           mend=_may_all, step="prewarm_app", alone=lambda: step_alone("prewarm_app")),
    Defect(name="certificate expired", finding="kubernetes.certificate", make=_expire, mend=_heal,
           step="prewarm_app", refusal="DR520"),
    Defect(name="quota of pods too small", finding="kubernetes.quota", make=_small_quota,
           mend=_no_quota, step="prewarm_app", alone=lambda: step_alone("prewarm_app")),
    Defect(name="image absent", finding="kubernetes.images", make=_absent_image,
           mend=_present_image, step="prewarm_app", alone=lambda: step_alone("prewarm_app")),
    Defect(name="Secret absent", finding="kubernetes.secret", make=_no_secret,
           mend=_secret_again, step="repoint_app",
           alone=lambda: step_alone("repoint_app", **{
               "with": {"name": f"{APP}-db", "data": {"host": "db.example"}}})),
    Defect(name="database privilege missing", finding="postgres.privileges", make=_revoke,
           mend=_grant, step="promote", alone=_only_writable),
    Defect(name="runbook edited since its drill", finding="drctl.runbook", standing="at risk",
           scenario="own", make=_edited_since, step="warm",
           untried="an edit breaks nothing by itself; it takes the proof away"),
    Defect(name="lag above the RPO", finding="recovery.loss", make=_cut, mend=_heal,
           step="measure_lag", refusal="DR310"),
    # The last: a replica that was promoted follows nobody ever again.
    Defect(name="replica detached", finding="aws.rds.replica", make=_detach, step="promote",
           refusal="DR310"),
)  # fmt: skip
