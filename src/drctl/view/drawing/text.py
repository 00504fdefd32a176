"""A drawing for a terminal."""

from collections.abc import Iterator

from drctl.kernel.text import sanitize
from drctl.plan.model import PlannedStep
from drctl.plan.sketch import Sketch
from drctl.view.drawing.words import LOOKS, does, look, no_way_back, takes, verdict


def as_text(drawn: Sketch) -> str:
    """Lines, all inert."""
    return "".join(f"{sanitize(line).rstrip()}\n" for line in _lines(drawn))


def _lines(drawn: Sketch) -> Iterator[str]:
    by_id = {step.id: step for step in drawn.steps}
    shown = [*drawn.steps, *drawn.final]
    widths = (
        max((len(step.id) for step in shown), default=0),
        max((len(takes(step)) for step in shown), default=0),
    )
    yield drawn.title
    for number, names in enumerate(drawn.waves):
        for index, name in enumerate(names):
            head = f"wave {number + 1}" if index == 0 else ""
            yield f"{head:<8} {_line(drawn, by_id[name], widths)}"
        if number == drawn.is_final_after:
            yield f"{'':<8} ---- no way back after {no_way_back(drawn)} ----"
    for index, step in enumerate(drawn.final):
        yield f"{'finally' if index == 0 else '':<8} {_line(drawn, step, widths)}"
    yield ""
    yield f"* {verdict(drawn)}"


def _line(drawn: Sketch, step: PlannedStep, widths: tuple[int, int]) -> str:
    mark = "*" if step.id in drawn.critical_path else " "
    kind = LOOKS[look(step)]
    return (
        f"{mark} {step.id:<{widths[0]}}  {takes(step):>{widths[1]}}  {does(drawn, step)} ({kind})"
    )
