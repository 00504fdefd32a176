"""How long the emulated vendor takes, compressed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorDelays:
    """
    Lower bounds in seconds; real work that takes longer makes a state last longer.

    AWS needs minutes where these are seconds, so that a drill fits into a
    coffee break and the order of things stays true.
    """

    create_s: float = 0.0
    """RDS ``creating`` -> ``available``."""
    promote_s: float = 2.0
    """RDS ``modifying`` -> ``available`` of a promoted replica."""
    failover_s: float = 3.0
    """RDS Multi-AZ: a zone is lost -> its standby takes writes; one to two minutes on AWS."""
    modify_s: float = 0.3
    """A security group's ``adding`` -> ``active`` on an RDS instance."""
    ship_s: float = 3.0
    """RDS: so far ``LatestRestorableTime`` is behind; five minutes on AWS."""
    rename_s: float = 1.0
    """RDS ``renaming`` -> ``available``."""
    insync_s: float = 1.0
    """Route 53 ``PENDING`` -> ``INSYNC``."""
    follow_s: float = 0.2
    """A changed rule of a security group -> packets obey it."""
