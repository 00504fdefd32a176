"""Plans to abort: the shipped failover's shape and four others, on a model that can be compared."""

from collections.abc import Callable

from engine_model import Fake, approve, plan_of, step

from drctl.actions.contract import Done, Effect, NoOutputs, NotDone
from drctl.plan.model import Plan, PlannedCall, PlannedGate

READ, CHANGE, FENCE, PROMOTE = Effect.READ, Effect.CHANGE, Effect.FENCE, Effect.PROMOTE
GATE = {"go": PlannedGate(title="Go", expires_s=600.0)}


class Estate:
    """What was changed, by name; each deed sets its own mark, each undo takes it away."""

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self.sent: list[str] = []
        self.undone: list[str] = []

    def fakes(self, plan: Plan) -> list[Fake]:
        made = [_Deed(self, one.id, one.effect) for one in plan.steps if one.call and _acts(one)]
        made += [_Undo(self, one.id) for one in plan.steps if one.undo]
        made += [
            Fake(one.id, READ, loss=True, gives={"bound": 1.0, "source": "model"})
            for one in plan.steps
            if one.measures_loss
        ]
        return made


def _acts(one) -> bool:
    return one.effect.changes_something


class _Deed(Fake):
    def __init__(self, estate: Estate, name: str, effect: Effect) -> None:
        super().__init__(name, effect, does=self._do)
        self._estate = estate

    async def _do(self, ctx, call):
        await ctx.clock.sleep(2)
        ctx.permit()
        self._estate.sent.append(self.name)
        self._estate.marks.add(self.name)
        return {}

    async def settled(self, ctx, target, params):
        is_there = self.name in self._estate.marks
        return Done(outputs=NoOutputs()) if is_there else NotDone(why="nothing there")


class _Undo(Fake):
    def __init__(self, estate: Estate, of: str, *, fails: bool = False) -> None:
        super().__init__(f"un_{of}", CHANGE, does=self._do)
        self._estate, self._of = estate, of

    async def _do(self, ctx, call):
        await ctx.clock.sleep(1)
        ctx.permit()
        self._estate.undone.append(self._of)
        self._estate.marks.discard(self._of)
        return {}

    async def settled(self, ctx, target, params):
        is_there = self._of in self._estate.marks
        return NotDone(why="still there") if is_there else Done(outputs=NoOutputs())


def act(name, *needs, effect=CHANGE):
    undo = None if effect is PROMOTE else PlannedCall(uses=f"un_{name}")
    return step(name, effect=effect, undo=undo, needs=needs)


def plans() -> dict[str, tuple[Plan, list]]:
    """Plan and what people say, by name."""
    go = [approve(3.5, "go", "boss")]
    failover = plan_of(
        step("measure", measures_loss=True),
        act("warm", "measure"),
        step("go", gate="go", needs=("measure",)),
        act("fence", "go", effect=FENCE),
        act("promote", "fence", effect=PROMOTE),
        act("repoint", "promote", "warm"),
        act("rollout", "repoint"),
        step("look", needs=("rollout",)),
        act("move", "look"),
        step("proof", needs=("move",)),
        gates=GATE,
        ends=("proof",),
    )
    chain = plan_of(*(act(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(12)))
    wide = plan_of(
        *(act(f"w{n}") for n in range(6)),
        act("join", *(f"w{n}" for n in range(6))),
        act("last", "join"),
    )
    gated = plan_of(
        act("a"), step("go", gate="go", needs=("a",)), act("b", "go"), act("c", "b"), gates=GATE
    )
    late = plan_of(
        step("measure", measures_loss=True),
        act("x", "measure"),
        act("y", "x"),
        act("z", "y"),
        act("fence", "z", effect=FENCE),
        act("promote", "fence", effect=PROMOTE),
        act("after", "promote"),
    )
    return {
        "failover": (failover, go),
        "chain": (chain, []),
        "wide": (wide, []),
        "gated": (gated, go),
        "late": (late, []),
    }


Make = Callable[[], tuple[Plan, list]]
