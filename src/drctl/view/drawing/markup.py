"""Drawings that others lay out: Mermaid, which GitHub and GitLab show, and Graphviz' dot."""

from collections.abc import Iterator
from itertools import pairwise

from drctl.kernel.text import sanitize
from drctl.plan.model import PlannedStep
from drctl.plan.sketch import Sketch
from drctl.view.drawing.words import LOOKS, does, look, takes, verdict

_COLOURS = {
    "gate": ("#fff3c4", "#b7791f"),
    "fence": ("#fde2d5", "#c05621"),
    "final": ("#fbd5d5", "#c53030"),
    "traffic": ("#d0ebf5", "#2b6cb0"),
    "change": ("#e4e9f7", "#5a67d8"),
    "read": ("#f4f5f7", "#718096"),
    "message": ("#eef7ee", "#5f9a6f"),
}
_SHAPES = {"gate": ("{{", "}}"), "final": ("[[", "]]"), "message": ("(", ")")}
_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,/")


def as_mermaid(drawn: Sketch) -> str:
    """A flowchart; every text is written so that none can be Mermaid's own."""
    return "".join(f"{line}\n" for line in _mermaid(drawn))


def as_dot(drawn: Sketch) -> str:
    """A digraph."""
    return "".join(f"{line}\n" for line in _dot(drawn))


def _mermaid(drawn: Sketch) -> Iterator[str]:
    names = _numbers(drawn)
    yield "flowchart TD"
    for step in drawn.steps:
        yield f"  {_node(drawn, step, names)}"
    for before, after in drawn.edges:
        arrow = "==>" if _is_critical(drawn, before, after) else "-->"
        yield f"  {names[before]} {arrow} {names[after]}"
    if drawn.final:
        yield '  subgraph finally["finally, however it ended"]'
        for step in drawn.final:
            yield f"    {_node(drawn, step, names)}"
        yield "  end"
    for kind, (fill, line) in _COLOURS.items():
        yield f"  classDef {kind} fill:{fill},stroke:{line},color:#1a202c"
    yield f"  %% {''.join(c if c in _PLAIN else ' ' for c in verdict(drawn))}"


def _node(drawn: Sketch, step: PlannedStep, names: dict[str, str]) -> str:
    kind = look(step)
    start, end = _SHAPES.get(kind, ("[", "]"))
    lines = [step.id, does(drawn, step), takes(step)]
    label = "<br/>".join(_mermaid_text(line) for line in lines if line)
    return f'{names[step.id]}{start}"{label}"{end}:::{kind}'


def _mermaid_text(text: str) -> str:
    inert = sanitize(text, limit=200)
    return "".join(one if one in _PLAIN or ord(one) > 127 else f"#{ord(one)};" for one in inert)  # noqa: PLR2004 (ASCII)


def _dot(drawn: Sketch) -> Iterator[str]:
    names = _numbers(drawn)
    yield f"digraph {_quoted(drawn.name)} {{"
    yield f"  label={_quoted(drawn.title, verdict(drawn))}; labelloc=t; fontname=sans;"
    yield "  node [shape=box, style=filled, fontname=sans]; edge [color=gray50];"
    for step in (*drawn.steps, *drawn.final):
        kind = look(step)
        fill, line = _COLOURS[kind]
        shape = {"gate": "hexagon", "final": "doubleoctagon"}.get(kind, "box")
        said = [one for one in (step.id, does(drawn, step), takes(step)) if one]
        yield (
            f"  {names[step.id]} [label={_quoted(*said)}, tooltip={_quoted(LOOKS[kind])},"
            f' shape={shape}, fillcolor="{fill}", color="{line}"];'
        )
    for wave in drawn.waves:
        yield f"  {{rank=same; {'; '.join(names[name] for name in wave)}}}"
    for before, after in drawn.edges:
        bold = " [penwidth=3]" if _is_critical(drawn, before, after) else ""
        yield f"  {names[before]} -> {names[after]}{bold};"
    yield "}"


def _quoted(*lines: str) -> str:
    inert = [sanitize(line, limit=200).replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(inert) + '"'


def _numbers(drawn: Sketch) -> dict[str, str]:
    """Names for steps that mean nothing in either language, whatever the steps are called."""
    return {step.id: f"s{number}" for number, step in enumerate((*drawn.steps, *drawn.final))}


def _is_critical(drawn: Sketch, before: str, after: str) -> bool:
    return (before, after) in pairwise(drawn.critical_path)
