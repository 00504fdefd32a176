"""What ``drctl lab break storage`` and ``arc`` take away, ``drctl lab heal`` gives back."""

import asyncio
import time

import pytest

from drctl.lab.arc import REGIONS
from drctl.lab.routing import RoutingControls
from drctl.lab.shapes import Site
from drctl.lab.storage import Storage


def status(edge, name, key):
    return edge.client("s3").head_object(Bucket=name, Key=key).get("ReplicationStatus")


async def test_storage_copies_nothing_until_it_is_healed(edge):
    part, (name, _copy) = Storage(edge.replication), edge.copied(delay_s=0.0)
    await part.strokes()["storage"]({})
    edge.client("s3").put_object(Bucket=name, Key="late", Body=b"x")
    await asyncio.sleep(0.5)
    assert status(edge, name, "late") == "PENDING"
    await part.heal()
    deadline = time.monotonic() + 10
    while status(edge, name, "late") != "COMPLETED":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_an_endpoint_of_the_routing_controls_goes_away_and_comes_back(edge):
    """On a lab's own addresses, which the bench's cluster has: it makes room first."""
    for region in REGIONS:
        edge.run(edge.arc.close(region))
    part = RoutingControls(Site(plan=edge.plan, root=None, secrets=None))
    try:
        await part.start()
        assert await listening(edge) == set(REGIONS)
        await part.strokes()["arc"]({"name": "eu-west-1"})
        assert await listening(edge) == set(REGIONS) - {"eu-west-1"}
        with pytest.raises(ValueError, match="no endpoint in 'mars'"):
            await part.strokes()["arc"]({"name": "mars"})
        await part.heal()
        assert await listening(edge) == set(REGIONS)
    finally:
        await part.stop()
        for region in REGIONS:
            edge.run(edge.arc.open(region))


async def listening(edge):
    """The regions whose endpoint takes connections."""
    found = set()
    for number, region in enumerate(REGIONS, start=1):
        try:
            _reader, writer = await asyncio.open_connection(*edge.plan.arc(number))
        except ConnectionRefusedError:
            continue
        writer.close()
        found.add(region)
    return found
