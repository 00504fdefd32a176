"""A run that dies anywhere, really, and is taken up again, ends as if it had not."""

import pytest
import results
from crash import Found, report, run_all, several, signals, singles
from crash_cases import Case, spread, tell


def told(kind: str, cases: list[Case], promises: dict[str, str]) -> list[Found]:
    """Runs the cases, or in the slice some of them; keeps what each promise came to."""
    found = run_all(cases)
    for promise, note in promises.items():
        ill = sum(any(why.startswith(promise) for why in one.ill) for one in found)
        results.record(f"crash-{kind}", promise, cases=len(found), violations=ill, note=note)
    return found


def sliced(cases: list[Case], share: int) -> list[Case]:
    return cases if results.is_full() else spread(cases, share)


PROMISES = {
    "I6": "each request had its intent on disk",
    "I7": "the estate, the result and the exit code are those of an uninterrupted run",
    "I28": "the journal verifies",
}


@pytest.mark.timeout(2400)
def test_a_run_killed_at_any_place_it_passes_ends_as_if_it_had_not():
    """At every failpoint between two records, in three estates, with faults, without power."""
    found = told("one", sliced(singles(), 120), PROMISES)
    assert not [one for one in found if one.ill], report(found)
    assert all(one.died == 1 for one in found), "a death that did not happen proves nothing"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("deaths", "drawn", "least"), [(2, 260, 200), (3, 80, 50)])
def test_a_resume_that_dies_too_changes_nothing(deaths, drawn, least):
    cases = sliced(several(deaths, drawn, deaths), drawn // 8)
    found = told("again" if deaths == 2 else "thrice", cases, PROMISES)
    assert not [one for one in found if one.ill], report(found)
    real = sum(one.died == deaths for one in found)
    assert real >= (least if results.is_full() else least // 10)


@pytest.mark.timeout(600)
def test_a_signal_at_any_instant_leaves_a_run_that_can_be_resumed_within_five_seconds():
    note = "SIGINT or SIGTERM: ended within 5 s, resumed to the same end"
    found = told("signal", sliced(signals(120, 4), 30), {"I11": note, "I7": PROMISES["I7"]})
    assert not [one for one in found if one.ill], report(found)
    # A runbook that is over before the signal comes has no death to tell of.
    assert sum(one.died == 1 for one in found) >= (60 if results.is_full() else 15)


def test_the_record_of_a_death_tells_what_was_torn():
    """Half a line is written, then the process dies: it is dropped, and not taken for tampering."""
    one = tell(Case("region-failover", "at_once", 0, ("journal.after_write@9!",)))
    assert (one.died, one.ill) == (1, [])
