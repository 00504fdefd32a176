"""aws: what the installed actions of AWS do instead."""

from collections.abc import Callable

from drctl.importing.mapping.database import decide, replica_promotion
from drctl.importing.mapping.step import Growing, Step
from drctl.importing.script import Command
from drctl.importing.tools import Aws, aws

_MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
PART_OF_REBUILD = {
    "create-target-group": "aws.elbv2.rebuild makes its target group",
    "create-listener": "aws.elbv2.rebuild copies the listeners",
    "register-targets": "aws.elbv2.rebuild registers the ready pods",
    "modify-load-balancer-attributes": "aws.elbv2.rebuild copies the attributes",
    "wait load-balancer-available": "aws.elbv2.rebuild waits until it serves",
    "wait target-in-service": "aws.elbv2.rebuild waits for healthy targets",
}


def steps_of(command: Command, growing: Growing) -> tuple[Step, ...] | None:
    """The steps that do what a call of aws is for; ``None`` when no action does."""
    call = aws(command)
    maker = _MAKERS.get(call.operation) if call else None
    return maker(call, growing) if call and maker else None


def _promote(call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    called = growing.text(call.command.word("--db-instance-identifier"))
    return replica_promotion(growing, called or "")


def _restore(call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    name = growing.text(call.command.word("--target-db-instance-identifier"))
    source = growing.text(call.command.word("--source-db-instance-identifier"))
    if not name or "$" in name or growing.gates:
        return None
    time = _moment(call, growing)
    growing.has_order = True
    growing.endpoint = "restore"
    growing.ids |= {"restore", "restorable", "look_into_it", "fence_source", "one_primary"}
    growing.inputs.setdefault("instance", {"type": "string", "default": name})
    growing.target("db", "db.primary", "aws.rds.instance", source or "")
    growing.target("restored_db", "db.restored", "aws.rds.instance", name)
    return (
        Step(id="restorable", title="Can that moment be restored?", phase="look",
             uses="aws.rds.restore_window", target="db", with_={"time": time}, timeout="30s",
             added=True),
        decide(growing, "Restore the database to that moment; what came after it is lost"),
        Step(id="fence_source", title="Make certain that nobody writes into the old database",
             phase="fence", uses="aws.rds.fence", target="db", estimate="20s", timeout="1m",
             added=True),
        Step(id="restore", title="Restore into a new, private instance", phase="make",
             uses="aws.rds.restore_to_time", target="db",
             with_={
                 "instance": "${{ inputs.instance }}",
                 "time": time,
                 "security_groups": "${{ steps.fence_source.outputs.previous_security_groups }}",
             },
             estimate="25m", timeout="45m"),
        Step(id="look_into_it", title="The restored database takes writes", phase="ready",
             uses="postgres.primary.assert_writable", target="restored_db",
             estimate="5s", timeout="1m", added=True,
             notes=("REVIEW: add postgres.rows.assert with a table that must have rows then.",)),
        Step(id="one_primary", title="Prove that clients write to the restored database only",
             phase="prove", uses="aws.rds.assert_single_primary", target="db",
             with_={"new_primary": "${{ steps.restore.outputs.endpoint }}",
                    "port": "${{ steps.restore.outputs.port }}"},
             estimate="10s", timeout="1m", added=True),
    )  # fmt: skip


def _moment(call: Aws, growing: Growing) -> str:
    """The input that says which moment: it has an offset, and no default."""
    word = call.command.word("--restore-time")
    names = [one.name for one in word.expansions] if word else []
    known = growing.variables.get(names[0], "") if names else ""
    name = known.removeprefix("inputs.") or "restore_to"
    growing.inputs[name] = {
        "type": "string",
        "pattern": _MOMENT,
        "description": "the moment to restore to, with its offset, as in 2026-11-22T14:03:00Z",
    }
    return f"${{{{ inputs.{name} }}}}"


def _wait_instance(call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    return (
        instance_available(growing, growing.text(call.command.word("--db-instance-identifier"))),
    )


def instance_available(growing: Growing, called: str | None) -> Step:
    """Waits until an RDS instance is available, or ends with a state that cannot become it."""
    for alias, (_, kind, known) in growing.targets.items():
        if kind == "aws.rds.instance" and known == called:
            target = alias
            break
    else:
        target = growing.target("db", "db.primary", "aws.rds.instance", called or "")
    return Step(
        id=growing.id("wait_for_database"),
        title="Wait until the database is available",
        phase="make" if growing.endpoint else "ready",
        uses="aws.rds.instance.wait",
        target=target,
        with_={"status": "available"},
        timeout="45m" if growing.endpoint == "restore" else "10m",
    )


def _snapshot(call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    name = growing.text(call.command.word("--db-snapshot-identifier"))
    source = growing.text(call.command.word("--db-instance-identifier"))
    if not name:
        return None
    growing.target("db", "db.primary", "aws.rds.instance", source or "")
    return (
        Step(id=growing.id("snapshot"), title="Copy the database to a snapshot", phase="look",
             uses="aws.rds.snapshot.create", target="db", with_={"snapshot": name},
             estimate="10m", timeout="30m"),
    )  # fmt: skip


def _check_balancer(call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    if call.command.pipe is not None or call.command.captured_by is not None:
        return None
    called = growing.text(call.command.word("--names")) or ""
    lb = growing.target("lb", "lb.primary", "aws.elbv2.load_balancer", called)
    return (
        Step(id=growing.id("ask_vendor"), title="What does AWS say of the load balancer?",
             phase="look", uses="aws.elbv2.check", target=lb, timeout="20s"),
    )  # fmt: skip


def _rebuild(_call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    if growing.gates:
        return None
    lb = growing.target("lb", "lb.primary", "aws.elbv2.load_balancer")
    app = growing.app("")
    growing.has_order = True
    growing.rebuilt = "rebuild"
    growing.ids |= {"rebuild", "pods_to_serve"}
    asked = "ask_vendor" in growing.ids
    return (
        Step(id="pods_to_serve", title="Which pods are ready to serve?", phase="look",
             uses="kubernetes.pods.list_ready", target=app, timeout="20s"),
        decide(growing, "Build another load balancer, and move customers to it"),
        Step(id="rebuild", title="Build a copy of it and wait until its targets are healthy",
             phase="make", uses="aws.elbv2.rebuild", target=lb,
             with_={"addresses": "${{ steps.pods_to_serve.outputs.addresses }}"},
             when="steps.ask_vendor.outputs.is_serving == false" if asked else "",
             estimate="4m", timeout="7m"),
    )  # fmt: skip


def _part(_call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    return () if growing.rebuilt else None


def _record(_call: Aws, growing: Growing) -> tuple[Step, ...] | None:
    if growing.is_region:
        switch = growing.target("switch", "traffic.api", "aws.route53.failover_switch")
        growing.has_order = True
        return (
            Step(id=growing.id("move_traffic"), title="Move the traffic with one write to S3",
                 phase="traffic", uses="aws.route53.failover_switch.engage", target=switch,
                 estimate="60s", timeout="3m",
                 notes=("REVIEW: the failover records and their health check have to exist.",)),
        )  # fmt: skip
    if not growing.rebuilt:
        return None
    name = growing.target("name", "traffic.record", "aws.route53.record")
    alias = {
        "zone_id": f"${{{{ steps.{growing.rebuilt}.outputs.zone_id }}}}",
        "name": f"${{{{ steps.{growing.rebuilt}.outputs.dns_name }}}}",
    }
    return (
        Step(id=growing.id("move_name"), title="Lead the public name to it", phase="traffic",
             uses="aws.route53.record.upsert", target=name,
             when=f"steps.{growing.rebuilt}.status == 'succeeded'",
             with_={"type": "A", "alias": alias, "outlast_caches": True},
             estimate="2m", timeout="5m"),
    )  # fmt: skip


_MAKERS: dict[str, Callable[[Aws, Growing], tuple[Step, ...] | None]] = {
    "promote-read-replica": _promote,
    "restore-db-instance-to-point-in-time": _restore,
    "wait db-instance-available": _wait_instance,
    "create-db-snapshot": _snapshot,
    "describe-load-balancers": _check_balancer,
    "create-load-balancer": _rebuild,
    "change-resource-record-sets": _record,
    **dict.fromkeys(PART_OF_REBUILD, _part),
}
