"""A run that has ended lets go of its keeper, whatever Python does with the cancellation."""

import asyncio

import pytest

from drctl.app.leasing import _ended


@pytest.mark.timeout(20)
async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same():
    async def keeps_on():
        for _ in range(2):  # as asyncio.wait_for of 3.11, when its result comes in the same turn
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(3600)

    task = asyncio.ensure_future(keeps_on())
    await asyncio.sleep(0)
    await _ended(task)
    assert task.cancelled()


async def test_what_a_keeper_failed_with_is_not_lost():
    async def fails():
        raise RuntimeError("a bug")

    task = asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="a bug"):
        await _ended(task)
