"""The run on a terminal: every step, the clock, the pace, redrawn in place."""

from typing import TYPE_CHECKING

from drctl.engine import events as e
from drctl.engine.state import Record, State, StepState
from drctl.journal.folder import Folder
from drctl.kernel.clock import Clock, length_between
from drctl.kernel.duration import format_duration
from drctl.kernel.text import sanitize
from drctl.plan.model import Plan, PlannedStep
from drctl.view.lines import decisions, describe
from drctl.view.pace import pace

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "bold yellow"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "unknown": ("?", "bold magenta"),
    "skipped": ("-", "dim"),
    "undone": ("↶", "cyan"),
}


class LiveView:
    """Draws below whatever was printed; what a person must keep is printed above the drawing."""

    def __init__(self, console: "Console", clock: Clock, *, asks: bool) -> None:
        self._console, self._clock, self._asks = console, clock, asks
        self._plan: Plan | None = None
        self._state: State | None = None
        self._notes: dict[str, str] = {}
        self._live: Live | None = None
        self._run = ""

    def opened(self, plan: Plan, folder: Folder) -> None:
        """Prints the run's id and starts to draw."""
        self._plan, self._run = plan, folder.run_id
        self._console.print(f"run {folder.run_id}  {folder.path}", markup=False, highlight=False)
        self._begin()

    def _begin(self) -> None:
        from rich.live import Live

        self._live = Live(
            get_renderable=self._draw, console=self._console, refresh_per_second=4, transient=True
        )
        self._live.start()

    def seen(self, record: Record, state: State) -> None:
        """Takes in an event; gates and troubles are also printed, so that they stay."""
        self._state = state
        event = record.event
        if isinstance(event, e.StepFinished | e.UndoFinished):
            self._notes[event.step] = sanitize(event.why or "")
        if isinstance(event, e.UndoStarted):
            self._notes[event.step] = "being undone"
        is_trouble = isinstance(event, e.StepFinished) and event.outcome in {"failed", "unknown"}
        kept = (
            e.GateOpened
            | e.GateAnswered
            | e.AnswerRefused
            | e.GateExpired
            | e.InterruptRequested
            | e.ServiceRestored
            | e.OrderGiven
            | e.OrderRefused
            | e.UndoRequested
            | e.LeaseLost
        )
        is_trouble = is_trouble or (
            isinstance(event, e.UndoFinished) and event.outcome != "succeeded"
        )
        if is_trouble or isinstance(event, kept):
            text = describe(event, self._run)
            if self._live is None:
                self._console.print()  # below the prompt at which somebody may be typing
            self._console.print(text, markup=False, highlight=False, style="bold")
        if self._asks and isinstance(event, e.GateOpened):
            self.closed()  # the prompt needs the terminal for itself
        is_closed = isinstance(event, e.GateAnswered | e.GateExpired) or (
            isinstance(event, e.OrderGiven) and not state.gates.keys() & state.running
        )
        if self._live is None and is_closed:
            self._begin()

    def said(self, step: str, text: str) -> None:
        """Shows progress beside the step."""
        self._notes[step] = text

    def tick(self, state: State) -> None:
        """Takes in the time."""
        self._state = state

    def closed(self) -> None:
        """Draws a last time and gives the terminal back."""
        if self._live is not None:
            self._live.transient = False
            self._live.stop()
            self._live = None

    def _draw(self) -> "RenderableType":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        plan, state = self._plan, self._state
        if plan is None or state is None:
            return Text("")
        now = self._clock.now()
        elapsed = format_duration(state.elapsed(now).seconds)
        rto = format_duration(plan.objectives.rto_s)
        head = Text(f"{elapsed} of {rto}  ", style="bold").append(pace(plan, state, now))
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="ellipsis", no_wrap=True)
        for step in plan.steps:
            table.add_row(*self._row(step, state.steps[step.id]))
        said = [Text(line, style="bold yellow") for line in decisions(state)]
        return Group(Text(""), head, *said, table)

    def _row(self, step: PlannedStep, state: StepState) -> "tuple[RenderableType, ...]":
        from rich.text import Text

        mark, style = _MARKS[state.status]
        if state.undo is not None and state.undo.status in {"running", "failed", "unknown"}:
            mark, style = "↶", "bold yellow" if state.undo.status == "running" else "bold red"
        took = ""
        if state.started is not None:
            end = state.finished if state.status not in {"running", "waiting"} else None
            took = format_duration(length_between(state.started, end or self._clock.now()).seconds)
        elif step.estimate_s:
            took = f"~{format_duration(step.estimate_s)}"
        return (
            Text(mark, style=style),
            Text(step.id, style=style),
            Text(took, style="dim" if state.status == "waiting" else ""),
            Text(self._notes.get(step.id) or sanitize(step.title), style="dim"),
        )
