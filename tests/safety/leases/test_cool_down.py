"""A second failover of the same targets within the cool-down is refused; an exact table."""

import asyncio
from datetime import timedelta

import pytest
from arena import Memory, MemoryCell, Skewed, access, claim, lease, outcome, tally

from drctl.app.leasing import break_lease
from drctl.journal.book import decode
from drctl.simulated.clock import VirtualClock, run_virtual

HOUR = 3600.0
A_TO_B = {"identities": ("postgres:7001", "aws:east"), "moves": ("postgres:7001",)}
B_TO_A = {"identities": ("postgres:7001", "aws:west"), "moves": ("postgres:7001",)}
OTHER = {"identities": ("postgres:7002",), "moves": ("postgres:7002",)}
NO_MOVE = {"identities": ("postgres:7001",), "moves": ()}

DAY = timedelta(days=1)
TABLE = [
    # minutes after, what comes, who looks, its wall clock is off by, what it says
    (1, B_TO_A, "here", timedelta(0), "DR3503"),
    (59, B_TO_A, "here", timedelta(0), "DR3503"),
    (61, B_TO_A, "here", timedelta(0), "won"),
    (1, B_TO_A, "elsewhere", timedelta(0), "DR3503"),
    (59, B_TO_A, "elsewhere", timedelta(0), "DR3503"),
    (61, B_TO_A, "elsewhere", timedelta(0), "won"),
    # Set back by a day: the age would be negative, and counts as none at all.
    (1, B_TO_A, "elsewhere", -DAY, "DR3503"),
    (59, B_TO_A, "elsewhere", -DAY, "DR3503"),
    (61, B_TO_A, "elsewhere", -DAY, "DR3503"),
    # On the machine that wrote it, boot time says it exactly, whatever the wall clock does.
    (59, B_TO_A, "here", -DAY, "DR3503"),
    (61, B_TO_A, "here", -DAY, "won"),
    (59, B_TO_A, "here", DAY, "DR3503"),
    (61, B_TO_A, "here", DAY, "won"),
    (1, A_TO_B, "here", timedelta(0), "DR3503"),
    (1, OTHER, "here", timedelta(0), "won"),
    (1, NO_MOVE, "here", timedelta(0), "won"),
]


@pytest.mark.parametrize(("minutes", "next_", "where", "off", "expected"), TABLE)
def test_back_again(minutes, next_, where, off, expected):
    async def main():
        clock, memory = VirtualClock(), Memory()
        first = lease(MemoryCell(memory, clock), claim("first", cool_down_s=HOUR, **A_TO_B), clock)
        await first.take()
        await first.leave("succeeded", moved=("postgres:7001",), stays=False)
        await clock.sleep(minutes * 60)
        seen_by = Skewed(clock, off, "another boot" if where == "elsewhere" else None)
        cell = MemoryCell(memory, clock)
        again = await outcome(lease(cell, claim("back", cool_down_s=HOUR, **next_), seen_by))
        meant = claim("meant", cool_down_s=HOUR, again_reason="the east is worse", **next_)
        if again != "won":
            assert await outcome(lease(cell, meant, seen_by)) == "won"
        return again

    got = run_virtual(main())
    tally("I14", 1, got != expected)
    assert got == expected


@pytest.mark.parametrize(("minutes", "expected"), [(1, "DR3503"), (59, "DR3503"), (61, "won")])
def test_after_a_crash_it_counts_from_the_break(minutes, expected):
    async def main():
        clock, memory = VirtualClock(), Memory()
        cell = MemoryCell(memory, clock)
        crashed = lease(cell, claim("crashed", cool_down_s=HOUR, **A_TO_B), clock)
        await crashed.take()
        await clock.sleep(90 * 60)
        held = await outcome(lease(cell, claim("back", cool_down_s=HOUR, **B_TO_A), clock))
        began_s = clock.now().boot_s
        await break_lease(access(cell, clock), "crashed", "its laptop is lost")
        assert clock.now().boot_s - began_s >= 8, "it was watched"
        await clock.sleep(minutes * 60)
        again = await outcome(lease(cell, claim("back", cool_down_s=HOUR, **B_TO_A), clock))
        return held, again, decode(memory.data).recent[0].what

    held, again, what = run_virtual(main())
    tally("I14", 2, (held != "DR3501") + (again != expected))
    assert (held, again) == ("DR3501", expected)
    assert what.startswith("broken by ")
    assert what.endswith(": its laptop is lost")


def test_a_run_that_moved_nothing_starts_no_cool_down():
    async def main():
        clock, memory = VirtualClock(), Memory()
        cell = MemoryCell(memory, clock)
        first = lease(cell, claim("first", cool_down_s=HOUR, **A_TO_B), clock)
        await first.take()
        await first.leave("refused", moved=(), stays=False)
        return await outcome(lease(cell, claim("back", cool_down_s=HOUR, **B_TO_A), clock))

    assert run_virtual(main()) == "won"


def test_the_same_run_goes_on_within_its_own_cool_down():
    async def main():
        clock, memory = VirtualClock(), Memory()
        cell = MemoryCell(memory, clock)
        first = lease(cell, claim("first", cool_down_s=HOUR, **A_TO_B), clock)
        await first.take()
        await first.leave("paused", moved=("postgres:7001",), stays=True)
        rival = await outcome(lease(cell, claim("back", cool_down_s=HOUR, **B_TO_A), clock))
        began_s = clock.now().boot_s
        again = lease(cell, claim("first", cool_down_s=HOUR, **A_TO_B), clock)
        await again.take()
        assert clock.now().boot_s - began_s < 1, "its process said that it had ended"
        return rival, again.refusal(), again.news()[0].taken_over

    rival, refusal, over = run_virtual(main())
    assert (rival, refusal) == ("DR3501", None)
    assert over == "its process on laptop had ended (paused)"


def test_an_undo_does_not_wait_for_the_run_that_it_takes_back():
    async def main():
        clock, memory = VirtualClock(), Memory()
        cell = MemoryCell(memory, clock)
        first = lease(cell, claim("first", cool_down_s=HOUR, **A_TO_B), clock)
        await first.take()
        await first.leave("succeeded", moved=("postgres:7001",), stays=False)
        undo = claim("first", cool_down_s=HOUR, is_undo=True, **A_TO_B)
        return await outcome(lease(cell, undo, clock))

    assert run_virtual(main()) == "won"


def test_a_lease_that_is_renewed_is_not_broken():
    async def main():
        clock, memory = VirtualClock(), Memory()
        cell = MemoryCell(memory, clock)
        one = lease(cell, claim("lives"), clock)
        await one.take()
        keeper = asyncio.ensure_future(one.keep(lambda: None))
        try:
            await break_lease(access(cell, clock), "lives", "I am in a hurry")
        finally:
            keeper.cancel()

    with pytest.raises(Exception, match="DR3507"):
        run_virtual(main())
