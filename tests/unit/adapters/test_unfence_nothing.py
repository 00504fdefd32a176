"""Taking back a fence that had only observed: nothing to put back, and nothing is sent."""

import asyncio
from datetime import timedelta

import pytest

from drctl.actions.contract import Context, Done
from drctl.actions.registry import installed
from drctl.actions.selection import refusal
from drctl.actions.targets import AwsConnection, RdsInstance
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import Deadline, SystemClock

HERE = AwsConnection(
    region="us-east-1",
    account="123456789012",
    access_key_id="env:NOWHERE",
    secret_access_key="env:NOWHERE",
    endpoints={"rds": "http://127.0.0.1:1"},
)
TARGET = RdsInstance(aws=HERE, instance="orders")


def test_nothing_is_sent_and_nobody_is_asked():
    """The region may be gone: any request would fail, and the permit refuses all of them."""
    action = installed().get("aws.rds.unfence")
    clock = SystemClock()
    soon = Deadline.after(clock, timedelta(seconds=5))
    context = Context(clock=clock, deadline=soon, secrets=LocalSecrets())
    params = action.params(security_groups=())
    assert refusal(action, TARGET, {"security_groups": []}) is None
    done = asyncio.run(action.perform(context, TARGET, params))
    assert done.security_groups == ()
    assert asyncio.run(action.settled(context, TARGET, params)) == Done(outputs=done)


@pytest.mark.parametrize("groups", ["", [""], ["  "], ["*"], "${{ x }}"])
def test_anything_else_that_is_empty_selects_nothing(groups):
    action = installed().get("aws.rds.unfence")
    assert refusal(action, TARGET, {"security_groups": groups})
