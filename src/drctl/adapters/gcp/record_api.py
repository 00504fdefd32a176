"""What Cloud DNS has for a record, and a change until it is done."""

from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown, Throttled, Unavailable
from drctl.actions.targets import CloudDnsRecord
from drctl.adapters.gcp.client import Gcp, part

POLL_S = 0.5
DONE = "done"


def zone_path(target: CloudDnsRecord) -> str:
    """The path of the target's zone."""
    return f"dns/v1/projects/{part(target.gcp.project)}/managedZones/{part(target.managed_zone)}"


def full_name(target: CloudDnsRecord) -> str:
    """The record's name as Cloud DNS writes it."""
    return target.record_name.rstrip(".") + "."


async def find(gcp: Gcp, target: CloudDnsRecord, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """
    The record sets of the target's name, of these types.

    Raises:
        ActionError: They could not be read.
    """
    name = full_name(target)
    answer = await gcp.read("dns", f"{zone_path(target)}/rrsets", {"name": name})
    listed = answer.get("rrsets", [])
    if any(one.get("name") != name for one in listed):
        raise Unavailable(f"Cloud DNS was asked about {name}, and told of other names")
    if answer.get("nextPageToken"):
        raise Unavailable(f"Cloud DNS has more than one page about {name}")
    return sorted((one for one in listed if one["type"] in kinds), key=text)


async def finish(
    ctx: Context, gcp: Gcp, target: CloudDnsRecord, change: dict[str, Any]
) -> dict[str, Any]:
    """
    Polls a change until it is done.

    Raises:
        OutcomeUnknown: It is not by the deadline, or cannot be read any more.
    """
    path = f"{zone_path(target)}/changes/{part(str(change.get('id')))}"
    while change.get("status") != DONE:
        if ctx.deadline.has_passed(ctx.clock):
            raise OutcomeUnknown(f"{target.label}: change {change['id']} is {change['status']}")
        await ctx.clock.sleep(min(POLL_S, ctx.deadline.left_s(ctx.clock)))
        try:
            seen = await gcp.read("dns", path, patience=timedelta())
        except (Throttled, Unavailable):
            continue  # looked at again; the deadline ends it
        except ActionError as error:
            raise OutcomeUnknown(f"change {change['id']} was accepted, then: {error}") from error
        # About another change: not seen.
        change = seen if seen.get("id") == change.get("id") else change
    return change


def text(record: dict[str, Any]) -> str:
    """One line for people, the same for equal records."""
    values = sorted(str(value) for value in record.get("rrdatas", []))
    shown = f"{record['type']} {', '.join(values)} for {record.get('ttl')} s"
    return f"{shown} (routing policy)" if record.get("routingPolicy") else shown
