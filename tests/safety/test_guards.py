"""The oracles can fail: without its guard a suite goes red. ``make guard-kill`` does all."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guards import ROOT, guards, is_red

ALL = guards()
FIRST = {guard.suite: guard for guard in reversed(ALL)}
"""One for each suite: the slice. The others are a quarter of an hour on two cores."""


@pytest.mark.parametrize("guard", ALL, ids=lambda guard: f"{guard.suite}-{guard.name}")
def test_a_guard_is_where_its_list_says(guard):
    """Else switching it off would change nothing, and prove nothing."""
    assert (ROOT / "src" / "drctl" / guard.file).read_text().count(guard.old) == 1
    assert guard.old != guard.new


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", sorted(FIRST))
def test_a_suite_goes_red_without_its_guard(suite):
    red, said = is_red(FIRST[suite])
    assert red, f"{FIRST[suite].name}: {said}; python tests/safety/guards.py {FIRST[suite].name}"
