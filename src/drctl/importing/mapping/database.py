"""Promotions, with what has to stand around one: measure, decide, fence, promote, prove."""

import re
from dataclasses import replace

from drctl.importing.mapping.step import Growing, Step
from drctl.importing.script import Command
from drctl.importing.tools import is_promotion, promotions

_SHOW = (
    (
        "data loss if we go now: at most ${{ steps.measure_lag.outputs.bound }}"
        " (${{ steps.measure_lag.outputs.source }})"
    ),
    "budget left: ${{ rto.remaining }} of ${{ rto.budget }}",
)


def steps_of(command: Command, growing: Growing) -> tuple[Step, ...] | None:
    """The steps that do what psql, pg_dump or pg_ctl is for; ``None`` when no action does."""
    if is_promotion(command):
        return server_promotion(growing) if command.name in {"psql", "pg_ctl"} else None
    made = promotions(growing.script)
    is_before = any(command.index < one.index for one in made)
    if command.name == "pg_dump" and is_before:
        _name_databases(growing, made[0])
        return () if growing.measured else (_measured(growing, made[0]),)
    if command.name == "psql" and re.search(
        r"(?i)pg_is_in_recovery|transaction_read_only", command.text
    ):
        return writable(growing)
    return None


def decide(growing: Growing, title: str) -> Step:
    """The gate behind which there is no way back."""
    growing.gates["go"] = {
        "title": title,
        "approvers": ["incident-commander"],
        "quorum": 1,
        "expires_after": "3m",
    }
    growing.ids.add("go")
    show = _SHOW if growing.measured else _SHOW[1:]
    return Step(id="go", title="Point of no return", phase="go", gate="go", estimate="1m",
                show=show, added=True)  # fmt: skip


def operator_promotion(growing: Growing, called: str) -> tuple[Step, ...] | None:
    """Has an operator promote its standby."""
    if growing.gates:
        return None  # a run has one point of no return
    growing.promotes = "operator"
    growing.target("old_cluster", "db.primary_cluster", "kubernetes.postgresql", called)
    growing.target("new_cluster", "db.standby_cluster", "kubernetes.postgresql")
    growing.target("old_db", "db.primary_server", "postgres.server")
    growing.target("new_db", "db.standby_server", "postgres.server")
    return _promoted(
        growing,
        fence=("kubernetes.postgresql.fence", "old_cluster"),
        promote=("kubernetes.postgresql.promote", "new_cluster"),
        seen_at="new_db",
        prove=("postgres.primary.assert_only", "old_db"),
        lasts=("30s", "3m"),
    )


def server_promotion(growing: Growing) -> tuple[Step, ...] | None:
    """Promotes a PostgreSQL that nobody manages."""
    if growing.gates:
        return None  # a run has one point of no return
    growing.promotes = "server"
    growing.target("old_db", "db.primary", "postgres.server")
    growing.target("new_db", "db.standby", "postgres.server")
    return _promoted(
        growing,
        fence=("postgres.fence", "old_db"),
        promote=("postgres.promote", "new_db"),
        seen_at="new_db",
        prove=("postgres.primary.assert_only", "old_db"),
        lasts=("30s", "3m"),
    )


def replica_promotion(growing: Growing, called: str) -> tuple[Step, ...] | None:
    """Promotes an RDS read replica of another region."""
    if growing.gates:
        return None  # a run has one point of no return
    growing.promotes = "rds"
    growing.target("old_db", "db.primary", "aws.rds.instance")
    growing.target("new_db", "db.recovery", "aws.rds.instance", called)
    return _promoted(
        growing,
        fence=("aws.rds.fence", "old_db"),
        promote=("aws.rds.promote_replica", "new_db"),
        seen_at="new_db",
        prove=("aws.rds.assert_single_primary", "old_db"),
        lasts=("4m", "6m"),
    )


def writable(growing: Growing) -> tuple[Step, ...]:
    """Proves that the database which serves now takes writes."""
    if "new_db" in growing.targets:
        alias = "new_db"
    elif "restored_db" in growing.targets:
        alias = "restored_db"
    else:
        alias = growing.target("db", "db.primary", "postgres.server or aws.rds.instance")
    return (
        Step(id=growing.id("takes_writes"), title="Write a token to the database, and read it back",
             phase="check", uses="postgres.primary.assert_writable", target=alias,
             estimate="3s", timeout="30s"),
    )  # fmt: skip


def monitored(growing: Growing) -> tuple[Step, ...]:
    """Looks at the database for a bounded time."""
    step = writable(growing)[0]
    return (
        replace(step, id=growing.id("watch_database"), estimate="", timeout="2m",
                title="Watch the database for half a minute", uses="postgres.monitor",
                with_={"window": "30s"}),
    )  # fmt: skip


def _name_databases(growing: Growing, promotion: Command) -> None:
    """Promotions name their targets; what comes before one needs the same names."""
    if promotion.name == "kubectl":
        growing.target("new_cluster", "db.standby_cluster", "kubernetes.postgresql")
    elif promotion.name == "aws":
        growing.target("new_db", "db.recovery", "aws.rds.instance")
    else:
        growing.target("new_db", "db.standby", "postgres.server")


def _measured(growing: Growing, promotion: Command | None = None) -> Step:
    kinds = {
        "new_cluster": "kubernetes.postgresql.measure_lag",
        "new_db": "aws.rds.measure_lag"
        if growing.promotes == "rds" or (promotion and promotion.name == "aws")
        else "postgres.measure_lag",
    }
    alias = "new_cluster" if "new_cluster" in growing.targets else "new_db"
    growing.measured = True
    growing.ids.add("measure_lag")
    return Step(
        id="measure_lag",
        title="How much data would we lose?",
        phase="look",
        uses=kinds[alias],
        target=alias,
        timeout="20s",
        added=promotion is None,
    )


def _promoted(
    growing: Growing,
    *,
    fence: tuple[str, str],
    promote: tuple[str, str],
    seen_at: str,
    prove: tuple[str, str],
    lasts: tuple[str, str],
) -> tuple[Step, ...]:
    growing.has_order = True
    growing.endpoint = "promote"
    growing.ids |= {"promote", "fence_old_primary", "one_primary"}
    first = () if growing.measured else (_measured(growing),)
    check = {"uses": "postgres.primary.assert_writable", "target": seen_at, "timeout": "30s"}
    return (
        *first,
        decide(growing, "Promote the standby; the old primary does not come back by itself"),
        Step(id="fence_old_primary", title="Make certain that the old primary takes no writes",
             phase="fence", uses=fence[0], target=fence[1], estimate="20s", timeout="1m",
             added=True),
        Step(id="promote", title="Make the standby the primary", phase="make", uses=promote[0],
             target=promote[1], estimate=lasts[0], timeout=lasts[1], verify=(check,)),
        Step(id="one_primary", title="Prove that clients write to the new primary only",
             phase="prove", uses=prove[0], target=prove[1],
             with_={"new_primary": "${{ steps.promote.outputs.endpoint }}",
                    "port": "${{ steps.promote.outputs.port }}"},
             estimate="10s", timeout="1m", added=True),
    )  # fmt: skip
