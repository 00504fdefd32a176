"""What a run does about its lease: takes it, asks it, loses it, leaves it."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine_model import Fake, plan_of, registry_for, started, step
from worker import IDENTITIES, ROOM, parts_of, plan

from drctl.actions.contract import Effect, NotDone
from drctl.app import running
from drctl.app.leasing import access_to, read_book
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.engine.driver import Driver
from drctl.engine.ports import Lease
from drctl.engine.state import initial
from drctl.kernel.errors import RefusedError
from drctl.plan.model import PlannedLease
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.simulated.log import MemoryLog

WORKER = str(Path(__file__).parent / "worker.py")


class Scripted(Lease):
    """Is held, or not, by the virtual clock."""

    def __init__(self, clock, *, gone_from_s, back_at_s=None):
        self._clock, self._from, self._back = clock, gone_from_s, back_at_s
        self._told, self.asked = "held", 0

    async def take(self):
        pass

    def refusal(self):
        self.asked += 1
        now = self._clock.now().boot_s
        is_back = self._back is not None and now >= self._back
        return None if now < self._from or is_back else "not ours"

    def news(self):
        why = self.refusal()
        standing = "held" if why is None else "lost"
        if standing == self._told:
            return ()
        self._told = standing
        if why is None:
            return [e.LeaseHeld(store="s", generation=1, identities=())]
        return [e.LeaseLost(why=why, for_good=self._back is None)]


def drive(the_plan, *fakes, **lease):
    async def main():
        clock = VirtualClock()
        log, held = MemoryLog(clock), Scripted(clock, **lease)
        driver = Driver(
            the_plan, initial(the_plan), log=log, registry=registry_for(the_plan, fakes, ()),
            clock=clock, secrets=LocalSecrets(), lease=held,
        )  # fmt: skip

        async def wake():
            while True:
                await clock.sleep(0.5)
                driver.wake()

        waking = asyncio.ensure_future(wake())
        end = await driver.run(started(the_plan))
        waking.cancel()
        return end, log.records

    return run_virtual(main())


TWO = plan_of(
    step("a", effect=Effect.CHANGE), step("b", effect=Effect.CHANGE, needs=("a",)), ends=("b",)
)


def sent(name, at_s=0.0, settled=None):
    """An action that sends one request, *at_s* after it was called."""
    done = []

    async def does(ctx, _number):
        await ctx.clock.sleep(at_s)
        ctx.permit()
        done.append(ctx.clock.now().boot_s)
        return {}

    made = Fake(name, Effect.CHANGE, does=does, settled=settled)
    made.done = done
    return made


def test_no_step_begins_after_the_lease_is_lost_and_the_run_can_be_resumed():
    a, b = sent("a", 2.0), sent("b")
    end, records = drive(TWO, a, b, gone_from_s=3.0)
    assert end.result == "succeeded"
    a, b = sent("a", 2.0), sent("b", 2.0)
    end, records = drive(TWO, a, b, gone_from_s=3.0)
    assert (end.result, b.done) == ("paused", [])
    assert "lease is lost" in end.why
    kinds = [record.event.type for record in records]
    assert kinds.count("lease_lost") == 1


def test_the_choke_point_asks_before_the_adapter_is_called():
    """An adapter that never asks for permission is stopped all the same, before it is called."""

    class Gone(Lease):
        async def take(self):
            pass

        def news(self):
            return ()

        def refusal(self):
            return "not ours"

    async def one():
        from datetime import timedelta

        from drctl.engine.effects import Effects
        from drctl.engine.fold import fold
        from drctl.kernel.clock import Deadline

        clock = VirtualClock()
        log = MemoryLog(clock)
        state = initial(TWO)
        for event in (started(TWO), e.StepStarted(step="a", attempt=1)):
            state = fold(TWO, state, log.append(event))
        effects = Effects(
            plan=TWO, registry=registry_for(TWO, (deaf_a,), ()), clock=clock,
            secrets=LocalSecrets(), log=log, record=log.append, state=lambda: state,
            say=lambda *_: None, lease=Gone(),
        )  # fmt: skip
        call = TWO.by_id["a"].call
        return await effects.call(
            TWO.by_id["a"], call, {}, Deadline.after(clock, timedelta(seconds=9))
        )

    deaf_a = Fake("a", Effect.CHANGE)
    ending = run_virtual(one())
    assert (ending.outcome, ending.error) == ("failed", "lease")
    assert deaf_a.calls == []


def test_a_request_is_asked_for_permission_when_it_leaves():
    """The adapter was called while the lease was held; its request would leave after its end."""
    a, b = sent("a", 2.0), sent("b", 2.0, settled=NotDone(why="nothing there"))
    _end, _records = drive(TWO, a, b, gone_from_s=3.0)
    assert (len(b.calls), b.done) == (1, [])


def test_what_was_not_sent_for_want_of_a_lease_is_sent_when_it_is_back():
    a, b = sent("a", 2.0), sent("b", 2.0, settled=NotDone(why="nothing there"))
    end, records = drive(TWO, a, b, gone_from_s=3.0, back_at_s=20.0)
    assert end.result == "succeeded"
    assert len(b.done) == 1
    assert b.done[0] >= 20.0
    kinds = [r.event.type for r in records if r.event.type.startswith("lease")]
    assert kinds == ["lease_lost", "lease_held"]


def pausing(tmp_path):
    """A run that changes something and then fails."""
    steps = (
        step("a", effect=Effect.TRAFFIC, target="room"),
        step("z", effect=Effect.CHANGE, needs=("a",)),
    )
    lease = PlannedLease(identities=IDENTITIES, moves=IDENTITIES, cool_down_s=3600.0)
    the_plan = plan_of(*steps, ends=("z",), lease=lease, targets={"room": ROOM})
    parts = parts_of(tmp_path / "runs", tmp_path / "book", tmp_path / "ledger", 8.0)
    end, folder = asyncio.run(running.run_plan(parts, the_plan, running.Consent(), []))
    return parts, the_plan, end, folder


def book(parts, the_plan):
    return asyncio.run(read_book(access_to(parts, the_plan.lease)))


def test_a_half_done_run_keeps_its_targets_and_a_done_one_gives_them_back(tmp_path):
    parts, the_plan, end, folder = pausing(tmp_path)
    assert (end.result, end.changed) == ("failed", True)
    [holder] = book(parts, the_plan).holders
    assert (holder.run, holder.is_live, holder.state) == (folder.run_id, False, "failed")
    with pytest.raises(RefusedError, match="DR3501"):
        asyncio.run(running.run_plan(parts, plan(), running.Consent(), []))
    assert [path.name for path in parts.runs.iterdir()] == [folder.run_id]


def test_a_done_run_gives_its_targets_back_and_starts_the_cool_down(tmp_path):
    parts = parts_of(tmp_path / "runs", tmp_path / "book", tmp_path / "ledger", 8.0)
    end, folder = asyncio.run(running.run_plan(parts, plan(), running.Consent(), []))
    assert end.result == "succeeded"
    seen = book(parts, plan())
    assert (seen.holders, [one.run for one in seen.recent]) == ((), [folder.run_id])
    with pytest.raises(RefusedError, match="DR3503"):
        asyncio.run(running.run_plan(parts, plan(), running.Consent(), []))
    meant = running.Consent(again=True, reason="the east is worse")
    end, again = asyncio.run(running.run_plan(parts, plan(), meant, []))
    first = again.read().records[0].event
    assert (first.again_reason, first.identities) == ("the east is worse", IDENTITIES)
    kinds = [record.event.type for record in again.read().records]
    assert kinds[:2] == ["run_started", "lease_held"]


def _kill_at(tmp_path, point, nth):
    where = [str(tmp_path / name) for name in ("runs", "book", "ledger")]
    done = subprocess.run(
        [sys.executable, WORKER, "run", *where, "8", "laptop", "kill", point, str(nth)],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    return where


@pytest.mark.parametrize(
    "point", ["lease.before_write", "lease.after_link", "lease.after_write", "lease.before_link"]
)
def test_who_dies_while_taking_it_leaves_a_run_that_can_be_resumed(tmp_path, point):
    """The entry would otherwise belong to a run that is nowhere, and be in everybody's way."""
    where = _kill_at(tmp_path, point, 1)
    done = subprocess.run(
        [sys.executable, WORKER, "resume", *where, "8", "laptop"],
        capture_output=True, check=False, timeout=60, text=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1])["result"] == "succeeded", done.stderr
    assert len((tmp_path / "ledger").read_text().splitlines()) == 6
