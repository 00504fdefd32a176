"""One line per event, for logs and for terminals that cannot redraw."""

from collections.abc import Callable

from drctl.engine import events as e
from drctl.engine.settling import NEVER_HAPPENED
from drctl.engine.state import Record, State
from drctl.journal.folder import Folder
from drctl.kernel.clock import Clock, length_between
from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan
from drctl.view.pace import pace

HEARTBEAT_S = 10.0
_LONGEST = 8000
"""Characters of one event: a gate may show a dozen lines of up to 2,000."""


class Lines:
    """Writes through *write*, one finished line a call."""

    def __init__(self, write: Callable[[str], None], clock: Clock) -> None:
        self._write, self._clock = write, clock
        self._plan: Plan | None = None
        self._last = clock.now()
        self._run = ""

    def opened(self, plan: Plan, folder: Folder) -> None:
        """Says which run this is and where its record is."""
        self._plan, self._run = plan, folder.run_id
        self._write(f"run {folder.run_id}: {plan.title} ({folder.path})")

    def seen(self, record: Record, state: State) -> None:
        """Writes the event, when a person needs to know it."""
        text = describe(record.event, self._run)
        if text is None:
            return
        self._last = record.at
        elapsed = format_duration(state.elapsed(record.at).seconds)
        for number, line in enumerate(text.split("\n")):
            lead = f"{record.at.wall:%H:%M:%S}Z +{elapsed:<7}" if number == 0 else " " * 18
            self._write(f"{lead} {line}")

    def said(self, step: str, text: str) -> None:
        """Writes progress inside a step."""
        self._last = self._clock.now()
        self._write(f"{' ' * 18} {step}: {text}")

    def tick(self, state: State) -> None:
        """Writes a heartbeat when nothing was written for a while."""
        now = self._clock.now()
        if self._plan is None or length_between(self._last, now).seconds < HEARTBEAT_S:
            return
        self._last = now
        running = ", ".join(sorted(state.running)) or "nothing"
        running += "".join(f"; {line}" for line in decisions(state))
        elapsed = format_duration(state.elapsed(now).seconds)
        self._write(
            f"{now.wall:%H:%M:%S}Z +{elapsed:<7} running: {running}; {pace(self._plan, state, now)}"
        )

    def closed(self) -> None:
        """Nothing to tidy."""


def decisions(state: State) -> list[str]:
    """What people have decided that holds now."""
    found = []
    if state.held is not None:
        why = f": {state.held.reason}" if state.held.reason else ""
        found.append(f"PAUSED by {state.held.by}{why}")
    if state.cancelled is not None:
        found.append(f"CANCELLED by {state.cancelled.by}: {state.cancelled.reason}")
    found += [f"FORCED by {said.by}: {said.reason}" for said in state.forced]
    if state.undo is not None:
        found.append(f"UNDO by {state.undo.by}: {state.undo.reason}")
    return [sanitize(line) for line in found]


def describe(event: e.Event, run: str) -> str | None:
    """One event in words, all of them inert; ``None`` for events that only the journal needs."""
    text = _words(event, run)
    return None if text is None else sanitize(text, limit=_LONGEST, keep_lines=True)


