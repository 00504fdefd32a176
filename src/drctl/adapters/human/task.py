"""A step that a person does, then confirms."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    Change,
    Context,
    Effect,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.targets import Target, Text


class TaskParams(Params):
    """What to do, and how to know that it is done."""

    instruction: Text
    """What the person is asked to do."""
    confirm: Text
    """The sentence that the person confirms."""


class TaskOutputs(Outputs):
    """What the person said."""

    confirmed: bool


class Task(Action[Target, TaskParams, TaskOutputs]):
    """
    Asks a person.

    The engine opens a prompt and waits for ``drctl approve``, as for a gate.
    """

    name: ClassVar[str] = "human.task"
    summary: ClassVar[str] = "A person does it and confirms"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    asks_person: ClassVar[bool] = True
    params: ClassVar[type[Params]] = TaskParams
    outputs: ClassVar[type[Outputs]] = TaskOutputs

    def preview(
        self, observation: Observation, target: Target, params: TaskParams | None
    ) -> Preview:
        instruction = params.instruction if params else "an instruction of this run"
        return Change(before="not confirmed", after=f"a person confirms: {instruction}")

    async def perform(self, ctx: Context, target: Target, params: TaskParams) -> TaskOutputs:
        """Called once a person has confirmed it; what they did changes the world, this does not."""
        return TaskOutputs(confirmed=True)
