"""A drawing as SVG: readable in light and dark, without scripts, loading nothing from anywhere."""

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

from drctl.kernel.text import sanitize
from drctl.plan.model import PlannedStep
from drctl.plan.sketch import Sketch
from drctl.view.drawing.layout import (
    BOX_HEIGHT,
    GAP,
    NAME,
    ROW,
    WORDS,
    Box,
    Layout,
    fitting,
    layout,
    width_of,
)
from drctl.view.drawing.words import LOOKS, does, look, no_way_back, takes, verdict

_MARGIN, _HEAD, _FOOT = 28.0, 78.0, 64.0
_STYLE = """
svg { color-scheme: light dark; --paper: #ffffff; --ink: #1a202c; --dim: #555e6c; --line: #8a94a3;
  --gate: #fff3c4; --gate-line: #b7791f; --fence: #fde2d5; --fence-line: #c05621;
  --final: #fbd5d5; --final-line: #c53030; --traffic: #d0ebf5; --traffic-line: #2b6cb0;
  --change: #e4e9f7; --change-line: #5a67d8; --read: #f4f5f7; --read-line: #8a94a3;
  --message: #eef7ee; --message-line: #5f9a6f; }
@media (prefers-color-scheme: dark) { svg { --paper: #12161c; --ink: #e8ecf1; --dim: #a3adba;
  --line: #6b7686; --gate: #4a3a10; --gate-line: #e0ac3b; --fence: #4d2816; --fence-line: #e8834a;
  --final: #55191b; --final-line: #f26d6d; --traffic: #143a4d; --traffic-line: #5fb0e8;
  --change: #262f57; --change-line: #8b98f0; --read: #232932; --read-line: #6b7686;
  --message: #1d3526; --message-line: #74b487; } }
text { font-family: system-ui, sans-serif; fill: var(--ink); }
.id { font: 600 13px ui-monospace, monospace; } .uses { font-size: 11px; fill: var(--dim); }
.wave { font-size: 11px; fill: var(--dim); } .title { font-size: 18px; font-weight: 600; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.3; }
.critical { stroke: var(--ink); stroke-width: 2.6; }
.arrow { fill: var(--line); } .arrow-critical { fill: var(--ink); }
.cut { stroke: var(--final-line); stroke-width: 1.6; stroke-dasharray: 7 5; }
.cut-text { fill: var(--final-line); font-size: 12px; font-weight: 600; }
.paper { fill: var(--paper); }
"""


def as_svg(drawn: Sketch) -> str:
    """The picture; no text in it can be markup."""
    return "\n".join(_document(drawn)) + "\n"


def _document(drawn: Sketch) -> Iterator[str]:
    widths = {step.id: _width(drawn, step) for step in (*drawn.steps, *drawn.final)}
    placed = layout(drawn, widths)
    final = _final_row(drawn, widths)
    # At least as wide as its head and its legend.
    middle = (placed.left + placed.right) / 2
    half = max(
        (placed.right - placed.left) / 2 + 46,
        sum(box.width + GAP for box in final.values()) / 2,
        len(drawn.title) * 5.0,
        340.0,
    )
    left, width = middle - half - _MARGIN, 2 * (half + _MARGIN)
    bottom = len(drawn.waves) * ROW + (ROW + 20 if final else 0)
    top, height = -_HEAD, _HEAD + bottom + _FOOT
    box = f"{left:.0f} {top:.0f} {width:.0f} {height:.0f}"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width:.0f}"'
        f' height="{height:.0f}" role="img" aria-labelledby="t d">'
    )
    yield f'<title id="t">{_text(drawn.title)}</title>'
    said = f"{verdict(drawn)}; no way back after {no_way_back(drawn) or 'nothing'}"
    yield f'<desc id="d">{_text(said)}</desc>'
    yield f"<style>{_STYLE}{''.join(map(_look_style, LOOKS))}</style>"
    yield (
        f'<rect class="paper" x="{left:.0f}" y="{top:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}"/>'
    )
    start = left + _MARGIN
    yield f'<text class="title" x="{start:.0f}" y="{top + 34:.0f}">{_text(drawn.title)}</text>'
    yield f'<text class="uses" x="{start:.0f}" y="{top + 54:.0f}">{_text(verdict(drawn))}</text>'
    for number in range(len(drawn.waves)):
        y = number * ROW + BOX_HEIGHT / 2 + 4
        yield f'<text class="wave" x="{start:.0f}" y="{y:.0f}">{number + 1}</text>'
    yield from _cut(drawn, left, width)
    yield from _edges(drawn, placed)
    for step in drawn.steps:
        yield from _box(drawn, step, placed.boxes[step.id])
    if final:
        y = len(drawn.waves) * ROW - 4
        yield f'<text class="wave" x="{start:.0f}" y="{y:.0f}">finally, however it ended</text>'
    for step in drawn.final:
        at = final[step.id]
        yield from _box(drawn, step, Box(x=at.x, y=at.y, width=at.width))
    yield from _legend(start, bottom + 22)
    yield "</svg>"


