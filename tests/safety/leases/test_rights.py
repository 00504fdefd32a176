"""At any moment at most one process has the right to act; in virtual time, in all weathers."""

import asyncio

import pytest
from arena import Memory, MemoryCell, Weather, book_of, claim, lease, outcome, seeded, tally
from results import is_full

from drctl.journal.access import Access
from drctl.journal.lease import RunLease
from drctl.kernel.errors import RefusedError
from drctl.simulated.clock import VirtualClock, run_virtual

SEEDS = 1000 if is_full() else 60
RACES = 200 if is_full() else 50


@pytest.mark.parametrize("contenders", range(2, 9))
def test_of_several_runs_that_want_one_thing_one_has_it(contenders):
    """2 to 8 contenders, 200 races each; answers are slow, lost, or come when all is over."""
    bad = []
    for race in range(RACES):
        dice = seeded(f"{contenders}/{race}")
        winners, codes = run_virtual(_race(dice, contenders))
        if len(winners) != 1 or set(codes) - {"won", "DR3501"}:
            bad.append((race, codes))
    tally("I9", RACES, len(bad))
    assert not bad, f"PYTHONPATH=src pytest {__file__} -k '[{contenders}]'   races {bad[:5]}"


async def _race(dice, contenders):
    clock, memory = VirtualClock(), Memory()
    weather = {"slowest_s": dice.choice([0.0, 0.05, 0.4]), "lost": dice.choice([0.0, 0.1, 0.3])}
    leases = []
    for number in range(contenders):
        cell = MemoryCell(memory, clock, Weather(dice, late=0.3, **weather))
        own = {"thing:1", f"own:{number}"} if dice.random() < 0.5 else {"thing:1"}
        leases.append(lease(cell, claim(f"run-{number}", sorted(own)), clock))
    codes = await asyncio.gather(*(outcome(one) for one in leases))
    winners = [one for one in leases if one.refusal() is None]
    await clock.sleep(6)  # what was late has come by now, and must not have undone anything
    holders = MemoryCell(memory, clock).holders()
    assert [h.run for h in holders] == [f"run-{n}" for n, code in enumerate(codes) if code == "won"]
    return winners, codes


def test_at_most_one_process_of_a_run_has_its_right_at_any_moment():
    """
    Up to five processes of one run on five machines try to take it over while their stores are cut
    off, slow, or lose answers. Looked at twenty times a second.
    """
    doubles, taken_over = [], 0
    for seed in range(SEEDS):
        double, changes = run_virtual(_scramble(seed))
        taken_over += changes
        if double:
            doubles.append((seed, double))
    tally("I10", SEEDS, len(doubles))
    assert taken_over > SEEDS, "the weather was too fair to show anything"
    assert not doubles, f"seed and moment of two rights at once: {doubles[:5]}"


async def _scramble(seed):
    dice = seeded(seed)
    clock, memory = VirtualClock(), Memory()
    cut_off = [False] * 5
    everybody: list[RunLease] = []

    def start(number):
        weather = Weather(
            dice, slowest_s=dice.choice([0.02, 1.8]), lost=0.2, late=0.3,
            is_cut_off=lambda: cut_off[number],
        )  # fmt: skip
        made = RunLease(
            Access(cell=MemoryCell(memory, clock, weather), clock=clock, secrets=None),
            claim("run", host=f"host-{number}"),
            lease_s=8.0,
        )
        everybody.append(made)
        return made

    async def live(number):
        while True:
            await clock.sleep(dice.uniform(0, 5))
            mine = start(number)
            try:
                await mine.take()
            except RefusedError:
                continue
            await mine.keep(lambda: None)

    async def meddle():
        while True:
            await clock.sleep(dice.uniform(1, 12))
            number = dice.randrange(5)
            cut_off[number] = not cut_off[number]

    tasks = [asyncio.ensure_future(live(n)) for n in range(dice.randint(2, 5))]
    tasks.append(asyncio.ensure_future(meddle()))
    double, held = None, set()
    for _ in range(120 * 20):
        await clock.sleep(0.05)
        rights = [index for index, one in enumerate(everybody) if one.refusal() is None]
        held.update(rights)
        if len(rights) > 1:
            double = clock.now().boot_s
            break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return double, max(0, len(held) - 1)


def test_a_lease_that_could_not_be_renewed_in_time_is_told_and_regained():
    async def main():
        clock, memory = VirtualClock(), Memory()
        cut = [False]
        weather = Weather(seeded(1), slowest_s=0.1, is_cut_off=lambda: cut[0])
        mine = lease(MemoryCell(memory, clock, weather), clock=clock)
        await mine.take()
        keeper = asyncio.ensure_future(mine.keep(lambda: None))
        told = [type(event).__name__ for event in mine.news()]
        cut[0] = True
        await clock.sleep(7.5)
        assert mine.refusal() is not None, "eight seconds less the margin"
        told += [(type(event).__name__, event.for_good) for event in mine.news()]
        cut[0] = False
        await clock.sleep(4)
        assert mine.refusal() is None
        told += [type(event).__name__ for event in mine.news()]
        cut[0] = True
        await clock.sleep(80)
        told += [(type(event).__name__, event.for_good) for event in mine.news()]
        keeper.cancel()
        return told

    assert run_virtual(main()) == [
        "LeaseHeld", ("LeaseLost", False), "LeaseHeld", ("LeaseLost", True),
    ]  # fmt: skip


def test_what_is_no_book_is_not_written_over():
    async def main():
        clock, memory = VirtualClock(), Memory()
        memory.write(b'{"v": 2}', None)
        code = await outcome(lease(MemoryCell(memory, clock), clock=clock))
        return code, memory.data

    assert run_virtual(main()) == ("DR3505", b'{"v": 2}')


def test_a_store_that_does_not_answer_refuses_the_run():
    async def main():
        clock = VirtualClock()
        weather = Weather(seeded(1), is_cut_off=lambda: True)
        code = await outcome(lease(MemoryCell(Memory(), clock, weather), clock=clock))
        return code, clock.now().boot_s

    code, took_s = run_virtual(main())
    assert code == "DR3504"
    assert took_s < 15


def test_who_was_stopped_before_taking_it_does_not_start_over_what_ended_elsewhere():
    async def main():
        clock, memory = VirtualClock(), Memory()
        cell = MemoryCell(memory, clock)
        late, other = lease(cell, clock=clock), lease(cell, clock=clock)
        await other.take()
        await other.leave("succeeded", moved=(), stays=False)
        again = await outcome(late)
        undo = await outcome(lease(cell, claim(is_undo=True), clock))
        return again, undo, (await book_of(cell, clock)).holders[0].run

    assert run_virtual(main()) == ("DR3508", "won", "run-a")
