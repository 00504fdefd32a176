"""A plan to change, and what is said of the change."""

import json

from engine_model import plan_of, step

from drctl.actions.contract import Effect
from drctl.kernel.signature import new_key
from drctl.plan.diff import compare
from drctl.plan.model import (
    Objectives,
    PlannedCall,
    PlannedGate,
)
from drctl.plan.outline import Outline
from drctl.view.console import make_console
from drctl.view.diff_text import show_diff

GATE = PlannedGate(title="Go", approvers=("ic",), quorum=2, expires_s=60.0, reason_required=True)
KEY = new_key().public


def base(**more):
    more = {"expires_after_s": 900.0} | more
    steps = more.pop("steps", None) or (
        step("lag", effect=Effect.READ, measures_loss=True, estimate_s=3.0),
        step("go", gate="go", needs=("lag",)),
        step("fence", target="room", effect=Effect.FENCE, needs=("go",), estimate_s=20.0),
        step(
            "promote",
            target="other",
            effect=Effect.PROMOTE,
            needs=("fence",),
            estimate_s=240.0,
            timeout_s=360.0,
            verify=(PlannedCall(uses="write"),),
            with_={"wait": True, "n": 0},
        ),
        step(
            "move",
            target="room",
            effect=Effect.TRAFFIC,
            needs=("promote",),
            undo=PlannedCall(uses="back"),
            planes=("data-plane:s3",),
        ),
        step("proof", proves_one_primary=True, needs=("move",)),
    )
    settings = {
        "gates": {"go": GATE},
        "forecast_s": 263.0,
        "critical_path": ("lag", "go", "fence", "promote"),
        "protected": True,
        "objectives": Objectives(
            rto_s=900, rpo_s=300, starts_at="run", stops_after=("move", "proof")
        ),
    }
    return plan_of(*steps, **(settings | more))


def of_incident(detection_s, **more):
    objectives = Objectives(
        rto_s=900, rpo_s=300, starts_at="incident", stops_after=(), detection_s=detection_s
    )
    return base(objectives=objectives, **more)


def outline(plan):
    return Outline.model_validate_json(plan.as_saved())


def diff(before, after):
    return compare(outline(before), outline(after))


def with_step(name, **more):
    steps = tuple(s.model_copy(update=more) if s.id == name else s for s in base().steps)
    return base(steps=steps)


def without(name):
    return base(
        steps=tuple(
            s.model_copy(update={"needs": tuple(n for n in s.needs if n != name)})
            for s in base().steps
            if s.id != name
        )
    )


def text_of(found, capsys):
    show_diff(found, make_console(color=False))
    return capsys.readouterr().out


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


RAW = json.loads(base().as_saved())
