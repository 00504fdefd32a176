"""The guards of I1 to I4, and the smallest part of the suite that must go red without each."""

from guards import Guard

_HERE = "tests/safety/postgres"
_CANDIDATES = f"{_HERE}/test_candidates.py"
_CELLS = f"{_HERE}/test_fence_cells.py"
_LAG = f"{_HERE}/test_lag_cells.py"
_ONE = f"{_HERE}/test_one_primary.py"
_DECIDE = "tests/unit/engine/test_decisions.py"

GUARDS = [
    Guard(
        name="write probe off",
        promise="I1",
        file="adapters/postgres/vantage.py",
        old='verdict="accepted" if is_success else "unknown"',
        new='verdict="refused"',
        command=_CELLS,
    ),
    Guard(
        name="a time-out counts as refused",
        promise="I1",
        file="adapters/_sql.py",
        old="    return isinstance(seen, ConnectionRefusedError)",
        new="    return isinstance(seen, ConnectionRefusedError | TimeoutError)",
        command=_CELLS,
    ),
    Guard(
        name="an unknown loss is accepted",
        promise="I2",
        file="engine/fold.py",
        old="        return accepted_s is not None and accepted_s >= ANY_LOSS_S",
        new="        return True",
        command=_LAG,
    ),
    Guard(
        name="NaN is accepted from the witness",
        promise="I2",
        file="adapters/_witness.py",
        old='    raise ValueError(f"{text} is not a number")',
        new="    return 2  # type: ignore[return-value]",
        command=_LAG,
    ),
    Guard(
        name="a stale witness is believed",
        promise="I2",
        file="adapters/_witness.py",
        old="        (age > STALE_AFTER, f",
        new="        (False, f",
        command=_LAG,
    ),
    Guard(
        name="paused replay is not looked at",
        promise="I3",
        file="adapters/_candidate.py",
        old="    if seen.is_paused:",
        new="    if False:",
        command=_CANDIDATES,
    ),
    Guard(
        name="the system identifier is not looked at",
        promise="I3",
        file="adapters/_candidate.py",
        old="    for wanted in sorted(known - {seen.system_identifier}):",
        new="    for wanted in ():",
        command=_CANDIDATES,
    ),
    Guard(
        name="the timeline is not looked at",
        promise="I3",
        file="adapters/_candidate.py",
        old="    elif lsn_to_int(left_at) < lsn_to_int(lsn):",
        new="    elif False:",
        command=_CANDIDATES,
    ),
    Guard(
        name="an unfit candidate does not refuse the plan",
        promise="I3",
        file="app/running.py",
        old='        for why in step.prediction.facts.get("unfit") or ()',
        new="        for why in ()",
        command=_CANDIDATES,
    ),
    Guard(
        name="nobody asks for the proof",
        promise="I4",
        file="engine/outcome.py",
        old='        if not any(state.steps[name].status == "succeeded" for name in proofs):',
        new="        if False:",
        command=_DECIDE,
    ),
    Guard(
        name="the old primary is not tried",
        promise="I4",
        file="adapters/_one_primary.py",
        old='        accepted = [one for one in attempts if one.verdict == "accepted"]',
        new="        accepted = []",
        command=_ONE,
    ),
    Guard(
        name="clients may be led anywhere",
        promise="I4",
        file="adapters/_one_primary.py",
        old="        if not await _has(connection, path, row):",
        new="        if False:",
        command=_ONE,
    ),
    Guard(
        name="forced without a reason",
        promise="I1",
        file="engine/decide.py",
        old='        return "a promotion is not forced without a reason"',
        new="        pass",
        command=_DECIDE,
    ),
]
