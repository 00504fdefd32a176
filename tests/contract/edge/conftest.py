"""One edge for all tests of this package, and contexts to act in."""

from datetime import timedelta

import pytest

from drctl.actions.contract import Context
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret

from .edge_bench import Edge

NET = 60


class Keys:
    """The reference's place is the value."""

    def resolve(self, ref):
        return Secret(ref.place)


@pytest.fixture(scope="package")
def edge():
    running = Edge(NET)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def context(edge):
    """Makes contexts that may change things."""
    clock = SystemClock()

    def make(seconds=20.0, *, key="run-1.step.1"):
        return Context(
            clock=clock,
            deadline=Deadline.after(clock, timedelta(seconds=seconds)),
            secrets=Keys(),
            resolvers=(edge.resolver,),
            key=key,
            permit=lambda: None,
        )

    return make
