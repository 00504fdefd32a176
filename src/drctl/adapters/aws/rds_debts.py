"""What RDS actions leave behind, under keys by which another run finds it."""

from drctl.actions.contract import Cleared, Debt
from drctl.actions.targets import RdsInstance


def owed_standby(target: RdsInstance) -> Debt:
    """A primary that nobody follows."""
    return Debt(
        key=_standby(target),
        what=f"{target.instance} ({target.aws.region}) is the only copy: no standby follows it",
        remedy="make a replica of it in another region: run region-reprotect",
    )


def paid_standby(target: RdsInstance) -> Cleared:
    """A replica follows."""
    return Cleared(key=_standby(target))


def owed_fence(target: RdsInstance, note: str, *, durable: bool) -> Debt:
    """An instance that is kept from taking writes, and must be until it is let out or gone."""
    if durable:
        what = f"{target.label} is fenced" + (f": {note}" if note else "")
        remedy = "keep it fenced, until region-reprotect has set it aside or it is deleted"
    else:
        what = f"{target.label} was only seen to be dead: {note}"
        remedy = "fence it as soon as it answers: aws.rds.fence, or region-reprotect, which does"
    return Debt(key=_fence(target), what=what, remedy=remedy)


def paid_fence(target: RdsInstance) -> Cleared:
    """It is out of quarantine, or has another name."""
    return Cleared(key=_fence(target))


def owed_choice(target: RdsInstance, restored: str, of: str) -> Debt:
    """A copy beside its source: whether it ever serves is not known when it is made."""
    return Debt(
        key=f"restored:aws:{target.aws.account}:{target.aws.region}:rds:{restored}",
        what=f"{restored} ({target.aws.region}) was made from {target.instance}, {of}: only one of"
        " them is to stay",
        remedy=f"if {restored} serves: give it a standby (aws.rds.create_replica), reconcile what"
        f" only {target.instance} has, then delete that; if not: delete {restored}",
    )


def owed_end(target: RdsInstance, instance: str, why: str) -> Debt:
    """An instance that serves nobody and is kept for what is in it."""
    return Debt(
        key=f"kept:aws:{target.aws.account}:{target.aws.region}:rds:{instance}",
        what=f"{instance} ({target.aws.region}) is kept: {why}",
        remedy="reconcile what only it has, then snapshot and delete it",
    )


def _standby(target: RdsInstance) -> str:
    # All copies of a system share it, whatever they are called.
    system = target.system_identifier
    return f"standby:postgres:{system}" if system else f"standby:{target.identities[0]}"


def _fence(target: RdsInstance) -> str:
    return f"fence:{target.identities[0]}"
