"""
Asks every check of a plan at once, each with a deadline, so that a dead region costs seconds.

Nothing can be changed from here: the context that checks get is the one that plans are made with,
whose `Context.permit` refuses.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from drctl.actions.check import Prerequisite, Rung, Standing, broken
from drctl.actions.contract import Context
from drctl.actions.errors import ActionError
from drctl.actions.pin import Pin
from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.kernel.clock import Clock, Deadline
from drctl.kernel.errors import DrctlError
from drctl.kernel.secret import Secrets
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedPin
from drctl.ready.derive import Question, steps_of
from drctl.ready.model import Judged

LOOK_TIMEOUT = timedelta(seconds=10)
"""How long one look may take; all of them are taken at the same time."""
_LONGEST = 300
Heard: TypeAlias = Sequence[Prerequisite] | Exception
"""What one look gave: an answer, or why there is none."""
AT_ONCE = 16
"""So many looks at the same time: each takes a processor for a while before it waits, and a look
whose time runs out while others compute has learnt nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Asks, with the parts of a process."""

    registry: Registry
    clock: Clock
    secrets: Secrets
    down: frozenset[str] = frozenset()
    """Places that are assumed down: they are asked like all others, and may be."""
    heard: dict[Hashable, "asyncio.Task[Heard]"] = field(default_factory=dict)
    """What was asked already, for whichever scenario; an error names nobody's target yet."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def once(self, key: Hashable, look: Callable[[], Awaitable[Heard]]) -> Heard:
        """What *look* gives, asked for once for each key; a key of ``None`` is nobody else's."""

        async def in_turn() -> Heard:
            async with self.slots:
                return await look()

        if key is None:
            return await in_turn()
        if key not in self.heard:
            self.heard[key] = asyncio.ensure_future(in_turn())
        return await self.heard[key]

    async def ask(
        self, plan: Plan, asked: Sequence[Question], pins: Sequence[PlannedPin]
    ) -> tuple[Judged, ...]:
        """What each check and each pin says, in no order. Never raises for what does not answer."""
        looks = (self._look(plan, question) for question in asked)
        names = (self._identity(plan, pin) for pin in pins)
        found = await asyncio.gather(*looks, *names)
        return tuple(one for each in found for one in each)

    async def _look(self, plan: Plan, question: Question) -> tuple[Judged, ...]:
        check, asked = question.check, question.asked

        async def look() -> Heard:
            try:
                async with asyncio.timeout(LOOK_TIMEOUT.total_seconds() + 1):
                    return await check.look(self.context(plan), asked)
            except Exception as error:  # noqa: BLE001 (an adapter's bug is no answer, and no end)
                return error

        own = check.key(asked)
        found = await self.once(None if own is None else (check.name, own), look)
        seen = (_no_answer(question, self.down, found),) if isinstance(found, Exception) else found
        return tuple(
            Judged(
                check=check.name,
                rung=check.rung,
                standing=one.standing,
                subject=sanitize(one.subject, limit=_LONGEST),
                targets=(asked.name,) if asked.name else (),
                steps=asked.steps if one.steps is None else one.steps,
                why=sanitize(one.why, limit=_LONGEST),
                do=sanitize(one.do, limit=_LONGEST),
                readings=one.readings,
            )
            for one in seen
        )

    async def _identity(self, plan: Plan, pin: PlannedPin) -> tuple[Judged, ...]:
        """Whether who answers is who the environment pins."""
        target = plan.targets[pin.targets[0]]
        for reader in self.registry.pins:
            identity = reader.identity(target)
            if identity is None or (identity.name, identity.subject) != (pin.name, pin.subject):
                continue
            look = partial(self._read, plan, pin, reader, target)
            found = await self.once((pin.name, pin.subject, pin.expected), look)
            seen = (_silent(pin, found),) if isinstance(found, Exception) else found
            return tuple(_named(plan, pin, one) for one in seen)
        return ()

    async def _read(self, plan: Plan, pin: PlannedPin, reader: Pin, target: Target) -> Heard:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT.total_seconds() + 1):
                found = await reader.read(self.context(plan), target)
        except Exception as error:  # noqa: BLE001 (whatever the reason: it did not say)
            return error
        return (_compared(pin, sanitize(found, limit=200)),)

    def context(self, plan: Plan) -> Context:
        """For one look: it may change nothing, and ends soon."""
        return Context(
            clock=self.clock,
            deadline=Deadline.after(self.clock, LOOK_TIMEOUT),
            secrets=self.secrets,
            resolvers=plan.resolvers,
        )


def said(error: Exception) -> str:
    """What the other side said; of a bug also its kind."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = str(error) or "no answer"
    is_answer = isinstance(error, ActionError | DrctlError)
    return sanitize(text if is_answer else f"{type(error).__name__}: {text}", limit=_LONGEST)


def _no_answer(question: Question, down: frozenset[str], error: Exception) -> Prerequisite:
    why, do = said(error), "ask again; if it stays silent, find out why"
    if lost := question.lost(down):
        why = f"not looked at: it asks {lost}, which is assumed down and does not answer: {why}"
        do = "look again once it answers: nobody knows whether the step would find what it needs"
    return Prerequisite(
        standing=Standing.CANNOT_TELL, subject=question.asked.target.label, why=why, do=do
    )


def _silent(pin: PlannedPin, error: Exception) -> Prerequisite:
    return Prerequisite(
        standing=Standing.CANNOT_TELL,
        subject=pin.subject,
        why=f"it did not say who it is: {said(error)}",
        do="make it answer: a run refuses to change what has not said who it is",
    )


def _compared(pin: PlannedPin, found: str) -> Prerequisite:
    if found == pin.expected:
        why = f"{found}, as the environment pins it"
        return Prerequisite(standing=Standing.HOLDS, subject=pin.subject, why=why)
    why = f"{found} answers, and the environment pins {pin.expected}"
    return broken(pin.subject, why, "mend the environment file, or whose credentials these are")


def _named(plan: Plan, pin: PlannedPin, seen: Prerequisite) -> Judged:
    steps = dict.fromkeys(step for name in pin.targets for step in steps_of(plan, name))
    return Judged(
        check=f"identity.{pin.name}",
        rung=Rung.NAME,
        standing=seen.standing,
        subject=sanitize(seen.subject, limit=_LONGEST),
        targets=pin.targets,
        steps=tuple(steps),
        why=seen.why,
        do=seen.do,
    )
