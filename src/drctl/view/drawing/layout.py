"""
Where the boxes of a drawing go.

Problem: a runbook is a long chain with a few things beside it, and a general layout makes a zigzag
of it. Invariant: a wave is a row; the critical path is one straight column, the spine; everything
else stands to its left or right, near to what it waits for, and an edge over several rows has a
place of its own in each, so that no line runs through a box.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drctl.plan.sketch import Sketch

BOX_HEIGHT = 54.0
ROW = 92.0
"""From one wave to the next."""
GAP = 26.0
_LANE = 14.0
"""Width of an edge that only passes."""
NAME, WORDS = 7.9, 6.4
"""Width of a character of a step's name, and of the line under it."""
_NARROW, _WIDE = 168.0, 340.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a step is; *x* is its centre, *y* its upper edge."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything is."""

    boxes: dict[str, Box]
    lines: dict[tuple[str, str], tuple[tuple[float, float], ...]]
    """The points that each edge goes through, from box to box."""
    left: float
    right: float


_Item = tuple[str, str] | str
"""A step, or an edge that passes."""


def layout(drawn: Sketch, widths: dict[str, float]) -> Layout:
    """Places everything; *widths* are those of the boxes."""
    row_of = {name: row for row, names in enumerate(drawn.waves) for name in names}
    rows: list[list[_Item]] = [list(names) for names in drawn.waves]
    for edge in drawn.edges:
        for row in range(row_of[edge[0]] + 1, row_of[edge[1]]):
            rows[row].append(edge)
    x: dict[tuple[int, _Item], float] = {}
    above: dict[_Item, list[_Item]] = defaultdict(list)
    for before, after in drawn.edges:
        above[after].append(before if row_of[after] - row_of[before] == 1 else (before, after))
        above[before, after].append(before)
    for row, items in enumerate(rows):
        _place(row, items, _spine(drawn, items), above, widths, x)
    boxes = {
        name: Box(x=x[row, name], y=row * ROW, width=widths[name]) for name, row in row_of.items()
    }
    lines = {
        (before, after): (
            (boxes[before].x, boxes[before].y + BOX_HEIGHT),
            *(
                (x[row, (before, after)], row * ROW + y)
                for row in range(row_of[before] + 1, row_of[after])
                for y in (0.0, BOX_HEIGHT)  # straight past the boxes of the row
            ),
            (boxes[after].x, boxes[after].y),
        )
        for before, after in drawn.edges
    }
    left = min([box.x - box.width / 2 for box in boxes.values()], default=0.0)
    right = max([box.x + box.width / 2 for box in boxes.values()], default=0.0)
    points = [point[0] for line in lines.values() for point in line]
    return Layout(
        boxes=boxes,
        lines=lines,
        left=min([left, *points]),
        right=max([right, *points]),
    )


def width_of(name: str, words: str, inset: float) -> float:
    """How wide a box is that these fit into; what is longer is cut by whoever writes it."""
    longest = max(len(name) * NAME, len(words) * WORDS)
    return min(_WIDE, max(_NARROW, longest + 2 * inset))


def fitting(width: float, character: float) -> int:
    """How many characters fit."""
    return int(width / character)


def _spine(drawn: Sketch, items: Sequence[_Item]) -> _Item | None:
    """What stands in the middle of a row: a step of the critical path, or the path passing by."""
    pairs = set(pairwise(drawn.critical_path))
    for item in items:
        if item in pairs or item in drawn.critical_path:
            return item
    return None


def _place(
    row: int,
    items: Sequence[_Item],
    spine: _Item | None,
    above: dict[_Item, list[_Item]],
    widths: dict[str, float],
    x: dict[tuple[int, _Item], float],
) -> None:
    """One row, outwards from the middle: what is near to its needs there comes first."""

    def wanted(item: _Item) -> float:
        if (row - 1, item) in x:  # an edge that passed the row above goes straight on
            return x[row - 1, item]
        known = [x[row - 1, one] for one in above[item] if (row - 1, one) in x]
        return sum(known) / len(known) if known else 0.0

    def width(item: _Item) -> float:
        return widths[item] if isinstance(item, str) else _LANE

    edges = [GAP / 2, GAP / 2]
    if spine is not None:
        x[row, spine] = 0.0
        edges = [width(spine) / 2 + GAP, width(spine) / 2 + GAP]
    others = sorted((item for item in items if item != spine), key=lambda item: abs(wanted(item)))
    if spine is None and len(others) == 1:
        x[row, others[0]] = wanted(others[0])
        return
    for item in others:
        aim = wanted(item)
        # What wants to be in the middle goes to the side on which there is more room.
        side = int(aim > 0) if abs(aim) > 1 else int(edges[1] < edges[0])
        at = max(edges[side] + width(item) / 2, abs(aim) if abs(aim) > 1 else 0.0)
        x[row, item] = at if side else -at
        edges[side] = at + width(item) / 2 + GAP
