"""Text to a checked Runbook: models, expressions, graph checks, editor schema."""

from drctl.runbook.models import (
    Call,
    ClockSpec,
    Gate,
    InputSpec,
    Metadata,
    Objectives,
    Retry,
    Runbook,
    Step,
)

__all__ = [
    "Call",
    "ClockSpec",
    "Gate",
    "InputSpec",
    "Metadata",
    "Objectives",
    "Retry",
    "Runbook",
    "Step",
]
