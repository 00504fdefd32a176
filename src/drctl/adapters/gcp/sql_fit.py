"""A Cloud SQL instance as a candidate for promotion (`drctl.adapters._managed`)."""

from datetime import timedelta

from drctl.actions.contract import Context
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters import _http
from drctl.adapters._managed import Replica

FETCH = timedelta(seconds=5)


async def fetch_sighting(ctx: Context, url: str) -> bytes:
    """
    Gets the observer's document.

    Raises:
        ActionError: It did not come.
    """
    return (await _http.send_ok(ctx, "GET", url, label="the witness", timeout=FETCH)).body


def replica_of(
    ctx: Context,
    target: CloudSqlInstance,
    timeline: int | None = None,
    *,
    accepts_silence: bool = False,
) -> Replica:
    """The candidate that a target describes."""
    url = target.sightings_url
    return Replica(
        label=target.label,
        vendor="Cloud SQL",
        sql=target.sql,
        system_identifier=target.system_identifier,
        siblings=target.siblings,
        sighting=None if url is None else lambda: fetch_sighting(ctx, url),
        from_timeline=timeline,
        accepts_silence=accepts_silence,
    )
