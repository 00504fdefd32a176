"""Each write, fsync, rename and the like of a run's record fails or is the last one, once each."""

import pytest
import results
from crash import run_all
from crash_calls import DEEDS, why_not
from crash_cases import Case, calls_of, spread

RUNBOOK = "region-failover"


@pytest.fixture(autouse=True)
def allowed():
    reason = why_not()
    if reason:
        pytest.skip(reason)


def cases() -> list[Case]:
    return [
        Case(RUNBOOK, "at_once", 0, (f"call@{number}:{deed}",))
        for number, name in enumerate(calls_of(RUNBOOK), start=1)
        for deed in DEEDS
        if deed != "SHORT" or name == "write"
    ]


@pytest.mark.timeout(1200)
def test_after_a_call_that_failed_nothing_is_sent_and_a_resume_ends_it():
    chosen = cases() if results.is_full() else spread(cases(), 60)
    found = run_all(chosen)
    ill = [one for one in found if one.ill]
    for promise in ("I6", "I7", "I28"):
        bad = sum(any(why.startswith(promise) for why in one.ill) for one in found)
        note = "ENOSPC, EIO, EDQUOT, EROFS, short write, SIGKILL at each system call of the record"
        results.record("crash-calls", promise, cases=len(found), violations=bad, note=note)
    lines = [f"--case '{one.case}'\n    " + "\n    ".join(one.ill) for one in ill]
    assert not ill, f"{len(ill)} of {len(found)}\npython tests/safety/crash/crash.py " + "\n".join(
        lines[:8]
    )


def test_every_call_of_the_record_is_seen():
    """The number of fsyncs is the number of events, and those of the folder's making."""
    names = calls_of(RUNBOOK)
    assert names.count("fsync") >= 42
    assert {"write", "fsync", "renameat", "mkdirat", "fallocate", "ftruncate"} <= set(names)
