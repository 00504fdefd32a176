"""Text to a checked Runbook: models, expressions, graph checks, editor schema."""

from drctl.runbook.expressions import (
    Expression,
    Scope,
    Template,
    evaluate,
    render,
)
from drctl.runbook.faults import ExpressionError, Fault
from drctl.runbook.graph import ancestors, in_order
from drctl.runbook.inputs import InputValue, resolve_inputs
from drctl.runbook.load import check_runbook, load_runbook
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
    Waiver,
)
from drctl.runbook.params import bind_params, names_in
from drctl.runbook.scopes import Scopes, scopes_of
from drctl.runbook.values import UNKNOWN, Unknown, for_people

__all__ = [
    "UNKNOWN",
    "Call",
    "ClockSpec",
    "Expression",
    "ExpressionError",
    "Fault",
    "Gate",
    "InputSpec",
    "InputValue",
    "Metadata",
    "Objectives",
    "Retry",
    "Runbook",
    "Scope",
    "Scopes",
    "Step",
    "Template",
    "Unknown",
    "Waiver",
    "ancestors",
    "bind_params",
    "check_runbook",
    "evaluate",
    "for_people",
    "in_order",
    "load_runbook",
    "names_in",
    "render",
    "resolve_inputs",
    "scopes_of",
]
