"""A model estate, described in a file: what each action takes, gives, and does wrong."""

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from drctl.actions.targets import Part

Wrong: TypeAlias = Literal[
    "throttled", "unavailable", "auth_rejected", "not_found", "conflict", "rejected",
    "outcome_unknown", "hang", "bug", "slow", "duplicate", "wrong_object",
]  # fmt: skip
"""How a call may not end well. ``duplicate``: it is delivered twice, and answered once.
``wrong_object``: the answer is about something else."""


class Fault(Part):
    """Calls that do not end well."""

    call: int = Field(default=1, ge=1)
    """The first such call of the action, counted from one."""
    calls: int = Field(default=1, ge=0)
    """How many in a row; 0: all from there on."""
    error: Wrong
    applied: bool = False
    """Whether the effect happened all the same."""
    late_s: float = 0.0
    """How long after the reply should have come the effect happens."""

    def hits(self, call: int) -> bool:
        """True when the *call*-th call is one of them."""
        return self.call <= call and (self.calls == 0 or call < self.call + self.calls)


class Variant(Part):
    """What an action gives when it is asked with these params."""

    params: dict[str, Any]
    outputs: dict[str, Any]


class Behaviour(Part):
    """How one action behaves in this world."""

    takes: str = "1s"
    outputs: dict[str, Any] = Field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    """What it gives otherwise; the first that fits."""
    before: str = "as it was"
    after: str = "as wanted"
    facet: str = ""
    """What of its target it sets; empty: something of its own, named like the action."""
    value_from: tuple[str, ...] = ()
    """Params that say to what it is set; empty: ``after`` does."""
    faults: tuple[Fault, ...] = ()
    settled: Literal["truth", "cannot_tell"] = "truth"
    """Whether a read-back says what happened, or cannot."""

    def gives(self, params: BaseModel) -> dict[str, Any]:
        """Its outputs when it is asked with *params*."""
        asked = params.model_dump(mode="json")
        for variant in self.variants:
            if variant.params.items() <= asked.items():
                return variant.outputs
        return self.outputs


class Chance(Part):
    """Something that goes wrong now and then, decided by the world's seed."""

    share: float = Field(ge=0.0, le=1.0)
    error: Wrong
    applied: bool = False
    late_s: float = 0.0
    actions: tuple[str, ...] = ()
    """Which ones it happens to; empty: all that are not mere looks."""


class Cut(Part):
    """A plane that nobody reaches for a while: a region, or its control plane."""

    plane: str
    """As `Action.planes` names it, or the end of that: ``us-east-1``."""
    at: str = "0s"
    lasts: str = "1000h"
    says: Literal["refused", "nothing"] = "nothing"


class SayAt(Part):
    """What a person does, and when after the start."""

    at: str
    gate: str
    answer: Literal["approve", "deny"] = "approve"
    by: str = "alice"
    reason: str = ""


class World(Part):
    """The estate and the people."""

    actions: dict[str, Behaviour] = Field(default_factory=dict)
    says: tuple[SayAt, ...] = ()
    interrupt_at: str | None = None
    started_ago: str = "0s"
    """How long the incident had lasted when the run began."""
    accepted_loss: str | None = None
    cuts: tuple[Cut, ...] = ()
    chances: tuple[Chance, ...] = ()
    seed: int = 0
