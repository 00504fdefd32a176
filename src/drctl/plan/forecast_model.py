"""When a plan would be over, as data: finish times, and where each step stands in them."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from drctl.plan.budget import Budget

Source: TypeAlias = Literal["history", "declared", "supposed", "none"]
"""
Whose word a length is: that of recorded runs, that of the runbook's ``estimate``, that of who asks
"what if", or nobody's: then the step counts as nothing.
"""
RATE = 0.8
"""Of the runs like those on record, how many end between p10 and p90."""
FEWEST_RUNS = 5
"""A step is priced from history when so many recorded runs did it with success."""
HOW = (
    "a recorded length is that from a step's first start to its success, with its repeats and waits"
    " in it; a declared one is the estimate as written, without a repeat; what fails, and what a"
    " person must then decide, is in neither"
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepForecast(_Frozen):
    """One step's place in time. Seconds count from the start of the run."""

    step: str
    wave: int
    """Steps of the same number may start together; the first is 1."""
    start_s: float
    """Earliest start when every step takes its p50."""
    finish_s: float
    slack_s: float | None
    """How much longer it may take before the clock stops later; ``None``: the clock does not wait
    for it."""
    p50_s: float
    p90_s: float
    source: Source
    runs: int = 0
    """Recorded lengths it is from."""
    who: Literal["machine", "people"] = "machine"
    longest_s: float
    """All it is given: every attempt to its timeout, with the waits between."""
    critical_share: float = 0.0
    """In how many of the runs, of one, it was on the longest chain."""


class Forecast(_Frozen):
    """
    When the incident clock would stop, in seconds from the start of the run.

    With history, p10, p50 and p90 are where the next run falls among those on record, each timed by
    today's order of steps: if it is one more of the same kind, it ends by p90 in nine of ten cases.
    Steps that are only declared have one length and no spread, so with any of them on the way there
    is no rate to state.
    """

    p10_s: float
    p50_s: float
    p90_s: float
    rate: float | None
    """How many of the runs end between p10 and p90; ``None``: not known, see *unmeasured*."""
    runs: int = 0
    """Recorded runs that the finish times are from."""
    unmeasured: tuple[str, ...] = ()
    """Steps that the clock waits for and that no history prices."""
    unpriced: tuple[str, ...] = ()
    """Those of them that have no estimate either, and count as nothing."""
    machine_s: float
    """p50 if people took no time."""
    people_s: float
    """What waiting for people adds to it."""
    longest_s: float
    """If every step took all the time it is given."""
    detection_s: float | None = None
    """From the fault to the start of the run, as declared; ``None``: not declared, not nothing."""
    in_budget: bool = False
    """Whether the incident clock runs during detection."""
    how: str = HOW
    steps: tuple[StepForecast, ...] = ()
    """All but those of ``finally``, in the plan's order."""

    @property
    def before_s(self) -> float:
        """What of the budget is gone, as declared, when the run begins."""
        return self._budget(0.0).before_s

    def spare_s(self, rto_s: float) -> float:
        """What nine of ten runs leave of the budget; negative: what they lack."""
        return self._budget(rto_s).spare_s(self.p90_s)

    def _budget(self, rto_s: float) -> Budget:
        return Budget(rto_s=rto_s, detection_s=self.detection_s, in_budget=self.in_budget)
