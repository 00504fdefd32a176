"""Who is there: the identities that the environment pins, asked before anything is changed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from drctl.actions.contract import Effect
from drctl.actions.errors import ActionError
from drctl.actions.pin import Pin
from drctl.actions.registry import Registry
from drctl.actions.targets import Target
from drctl.engine.answers import verdict
from drctl.engine.endings import Ending, failed
from drctl.engine.events import Event, PinChecked
from drctl.engine.state import Record, State
from drctl.kernel import failpoints
from drctl.kernel.clock import Clock, Deadline
from drctl.kernel.errors import DrctlError
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedPin, PlannedStep

PIN_TIMEOUT = timedelta(seconds=5)
DEAD_TIMEOUT = timedelta(seconds=2)
"""How long a fence waits for an identity: what it fences has most likely stopped answering."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """The pins of one run."""

    plan: Plan
    registry: Registry
    clock: Clock
    record: Callable[[Event], Record]
    state: Callable[[], State]
    read: Callable[[Pin, Target, Deadline], Awaitable[str]]
    """Asks the other side, no longer than the deadline."""

    async def check(self, step: PlannedStep, target: str, effect: Effect) -> Ending | None:
        """
        Checks who is there: each pin before its first change, all before a point of no return.

        Args:
            target: Name of the target that is about to be changed; its pins are checked through it.

        Returns:
            Why it must not be changed; ``None`` when all hold.
        """
        verified = self.state().verified_pins
        # By target: another one of the same account may be reached with other credentials.
        due = [
            pin
            for pin in self.plan.pins
            if target in pin.targets
            and (effect.is_irreversible or (pin.name, pin.subject, target) not in verified)
        ]
        readings = await asyncio.gather(*(self._reading(pin, target, effect) for pin in due))
        refused = None
        for pin, (found, why) in zip(due, readings, strict=True):
            held = verdict(pin, found)
            self.record(
                PinChecked(
                    step=step.id,
                    name=pin.name,
                    subject=pin.subject,
                    expected=pin.expected,
                    found=found and sanitize(found, limit=200),
                    verdict=held,
                    target=target,
                )
            )
            if held == "mismatch":
                shown = sanitize(found or "", limit=200)
                what = f"{pin.name} of {pin.subject} is {shown}, must be {pin.expected}"
                refused = failed("pin", what)
            # A fence on something that does not answer cannot hit the wrong thing by it; it, and
            # the proof that it holds, have their business with what has stopped answering.
            is_expected = effect is Effect.FENCE or step.proves_one_primary
            if held == "unreachable" and not is_expected:
                what = f"{pin.name} of {pin.subject} did not answer: {why}"
                refused = refused or failed("unavailable", sanitize(what))
        return refused

    async def _reading(
        self, pin: PlannedPin, target_name: str, effect: Effect
    ) -> tuple[str | None, str]:
        target = self.plan.targets[target_name]
        failpoints.hit("effect.identity")
        patience = DEAD_TIMEOUT if effect is Effect.FENCE else PIN_TIMEOUT
        deadline = Deadline.after(self.clock, patience)
        for reader in self.registry.pins:
            identity = reader.identity(target)
            if identity is None or (identity.name, identity.subject) != (pin.name, pin.subject):
                continue
            try:
                return await self.read(reader, target, deadline), ""
            except (ActionError, DrctlError) as error:
                return None, str(error) or "no answer"
            except Exception as error:  # noqa: BLE001 (an identity that cannot be read is not known)
                return None, f"{type(error).__name__}: {error}"
        return None, "nothing installed can read it"