def _look_style(kind: str) -> str:
    dashed = " stroke-dasharray: 4 3;" if kind == "message" else ""
    weight = 2.4 if kind in {"gate", "final"} else 1.4
    return (
        f".{kind} {{ fill: var(--{kind}); stroke: var(--{kind}-line);"
        f" stroke-width: {weight};{dashed} }}\n"
    )


def _width(drawn: Sketch, step: PlannedStep) -> float:
    return width_of(f"{step.id}  {takes(step)}", does(drawn, step), _inset(step))


def _inset(step: PlannedStep) -> float:
    return 22.0 if step.gate is not None else 12.0


def _final_row(drawn: Sketch, widths: dict[str, float]) -> dict[str, Box]:
    total = sum(widths[step.id] + GAP for step in drawn.final) - GAP
    x, y, boxes = -total / 2, len(drawn.waves) * ROW + 12, {}
    for step in drawn.final:
        width = widths[step.id]
        boxes[step.id] = Box(x=x + width / 2, y=y, width=width)
        x += width + GAP
    return boxes


def _cut(drawn: Sketch, left: float, width: float) -> Iterator[str]:
    """The line after which there is no way back."""
    number = drawn.is_final_after
    if number is None:
        return
    y = number * ROW + BOX_HEIGHT + (ROW - BOX_HEIGHT) / 2
    end = left + width
    yield f'<line class="cut" x1="{left:.0f}" y1="{y:.0f}" x2="{end:.0f}" y2="{y:.0f}"/>'
    said = _text(f"no way back after {no_way_back(drawn)}", limit=60)
    at = f'x="{end - 12:.0f}" y="{y - 6:.0f}"'
    yield f'<text class="cut-text" {at} text-anchor="end">{said}</text>'


def _edges(drawn: Sketch, placed: Layout) -> Iterator[str]:
    critical = set(pairwise(drawn.critical_path))
    # The critical ones last, over the others.
    for edge, points in sorted(placed.lines.items(), key=lambda one: one[0] in critical):
        bold = edge in critical
        (x, y), *more = points
        drawn_path = f"M{x:.1f} {y:.1f}"
        for next_x, next_y in more:
            half = (next_y - y) / 2
            drawn_path += f"C{x:.1f} {y + half:.1f} {next_x:.1f} {next_y - half:.1f}"
            drawn_path += f" {next_x:.1f} {next_y:.1f}"
            x, y = next_x, next_y
        yield f'<path class="edge{" critical" if bold else ""}" d="{drawn_path}"/>'
        arrow = f"M{x:.1f} {y:.1f}l-4.5 -8.5h9z"
        yield f'<path class="{"arrow-critical" if bold else "arrow"}" d="{arrow}"/>'


def _box(drawn: Sketch, step: PlannedStep, box: Box) -> Iterator[str]:
    kind = look(step)
    left, right, inset = box.x - box.width / 2, box.x + box.width / 2, _inset(step)
    time, room = takes(step), box.width - 2 * inset
    yield "<g>"
    yield f"<title>{_text(f'{step.id}: {step.title} ({LOOKS[kind]})')}</title>"
    radius = BOX_HEIGHT / 2 if kind == "gate" else 7
    yield (
        f'<rect class="{kind}" x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}"'
        f' height="{BOX_HEIGHT:.0f}" rx="{radius:.0f}"/>'
    )
    name = _cut_to(step.id, fitting(room, NAME) - len(time) - 2 * bool(time))
    says = _cut_to(does(drawn, step), fitting(room, WORDS))
    yield f'<text class="id" x="{left + inset:.1f}" y="{box.y + 23:.1f}">{_text(name)}</text>'
    yield f'<text class="uses" x="{left + inset:.1f}" y="{box.y + 41:.1f}">{_text(says)}</text>'
    if time:
        yield (
            f'<text class="uses" x="{right - inset:.1f}" y="{box.y + 23:.1f}" text-anchor="end">'
            f"{_text(time)}</text>"
        )
    yield "</g>"


def _legend(x: float, y: float) -> Iterator[str]:
    for kind, words in LOOKS.items():
        yield f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="13" height="13" rx="3"/>'
        yield f'<text class="uses" x="{x + 19:.0f}" y="{y + 11:.0f}">{words}</text>'
        x += 34 + len(words) * 6.2


def _cut_to(text: str, size: int) -> str:
    return text if len(text) <= size else text[: max(1, size - 1)] + "…"


def _text(text: str, *, limit: int = 200) -> str:
    return escape(sanitize(text, limit=limit), {'"': "&quot;"})
