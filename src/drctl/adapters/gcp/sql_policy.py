"""Cloud SQL's switch: an instance whose activation policy is ``NEVER`` is stopped."""

from datetime import timedelta

from drctl.actions.contract import Context, Debt
from drctl.actions.errors import Conflict, OutcomeUnknown, Rejected
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.errors import after_sending
from drctl.adapters.gcp.operations import finish, is_under_way
from drctl.adapters.gcp.sql_api import Instance, describe, path_of

QUICK = timedelta(seconds=3)
"""A control plane that says nothing for this long is not there: the proof goes on without it."""
KINDS = ("UPDATE",)
STOPPED, RUNNING = "NEVER", "ALWAYS"
UNCHANGED = "UNCHANGED"


def stopped_debt(target: CloudSqlInstance) -> Debt:
    """What is owed for as long as it is stopped, whichever run has stopped it."""
    return Debt(
        key=f"fence:{target.identities[0]}",
        what=f"{target.label} is fenced: Cloud SQL has stopped it",
        remedy="make a new replica in its place and delete it; do not just start it",
    )


async def survey(ctx: Context, target: CloudSqlInstance) -> Instance:
    """
    The instance, quickly or not at all.

    Raises:
        ActionError: It could not be read.
    """
    gcp = Gcp(ctx, target.gcp, call=QUICK)
    return await describe(gcp, target.instance, patience=timedelta())


async def set_policy(ctx: Context, target: CloudSqlInstance, seen: Instance, policy: str) -> str:
    """
    Sets the activation policy, compared by the settings' version, and waits until it is in force.

    Returns:
        What it was before; ``UNCHANGED`` when it was that already.

    Raises:
        ActionError: It was refused, or is not known to be in force.

    Changes:
        The instance's activation policy.
    """
    gcp = Gcp(ctx, target.gcp)
    if seen.activation == policy and not await is_under_way(gcp, target.instance, KINDS):
        return UNCHANGED
    wanted = {"settingsVersion": seen.settings_version, "activationPolicy": policy}
    try:
        answer = await gcp.mutate(
            "PATCH", "sqladmin", path_of(gcp, target.instance), {"settings": wanted}
        )
    except (Conflict, Rejected) as error:
        with after_sending(target.label):
            now = await describe(gcp, target.instance)
        if now.activation != seen.activation:
            # A network that delivers twice gives the answer to the second.
            raise OutcomeUnknown(f"{target.label} is {now.activation}, and: {error}") from error
        raise
    await finish(ctx, gcp, answer, target.instance, KINDS)
    with after_sending(target.label):
        now = await describe(gcp, target.instance)
    if now.activation != policy:
        raise OutcomeUnknown(f"{target.label}: done, and its activation is {now.activation}")
    return seen.activation
