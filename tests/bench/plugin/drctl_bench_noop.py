"""An adapter as a third party would ship it: one action that does nothing."""

from drctl.actions.contract import (
    Action,
    Adapter,
    Context,
    Effect,
    NoOutputs,
    NoParams,
    Nothing,
    Observation,
    Preview,
    Repeat,
)
from drctl.actions.targets import Target


class NoOperation(Action[Target, NoParams, NoOutputs]):
    """
    Declared as a change, so that the engine spares it nothing: its intent is on disk first.
    """

    name = "bench.nothing.apply"
    summary = "Does nothing; measures what a step costs by itself"
    effect = Effect.CHANGE
    repeat = Repeat.IDEMPOTENT

    def preview(self, observation: Observation, target: Target, params: NoParams | None) -> Preview:
        return Nothing(why="there is nothing to do")

    async def perform(self, ctx: Context, target: Target, params: NoParams) -> NoOutputs:
        return NoOutputs()


ADAPTER = Adapter(name="bench", actions=(NoOperation(),))
