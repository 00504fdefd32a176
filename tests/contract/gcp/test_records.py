"""A record is replaced whole, by whoever saw it last, and then served."""

import pytest

from drctl.actions.contract import Change, Done, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, Rejected
from drctl.adapters.gcp.record_check import CheckParams, CheckRecord
from drctl.adapters.gcp.record_set import SetParams, SetRecord

SET, CHECK = SetRecord(), CheckRecord()
ZONE, NAME = "healing-guard", "app.healing.test."
EAST, WEST = "127.93.0.10", "127.94.0.10"
TO_WEST = SetParams(ttl=5, values=(WEST,))
RESOLVER = "127.92.0.53:5353"


@pytest.fixture
def record(project):
    project.cloud.dns.put(ZONE, NAME, "A", 5, EAST)
    return project.record()


def now(project, type_="A"):
    return project.cloud.dns.zones[ZONE].records[NAME, type_]["rrdatas"]


async def test_customers_are_sent_elsewhere(project, record):
    seen = await SET.observe(project.context(), record, TO_WEST)
    preview = SET.preview(seen, record, TO_WEST)
    assert preview == Change(before=f"A {EAST} for 5 s", after=f"A {WEST} for 5 s")
    done = await SET.perform(project.context(seen=seen.facts), record, TO_WEST)
    assert done.answers == {RESOLVER: (WEST,)}, "it is served when the change is done"
    checked = await CHECK.perform(project.context(), record, CheckParams())
    assert (checked.agree, checked.ttl, checked.values) == (True, 5, (WEST,))
    again = await SET.perform(project.context(), record, TO_WEST)
    assert again.change_id == ""
    assert project.sent("POST", "/changes") == 1
    assert isinstance(
        SET.preview(await SET.observe(project.context(), record, TO_WEST), record, TO_WEST), Nothing
    )
    assert isinstance(await SET.settled(project.context(), record, TO_WEST), Done)


async def test_a_record_that_is_not_there_is_made(project):
    record = project.record()
    seen = await SET.observe(project.context(), record, TO_WEST)
    assert SET.preview(seen, record, TO_WEST).creates
    assert isinstance(await SET.settled(project.context(), record, TO_WEST), NotDone)
    with pytest.raises(NotFound):
        await CHECK.perform(project.context(), record, CheckParams())
    await SET.perform(project.context(seen=seen.facts), record, TO_WEST)
    assert now(project) == [WEST]


async def test_an_older_plan_does_not_overwrite_a_newer_one(project, record):
    seen = await SET.observe(project.context(), record, TO_WEST)
    project.cloud.dns.put(ZONE, NAME, "A", 5, "127.93.0.99")
    with pytest.raises(Conflict, match="when the plan was made"):
        await SET.perform(project.context(seen=seen.facts), record, TO_WEST)
    assert now(project) == ["127.93.0.99"]
    assert project.sent("POST", "/changes") == 0


async def test_a_change_between_the_look_and_the_write_is_found_by_google(project, record):
    def meanwhile():
        project.cloud.dns.put(ZONE, NAME, "A", 7, "127.93.0.99")

    with pytest.raises(Conflict, match="conditionNotMet"):
        await SET.perform(project.context(permit=meanwhile), record, TO_WEST)
    assert now(project) == ["127.93.0.99"]


async def test_a_cname_beside_an_address_is_refused(project, record):
    wanted = SetParams(type="CNAME", ttl=5, values=("west.healing.test.",))
    with pytest.raises(Rejected, match="conflict"):
        await SET.perform(project.context(), record, wanted)
    assert now(project) == [EAST]


async def test_a_name_outside_of_the_zone_is_refused(project):
    record = project.record(record_name="app.another.test")
    with pytest.raises(Rejected):
        await SET.perform(project.context(), record, TO_WEST)


async def test_resolvers_that_still_have_the_old_answer_do_not_agree(project, record):
    project.cloud.dns.zones[ZONE].records[NAME, "A"] |= {"rrdatas": [WEST]}
    project.cloud.dns.zones[ZONE].served[NAME, "A"] = {
        "name": NAME,
        "type": "A",
        "ttl": 5,
        "rrdatas": [EAST],
    }
    checked = await CHECK.perform(project.context(), record, CheckParams())
    assert not checked.agree
    assert checked.answers == {RESOLVER: (EAST,)}