def _words(event: e.Event, run: str) -> str | None:  # noqa: C901, PLR0911, PLR0912 (a case per event)
    match event:
        case e.RunStarted():
            forced = event.forced_reason
            return (
                f"started by {event.operator}; incident clock from {event.clock_source}, "
                f"{format_duration(event.elapsed_before_s)} gone"
                + ("" if forced is None else f"; FORCED, needs no proven fence: {forced}")
            )
        case e.RunResumed():
            return f"resumed by {event.operator} on {event.host}{_torn(event.torn_bytes)}"
        case e.PinChecked(verdict="match"):
            return None
        case e.PinChecked():
            return f"pin {event.name} of {event.subject}: {event.verdict}"
        case e.StepStarted():
            again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
            return f"{event.step} started{again}"
        case e.EffectIntended():
            return None
        case e.FactsRead():
            return f"{event.step} looked at again: {event.why}"
        case e.DebtsBooked(owes=()):
            return None
        case e.DebtsBooked():
            return "\n".join(f"to put right: {owed['what']}" for owed in event.owes)
        case e.DebtClosed():
            return f"{event.by} says that {event.key} is put right: {event.reason}"
        case e.StepFinished():
            return _finished(event)
        case e.GateOpened():
            shown = "".join(f"\n  {line}" for line in event.show)
            wait = format_duration(event.expires_s)
            return (
                f"GATE {event.step}: {event.title} (expires in {wait}){shown}"
                f"\n  drctl approve {run} {event.step}   or   drctl deny {run} {event.step}"
            )
        case e.GateAnswered():
            reason = f": {event.reason}" if event.reason else ""
            how = f"{event.via}, key {event.key}" if event.key else event.via
            return f"gate {event.step}: {event.answer} by {event.by} ({how}){reason}"
        case e.GateExpired():
            return f"gate {event.step}: nobody answered in time"
        case e.AnswerRefused():
            return f"gate {event.step}: answer of {event.by} ({event.via}) REFUSED: {event.why}"
        case e.OrderGiven() | e.OrderRefused():
            return _ordered(event, run)
        case e.UndoRequested():
            torn = _torn(event.torn_bytes)
            down = f" down to {event.to}" if event.to else ""
            return f"undo{down}, asked for by {event.by} on {event.host}: {event.reason}{torn}"
        case e.UndoStarted():
            return f"undoing {event.step}"
        case e.UndoFinished():
            why = "" if event.outcome == "succeeded" else f" ({event.error}): {event.why}"
            return f"undo of {event.step} {event.outcome}{why}"
        case e.LeaseHeld():
            over = f"; {event.taken_over}" if event.taken_over else ""
            return f"lease held in {event.store}, generation {event.generation}{over}"
        case e.LeaseLost():
            return f"LEASE LOST: {event.why}; nothing further is sent"
        case e.InterruptRequested():
            return f"{event.signal}: nothing new starts, what runs gets a few seconds; then resume"
        case e.ServiceRestored():
            doubt = " (not certain: the machine was rebooted or changed in between)"
            sure = "" if event.is_certain else doubt
            return f"SERVICE RESTORED after {format_duration(event.rta_s)}{sure}"
        case e.RunFinished():
            word = "UNSAFE" if event.result == "unsafe" else event.result
            return f"run {word}: {event.why}"


def _torn(count: int) -> str:
    return f"; a torn last line of {count} bytes was dropped" if count else ""


def _ordered(event: e.OrderGiven | e.OrderRefused, run: str) -> str:
    about = f" {event.step}" if event.step else ""
    if isinstance(event, e.OrderRefused):
        return f"{event.order}{about} by {event.by} ({event.via}) REFUSED: {event.why}"
    reason = f": {event.reason}" if event.reason else ""
    word = {"pause": "PAUSED", "cancel": "CANCELLED", "force": "FORCED"}.get(event.order)
    on = f"\n  drctl resume {run}   lets it go on" if event.order == "pause" else ""
    return f"{word or event.order}{about} by {event.by} ({event.via}){reason}{on}"


def _finished(event: e.StepFinished) -> str:
    match event.outcome:
        case "succeeded":
            return f"{event.step} succeeded{_outputs(event)}"
        case "skipped":
            return f"{event.step} skipped: {event.why}"
        case "failed" if event.error == NEVER_HAPPENED:
            return f"{event.step} interrupted: {event.why}"  # no failure: it is started again
        case "failed" | "unknown":
            return f"{event.step} {event.outcome.upper()} ({event.error}): {event.why}"


def _outputs(event: e.StepFinished) -> str:
    shown = [
        f"{name}={sanitize(str(round(value, 3) if isinstance(value, float) else value))}"
        for name, value in event.outputs.items()
        if isinstance(value, str | int | float) and value != "" and len(str(value)) < 60  # noqa: PLR2004 (half a terminal line)
    ]
    return f"  {', '.join(shown[:4])}" if shown else ""
