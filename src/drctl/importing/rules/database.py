"""Promotions: what must come before, how, what must come after (E10 to E16, E19, E20)."""

import re
from collections.abc import Iterator

from drctl.importing.rules.rule import Hit, Rule
from drctl.importing.script import Command, Script
from drctl.importing.tools import (
    is_promotion,
    is_replica_promotion,
    kubectl,
    kubectls,
    promotions,
    queries,
    sets_database,
)

FENCES = (
    r"stop-db-instance", r"modify-db-instance.*--vpc-security-group-ids", r"\bfenc(?:e|ing)\b",
    r"fencedInstances", r"revoke-security-group", r"\bstonith\b", r"power(?:ed)?-?off",
    r"scale (?:statefulset|sts).*--replicas[= ]0", r"pg_ctl.*stop", r"systemctl.*stop.*postgres",
    r"iptables", r"networkpolic",
)  # fmt: skip
LAG = (
    r"ReplicaLag", r"pg_last_xact_replay_timestamp", r"pg_last_wal", r"pg_stat_replication",
    r"heartbeat", r"patronictl.*\blist\b", r"\blag\b", r"replay_lsn",
)  # fmt: skip
_REPLAY = (
    r"pg_last_wal_replay_lsn",
    r"replay_lsn",
    r"pg_is_wal_replay_paused",
    r"patronictl.*list",
)
_WRITABLE = (
    r"pg_is_in_recovery",
    r"transaction_read_only",
    r"\binsert\b",
    r"create (?:temp )?table",
)
_REPROTECT = (
    r"create-db-instance-read-replica", r"pg_rewind", r"pg_basebackup", r"patronictl.*reinit",
    r"rejoin", r"backup-retention", r"standby clone",
)  # fmt: skip
_BUILT_IN = {
    "pod", "pods", "po", "deployment", "deployments", "deploy", "service", "services", "svc",
    "configmap", "configmaps", "cm", "secret", "secrets", "ingress", "ingresses", "ing", "hpa",
    "statefulset", "statefulsets", "sts", "daemonset", "daemonsets", "ds", "cronjob", "cronjobs",
    "job", "jobs", "node", "nodes", "no", "pvc", "pv", "persistentvolumeclaim", "namespace",
    "namespaces", "ns", "serviceaccount", "sa", "networkpolicy", "netpol", "replicaset", "rs",
    "pdb",
    "endpoints", "ep", "horizontalpodautoscaler", "poddisruptionbudget", "storageclass", "role",
    "rolebinding", "clusterrole", "clusterrolebinding", "",
}  # fmt: skip
_ROLE_HOST = re.compile(
    r"(?://[^@\s]*@|host=)([\w.-]*-(?:standby|replica|secondary|slave)\b[\w.-]*)"
)


def _local(script: Script) -> list[Command]:
    return [one for one in promotions(script) if not is_replica_promotion(one)]


def _dumps_the_dead(script: Script) -> Iterator[Hit]:
    for command in script.named("pg_dump", "pg_dumpall"):
        later = [one for one in script.after(command) if is_promotion(one)]
        is_copy = queries(command, r"standby|replica|secondary")
        if later and not command.has_timeout and not is_copy:
            yield Hit(command.at, "dumps the failed primary, without a deadline, before it acts")


