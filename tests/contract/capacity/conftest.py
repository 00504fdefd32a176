"""One strict control plane for all tests of this package, and contexts to act in."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from drctl.actions.contract import Context
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret

sys.path[:0] = [str(Path(__file__).parents[1])]  # where the package `edge` is

from edge.edge_bench import Edge  # noqa: E402

NET = 16


class Keys:
    """The reference's place is the value."""

    def resolve(self, ref):
        return Secret(ref.place)


@pytest.fixture(scope="package")
def edge():
    running = Edge(NET, with_balancers=False)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def context():
    """Makes contexts that may change things, and counts how often they were asked."""
    clock = SystemClock()

    def make(seconds=20.0, *, key="run-1.step.1"):
        make.permits = 0

        def permit():
            make.permits += 1

        return Context(
            clock=clock,
            deadline=Deadline.after(clock, timedelta(seconds=seconds)),
            secrets=Keys(),
            key=key,
            permit=permit,
        )

    return make
