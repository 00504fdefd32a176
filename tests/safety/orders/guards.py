"""The guards of orders and undo, and what turns red without each."""

from guards import Guard

ABORT = "tests/safety/orders/test_abort_everywhere.py"
FORCED = "tests/unit/engine/test_forced.py"
ORDERS = "tests/unit/engine/test_orders.py"
UNDO = "tests/unit/engine/test_undo.py"

GUARDS = [
    Guard(
        name="undo stops at the promotion",
        promise="I12",
        file="engine/undoing.py",
        old="        if step.effect.is_irreversible and not",
        new="        if False and not",
        command=ABORT,
    ),
    Guard(
        name="undo goes newest first",
        promise="I12",
        file="engine/undoing.py",
        old="        reverse=True,\n",
        new="        reverse=False,\n",
        command=ABORT,
    ),
    Guard(
        name="undo looks before it sends",
        promise="I12",
        file="engine/undoing.py",
        old="step.id for step in looked if _is_unclear",
        new="step.id for step in () if _is_unclear",
        command=UNDO,
    ),
    Guard(
        name="undo stops at its first failure",
        promise="I12",
        file="engine/undoing.py",
        old="    if ended is not None:\n",
        new="    if False and ended is not None:\n",
        command=f"{UNDO} -k fails --timeout 20",
    ),
    Guard(
        name="an undo has a key of its own",
        promise="I8",
        file="engine/effects.py",
        old='undoes = ["undo"] if call is step.undo else []',
        new="undoes: list[str] = []",
        command=UNDO,
    ),
    Guard(
        name="a cancelled run starts nothing",
        promise="I12",
        file="engine/state.py",
        old="            or self.cancelled\n",
        new="",
        command=ABORT,
    ),
    Guard(
        name="what may have happened is looked at before a retry",
        promise="I8",
        file="engine/ordered.py",
        old='before.status == "unknown" or before.may_have_happened',
        new="False",
        command=ORDERS,
    ),
    Guard(
        name="what was passed over is not tried again",
        promise="I13",
        file="engine/orders.py",
        old="""    if step.is_settled:
        return f"step {name} {_standing(step)} and was passed over; what""",
        new="""    if False:
        return f"step {name} {_standing(step)} and was passed over; what""",
        command=ORDERS,
    ),
    Guard(
        name="a gate is never skipped",
        promise="I17",
        file="engine/orders.py",
        old="    if planned.is_consent:\n",
        new="    if False and planned.is_consent:\n",
        command=ORDERS,
    ),
    Guard(
        name="forcing needs a reason",
        promise="I1",
        file="engine/orders.py",
        old='NEEDS_REASON = frozenset({"cancel", "skip", "force", "note"})',
        new='NEEDS_REASON = frozenset({"cancel", "skip", "note"})',
        command=FORCED,
    ),
    Guard(
        name="a forced promotion has an approval of its own",
        promise="I1",
        file="engine/ordered.py",
        old="unsettled(state, passed, plan), measured)",
        new="state, measured)",
        command=FORCED,
    ),
    Guard(
        name="nothing behind a gate that is asked anew",
        promise="I1",
        file="engine/decide.py",
        old="return bool(state.anew) and any(",
        new="return False and any(",
        command=FORCED,
    ),
    Guard(
        name="a skipped fence never counts",
        promise="I1",
        file="engine/decide.py",
        old='if state.steps[name].status != "succeeded" and',
        new='if state.steps[name].status not in {"succeeded", "skipped"} and',
        command=FORCED,
    ),
    Guard(
        name="an order is followed only when the run can",
        promise="I13",
        file="engine/driver.py",
        old="        why = refusal(self._plan, self._state, order)\n",
        new="        why = None\n",
        command=ORDERS,
    ),
    Guard(
        name="an error that nobody foresaw is looked at",
        promise="I13",
        file="engine/settling.py",
        old="    if not (goes_on or planned.is_message):\n",
        new="    if False:\n",
        command=ABORT,
    ),
]