def _not_a_promotion(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        if re.search(r"hot_standby\W+off", command.text):
            what = "hot_standby: off promotes nothing; it forbids a standby to be read"
            yield Hit(command.at, what)


def _patch_without_type(script: Script) -> Iterator[Hit]:
    for call in kubectls(script, "patch"):
        if call.kind.split(".")[0] not in _BUILT_IN and not call.command.has("--type"):
            what = f"patches a {call.kind[:40]}, a custom resource, without --type merge"
            yield Hit(call.command.at, what)


def _no_fence(script: Script) -> Iterator[Hit]:
    for command in _local(script):
        if not any(queries(one, *FENCES) for one in script.before(command)):
            yield Hit(command.at, "promotes while nothing keeps the old primary from writing")


def _no_lag(script: Script) -> Iterator[Hit]:
    for command in _local(script):
        if not any(queries(one, *LAG) for one in script.before(command)):
            yield Hit(command.at, "promotes without asking how much would be lost")


def _no_replay(script: Script) -> Iterator[Hit]:
    for command in _local(script):
        if not any(queries(one, *_REPLAY) for one in script.before(command)):
            what = "promotes without asking whether the standby has replayed what it received"
            yield Hit(command.at, what)


def _repointed_too_early(script: Script) -> Iterator[Hit]:
    made = promotions(script)
    for call in kubectls(script, "set env"):
        before = [one for one in made if one.index < call.command.index]
        if before and sets_database(call):
            between = script.commands[before[-1].index + 1 : call.command.index]
            if not any(queries(one, *_WRITABLE) for one in between):
                what = "gives the application a database that nobody has seen take a write"
                yield Hit(call.command.at, what)


def _role_in_a_name(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        call = kubectl(command)
        for word in command.words:
            found = _ROLE_HOST.search(word.text)
            if found and call is not None and call.verb == "set env":
                what = f'"{found[1][:60]}" is a role, and the next failover makes it another'
                yield Hit(word.at, what)


def _not_protected_again(script: Script) -> Iterator[Hit]:
    for command in promotions(script)[-1:]:
        if not any(queries(one, *_REPROTECT) for one in script.after(command)):
            what = "ends with one database and no standby"
            yield Hit(command.at, what)


RULES = (
    Rule(
        id="DR6510",
        title="A dump of the failed primary as an assessment",
        severity="error",
        reason="It hangs or fails, can take longer than the recovery may, loads a struggling server"
        " and leaves all data unencrypted in a file.",
        bad="pg_dump --host=primary app > /tmp/x.dump\npsql -c 'select pg_promote()'\n",
        good="timeout 5 psql --host=primary -c 'select 1'\npsql -c 'select pg_promote()'\n",
        fix="Bounded looks from several places: postgres.measure_lag and the fence's own.",
        find=_dumps_the_dead,
    ),
    Rule(
        id="DR6511",
        title="hot_standby: off is not a promotion",
        severity="error",
        reason="The setting says whether a standby may be read. Off makes it refuse readers; under"
        " an operator it is forced to on, and nothing happens at all.",
        bad='kubectl patch postgresql db --type merge -p \'{"hot_standby":"off"}\'\n',
        good="psql -c 'select pg_promote(wait => true, wait_seconds => 60)'\n",
        fix="kubernetes.postgresql.promote has the operator do it, and waits for writes.",
        find=_not_a_promotion,
    ),
    Rule(
        id="DR6512",
        title="A custom resource is patched without --type",
        severity="error",
        reason="kubectl's default is a strategic merge patch, which custom resources refuse:"
        " the command fails, and the script goes on.",
        bad="kubectl patch postgresql db -p '{\"spec\":{}}'\n",
        good="kubectl patch postgresql db --type merge -p '{\"spec\":{}}'\n",
        fix="Adapters write through the API with a patch type that the resource has.",
        find=_patch_without_type,
    ),
    Rule(
        id="DR6513",
        title="A promotion without a fence",
        severity="error",
        reason="The old primary may live and take writes; two primaries lose data on both sides.",
        bad="psql -h standby -c 'select pg_promote()'\n",
        good="ssh old-primary pg_ctl stop -m fast\npsql -h standby -c 'select pg_promote()'\n",
        fix="The draft has a fence before the promotion, and proves afterwards that one primary is"
        " left.",
        find=_no_fence,
    ),
    Rule(
        id="DR6514",
        title="A promotion without a look at the lag",
        severity="error",
        reason="How much acknowledged data is lost is decided here, and nobody has asked.",
        bad="psql -h standby -c 'select pg_promote()'\n",
        good="psql -h standby -c 'select * from heartbeat'\n"
        "psql -h standby -c 'select pg_promote()'\n",
        fix="The draft measures the loss first; above the RPO a person has to accept it.",
        find=_no_lag,
    ),
    Rule(
        id="DR6515",
        title="A promotion without a look at the replay",
        severity="warning",
        reason="With WAL received and not replayed, or replay paused, the promotion comes at an"
        " unpredictable moment, or of the wrong candidate.",
        bad="psql -h standby -c 'select pg_promote()'\n",
        good="psql -h standby -c 'select pg_last_wal_replay_lsn()'\n"
        "psql -h standby -c 'select pg_promote()'\n",
        fix="The promoting action compares received with replayed, and waits.",
        find=_no_replay,
    ),
    Rule(
        id="DR6516",
        title="The application moves before the promotion is proven",
        severity="error",
        reason="SELECT version() succeeds on a read-only standby too; writes then fail everywhere.",
        bad="psql -c 'select pg_promote()'\nkubectl set env deployment/app DATABASE_URL=$NEW\n",
        good="psql -c 'select pg_promote()'\npsql -tc 'select pg_is_in_recovery()' | grep -q f\n"
        "kubectl set env deployment/app DATABASE_URL=$NEW\n",
        fix="The promotion is verified by postgres.primary.assert_writable before the next step.",
        find=_repointed_too_early,
    ),
    Rule(
        id="DR6519",
        title="A role in the name of a host",
        severity="warning",
        reason="The standby of today is the primary of tomorrow, and after the next failover the"
        " address is wrong again.",
        bad="kubectl set env deployment/app DATABASE_URL=postgresql://app@postgres-standby/app\n",
        good="kubectl set env deployment/app DATABASE_URL=postgresql://app@postgres-leader/app\n",
        fix="The address is the promotion's own output, or a service that follows the leader.",
        find=_role_in_a_name,
    ),
    Rule(
        id="DR6520",
        title="Nothing is protected again",
        severity="warning",
        reason="After a failover there is one database; the next fault loses it.",
        bad="psql -c 'select pg_promote()'\n",
        good="psql -c 'select pg_promote()'\npg_rewind --target-pgdata=/old\n",
        fix="The run owes a debt that database-failback or region-reprotect pays.",
        find=_not_protected_again,
    ),
)
