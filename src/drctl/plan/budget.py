"""
The one sum of a recovery against its RTO: what detection takes of it, then what the run takes.

Every place that says "fits" or "misses" asks here, so that no two of them can say different things
of one plan.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The time that a recovery may take, from the fault on where the clock starts there."""

    rto_s: float
    detection_s: float | None
    """From the fault until somebody knows, as declared; ``None``: not declared, not nothing."""
    in_budget: bool
    """Whether the incident clock runs during detection."""

    @property
    def before_s(self) -> float:
        """What of it is gone, as declared, when the run begins."""
        return (self.detection_s or 0.0) if self.in_budget else 0.0

    @property
    def lacks_detection(self) -> bool:
        """True when the clock runs during detection, and nobody has said how long that is."""
        return self.in_budget and self.detection_s is None

    def takes_s(self, run_s: float) -> float:
        """What a run of this length takes of it, with detection."""
        return self.before_s + run_s

    def spare_s(self, run_s: float) -> float:
        """What a run of this length leaves of it; negative: what is lacking."""
        return self.rto_s - self.takes_s(run_s)
