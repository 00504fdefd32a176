"""
A model estate whose effects outlive the process that asked for them, as a cloud's do.

Each applied effect is one line of a file, appended at the moment of the effect. Small on purpose,
and its own: what tests the engine must not share a mistake with it.
"""

import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from crash_disk import Disk

from drctl.actions import errors as words
from drctl.actions.contract import (
    Action,
    Adapter,
    CannotTell,
    Context,
    Done,
    Effect,
    NotDone,
    Outputs,
    Params,
    Repeat,
)
from drctl.actions.registry import AnyAction, Registry
from drctl.actions.targets import Target
from drctl.kernel.canonical import as_json, digest
from drctl.kernel.duration import parse_duration
from drctl.simulated.models import Behaviour, World

KINDS = ("at_once", "lost", "late")
"""When an effect happens: as the request arrives; with the answer, and not at all when nobody waits
for it any more; or with the answer, whoever has died meanwhile."""


LATE_S = 10.0
"""How long after its asker's death a request is carried out: less than a step waits for that."""


class Estate:
    """What was done, read back from the file and written to it."""

    def __init__(self, place: Path, kind: str, disk: Disk, dies_after: int = 0) -> None:
        self.kind, self._disk, self._dies_after = kind, disk, dies_after
        self.path = place / "ledger"
        self.applied: list[dict[str, Any]] = []
        self._since = 0
        self.calls: Counter[str] = Counter()
        self.pending: dict[str, dict[str, Any]] = {}
        self.due_s: dict[str, float | None] = {}
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            self._take(json.loads(line))
        self._handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def outlive(self) -> None:
        """Settles what was on its way when the process before this one died."""
        for asked in list(self.pending.values()):
            if self.kind == "lost":
                self._say({**asked, "kind": "forgotten"})
            else:
                self.due_s[asked["id"]] = None

    def _take(self, said: dict[str, Any]) -> None:
        match said["kind"]:
            case "called":
                self.calls[said["action"]] += 1
            case "sent":
                self.pending[said["id"]] = said
            case "applied":
                self.pending.pop(said["id"], None)
                self.applied.append(said)
            case "forgotten":
                self.pending.pop(said["id"], None)

    def _say(self, said: dict[str, Any]) -> None:
        os.write(self._handle, json.dumps(said).encode() + b"\n")
        self._take(said)

    def called(self, action: str) -> int:
        """Counts a call; its number, over all processes."""
        self._say({"kind": "called", "action": action})
        return self.calls[action]

    def send(self, action: AnyAction, key: str, target: Target, params: Params) -> dict[str, Any]:
        """A request has left."""
        said = {
            "kind": "sent",
            "id": f"{action.name}/{key}/{self.calls[action.name]}",
            "action": action.name,
            "key": key,
            "is_keyed": action.repeat is Repeat.KEYED,
            "target": target.label,
            "digest": digest(as_json(params.model_dump(mode="json"))),
            # What a power loss at this very moment would leave of the intent.
            "intents": self._disk.intents(action.name, key),
        }
        self._say(said)
        return said

    def apply(self, sent: dict[str, Any]) -> None:
        """The effect happens."""
        if sent["id"] not in self.pending:
            return
        # Who knows the key does it once.
        again = sent["is_keyed"] and self.has(sent["action"], sent["key"])
        self._say({**sent, "kind": "forgotten" if again else "applied"})
        if not again:
            self._since += 1
            if self._since == self._dies_after:
                os.kill(os.getpid(), signal.SIGKILL)

    def go_on(self, action: str, now_s: float) -> None:
        """Carries out what a dead process had asked for, some time after it died."""
        for sent in [s for s in self.pending.values() if s["action"] == action]:
            if sent["id"] in self.due_s:
                due_s = self.due_s[sent["id"]] or now_s + LATE_S
                self.due_s[sent["id"]] = due_s
                if now_s >= due_s:
                    self.apply(sent)

    def has(self, action: str, key: str) -> bool:
        return any(said["action"] == action and said["key"] == key for said in self.applied)

    def is_pending(self, action: str, key: str) -> bool:
        return any(s["action"] == action and s["key"] == key for s in self.pending.values())


