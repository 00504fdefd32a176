"""
``uses: runbook.run``: a runbook inside a runbook, planned and priced as part of the whole.

It is no action: nothing performs it. Its steps become steps of the plan, called
``<step>.<its own id>``, with their gates, their ``finally`` and their share of the clock. They see
their own inputs and each other, nothing of the runbook around them, so that a runbook means the
same wherever it is run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from drctl.actions.contract import Action, Context, Effect, NoOutputs, Params, Repeat
from drctl.actions.targets import Target
from drctl.kernel.ids import StepId
from drctl.runbook.draft import Draft, Placed
from drctl.runbook.models import Name, Runbook, Text

INCLUDE = "runbook.run"


class IncludeParams(Params):
    """Which runbook, and what it is given."""

    runbook: Text
    """Name of the runbook, or its file, seen from the file that includes it."""
    inputs: dict[Name, Any] = Field(default_factory=dict)
    """Its inputs; those left out have their defaults."""
    targets: dict[Name, Name] = Field(default_factory=dict)
    """Its targets by alias, each to an alias of this runbook; those left out are its own."""


class Include(Action[Target, IncludeParams, NoOutputs]):
    """The declaration, for validation and the editor's schema; it is never performed."""

    name: ClassVar[str] = INCLUDE
    summary: ClassVar[str] = "Run another runbook as part of this one"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    params = IncludeParams

    async def perform(self, ctx: Context, target: Target, params: IncludeParams) -> NoOutputs:
        raise AssertionError("the plan has its steps instead")


INCLUDING = Include()
ITS_OWN = ("target", "when", "estimate", "timeout", "retry", "until", "every", "verify", "undo",
           "on_failure", "show")  # fmt: skip
"""What the steps of the included runbook have, and the one that includes it has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """A runbook with those that it includes; the outermost one as well."""

    runbook: Runbook
    file: str
    sha256: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """As the step that includes it gives them; ``${{ }}`` of the runbook around is still in it."""
    included: Mapping[StepId, "Included"] = field(default_factory=dict)
    """By the step that includes them."""


def includes(runbook: Runbook) -> dict[StepId, IncludeParams]:
    """What the steps of a checked runbook include."""
    return {
        step.id: IncludeParams.model_validate(step.with_)
        for step in (*runbook.steps, *runbook.finally_)
        if step.uses == INCLUDE
    }


def check_include(draft: Draft, placed: Placed) -> None:
    """Notes what a step that includes a runbook cannot have, and aliases that are not there."""
    path = placed.path
    for key in ITS_OWN:
        if draft.has((*path, key)):
            what = f"a runbook that is included has its own; a step with {INCLUDE} takes no {key}"
            draft.say_key("DR1015", what, (*path, key))
    if placed.is_final:
        draft.say_at("DR1015", f"{INCLUDE} belongs under steps, not finally", (*path, "uses"))
    targets = placed.step.with_.get("targets")
    runbook = placed.step.with_.get("runbook")
    if isinstance(runbook, str) and "${{" in runbook:
        what = "which runbook is included must be known when the plan is made"
        draft.say_at("DR1031", what, (*path, "with", "runbook"))
    for alias, mine in targets.items() if isinstance(targets, Mapping) else ():
        if isinstance(mine, str) and mine not in draft.targets:
            what = f'there is no target "{mine}" under targets'
            draft.say_at("DR1025", what, (*path, "with", "targets", alias))
