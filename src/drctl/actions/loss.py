"""How much acknowledged data would be lost: the one measurement that the RPO gate reads."""

from datetime import datetime, timedelta

from drctl.actions.contract import Outputs


class LossBound(Outputs):
    """
    An upper bound on lost acknowledged writes, from evidence that is not the standby's own opinion.

    Every write acknowledged before ``safe_until`` is on the standby. A write that may be lost was
    acknowledged in (``safe_until``, ``safe_until + bound``].
    """

    bound: timedelta | None
    """``None``: unknown, which refuses like a bound that is too large."""
    safe_until: datetime | None = None
    """UTC; from the clock of the witness that wrote the heartbeat."""
    lag_bytes: int | None = None
    """
    Last LSN of the primary seen by somebody else minus the standby's replayed LSN; never negative.
    """
    primary_last_seen: datetime | None = None
    """When somebody else last saw the primary alive. Evidence for the start of the incident."""
    source: str
    """Where the number comes from, in a few words, or why there is none."""