class _Modelled(Action[Target, Params, Outputs]):
    """A real action's declaration with the model's behaviour."""

    def __init__(self, real: AnyAction, world: World, faults: dict[str, str], estate: Estate):
        for name in ("name", "summary", "effect", "repeat", "targets", "params", "outputs"):
            setattr(self, name, getattr(real, name))
        self.asks_person, self.measures_loss = real.asks_person, real.measures_loss
        self.may_be_empty = real.may_be_empty
        self.proves_one_primary = real.proves_one_primary
        behaviour = world.actions.get(real.name)
        self._takes_s = parse_duration(behaviour.takes if behaviour else "1s").total_seconds()
        self._behaviour = behaviour or Behaviour()
        self._fault, self._estate, self._real = faults.get(real.name), estate, real

    def planes(self, target: Target) -> tuple[str, ...]:
        return self._real.planes(target)

    async def perform(self, ctx: Context, target: Target, params: Params) -> Outputs:
        estate = self._estate
        fault = self._fault if estate.called(self.name) == 1 else None
        if fault == "throttled":
            await ctx.clock.sleep(1)
            raise words.Throttled("the model is busy")
        if self.effect is Effect.READ:
            await ctx.clock.sleep(self._takes_s)
            return self._outputs(params)
        ctx.permit()
        sent = estate.send(self._real, ctx.key, target, params)
        if estate.kind == "at_once":
            estate.apply(sent)
        await ctx.clock.sleep(self._takes_s)
        estate.apply(sent)
        if fault == "reply_lost":
            raise words.OutcomeUnknown("the model hung up")
        return self._outputs(params)

    async def settled(
        self, ctx: Context, target: Target, params: Params
    ) -> "Done[Outputs] | NotDone | CannotTell":
        estate = self._estate
        await ctx.clock.sleep(0.5)
        estate.go_on(self.name, ctx.clock.now().boot_s)
        if estate.has(self.name, ctx.key):
            return Done(outputs=self._outputs(params))
        if estate.is_pending(self.name, ctx.key):
            return CannotTell(why="the model is still at it")
        return NotDone(why="nothing happened in the model")

    def _outputs(self, params: Params) -> Outputs:
        return self.outputs.model_validate(self._behaviour.gives(params))


def faults_of(seed: int, plan: Any, real: Registry) -> dict[str, str]:
    """One bad first call for some actions, none of which may change how a run ends; 0: none."""
    if seed == 0:
        return {}
    draw, found = random.Random(seed), {}
    for step in plan.steps:
        if step.call is None or draw.random() < 0.4:
            continue
        action = real.get(step.call.uses)
        if "throttled" in step.retry.on_errors and draw.random() < 0.5:
            found[action.name] = "throttled"
        elif action.effect.changes_something:
            found[action.name] = "reply_lost"
    return found


def registry_of(world: World, faults: dict[str, str], real: Registry, estate: Estate) -> Registry:
    """Every installed action, modelled."""
    modelled = tuple(_Modelled(action, world, faults, estate) for action in real)
    return Registry([Adapter(name="model", actions=modelled)])


def final(path: Path, real: Registry) -> dict[str, str]:
    """What the estate is in the end: the last request of each kind for each target."""
    said = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = {}
    for entry in (one for one in said if one["kind"] == "applied"):
        # What a message says may differ by how long everything took.
        is_message = real.get(entry["action"]).effect is Effect.NOTIFY
        found[f"{entry['action']} {entry['target']}"] = "told" if is_message else entry["digest"]
    return found


def faults_in(path: Path, real: Registry) -> list[str]:
    """What an effect ledger shows that must not be."""
    said = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    counts: Counter[tuple[str, str]] = Counter()
    asked: Counter[tuple[str, str]] = Counter()
    ill = []
    for entry in said:
        if entry["kind"] == "sent":
            effect = (entry["action"], entry["key"])
            asked[effect] += 1
            if entry["intents"] < asked[effect]:
                ill.append(
                    f"I6: {entry['action']} was sent {asked[effect]} times with"
                    f" {entry['intents']} intents on disk"
                )
        if entry["kind"] == "applied":
            counts[entry["action"], entry["key"]] += 1
    for (name, _key), count in counts.items():
        action = real.get(name)
        if action.effect is Effect.NOTIFY:
            if count > 2:
                ill.append(f"I30: {name} was told {count} times")
        elif action.repeat is not Repeat.IDEMPOTENT and count > 1:
            ill.append(f"I7: {name} ({action.repeat}) happened {count} times")
    return ill
