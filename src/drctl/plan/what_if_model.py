"""Answers to "what if", as data. They are no plans: nothing here can be saved or run as one."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from drctl.plan.forecast_model import Forecast


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cure(_Frozen):
    """One change by itself, and the forecast with it."""

    kind: Literal["people", "parallel", "shorter"]
    """``parallel`` is a suggestion: drctl sees no reason for the order, and a person may."""
    what: str
    steps: tuple[str, ...]
    less_s: float = 0.0
    """What the step must lose, at the least; of ``shorter`` only."""
    now_s: float = 0.0
    """What it takes now, at p50."""
    gain_s: float
    """How much earlier nine of ten runs are over."""
    p90_s: float
    is_enough: bool
    cost: float
    """For the order of the list: the share of its length that a step must lose; 0.2 and 0.3 for
    another order and for people."""


class Together(_Frozen):
    """All that needs no faster machine at once, then every machine step by one share."""

    steps: tuple[str, ...]
    faster: float | None
    """The share, of one, that every machine step must lose besides; ``None``: nothing is enough."""
    p90_s: float
    fits: bool


class Room(_Frozen):
    """How much longer one step may take."""

    step: str
    now_s: float
    more_s: float


class Needs(_Frozen):
    """What would make it fit."""

    fits: bool
    over_s: float
    """How far p90 is above the budget; negative: below."""
    cures: tuple[Cure, ...] = ()
    """Enough by itself first, then the cheapest."""
    together: Together | None = None
    room: tuple[Room, ...] = ()


class WhatIf(_Frozen):
    """A forecast beside the one that is planned."""

    version: Literal[1] = 1
    kind: Literal["what-if"] = "what-if"
    runbook: str
    environment: str
    rto_s: float
    supposed: dict[str, float] = {}
    """Seconds by step."""
    planned: Forecast
    changed: Forecast | None = None
    needs: Needs | None = None
    """Of the changed forecast where there is one."""
