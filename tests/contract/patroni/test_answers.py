"""What Patroni's answers are taken for, each over real HTTP; as its source writes them."""

import asyncio
import base64
import contextlib
import json

import pytest

from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import PatroniCluster
from drctl.adapters._candidate import Seen
from drctl.adapters.patroni import group, judge, rest
from drctl.adapters.patroni.judge import Terms

from .cluster import PASSWORD
from .conftest import NET, context

HOST = f"127.{NET}.9.7"
REQUEST = ("POST", "/failover")
MIB = 1048576


@contextlib.asynccontextmanager
async def saying(status, text="", said=None):
    """A member that says one thing to everything."""

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if said is not None:
            said.append(head)
        body = text.encode()
        start = f"HTTP/1.0 {status} x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(start.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield aim(f"http://{HOST}:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()


def aim(url="http://127.0.0.9:1", other="http://127.0.0.9:1"):
    return PatroniCluster.model_validate(
        {
            "region": "us-east-1",
            "scope": "shop",
            "members": [
                {"name": "one", "url": url, "host": "127.0.0.9"},
                {"name": "two", "url": other, "host": "127.0.0.8"},
            ],
            "sql": {"user": "drctl", "password": "env:ANY"},
            "auth": {"user": "drctl", "password": "env:ANY"},
            "system_identifier": "7",
        }
    )


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (412, "candidate name does not match with sync_standby", Conflict),
        (503, "Failover failed", Conflict),
        (503, "Failover status unknown", OutcomeUnknown),
        (503, "failed to write failover key into DCS", OutcomeUnknown),
        (500, "", OutcomeUnknown),
        (502, "", OutcomeUnknown),
        (409, "", Conflict),
        (400, "Failover could be performed only to a specific candidate", Rejected),
        (401, "no auth header received", AuthRejected),
        (403, "Access is denied", AuthRejected),
        (404, "", NotFound),
        (429, "", Throttled),
        (302, "", Rejected),
    ],
)
async def test_a_refusal_and_a_doubt_are_told_apart(status, text, error):
    async with saying(status, text) as target:
        member = target.members[0]
        with pytest.raises(error) as caught:
            await rest.change(context(), target, member, REQUEST, {}, spare_s=1)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("status", "text"), [(200, 'Successfully failed over to "two"'), (202, "Switchover scheduled")]
)
async def test_what_patroni_took_is_no_error_and_its_words_are_no_proof(status, text):
    said = []
    async with saying(status, text, said) as target:
        member = target.members[0]
        answer = await rest.change(context(), target, member, REQUEST, {}, spare_s=1)
    assert answer == text
    pair = base64.b64encode(f"drctl:{PASSWORD}".encode())
    assert b"authorization: Basic " + pair in said[0]


async def test_a_password_that_an_answer_repeats_is_in_no_message():
    async with saying(412, f"you said {PASSWORD}") as target:
        with pytest.raises(Conflict) as caught:
            await rest.change(context(), target, target.members[0], REQUEST, {}, spare_s=1)
    assert PASSWORD not in str(caught.value)


async def test_a_look_may_not_change_anything():
    said = []
    async with saying(200, "", said) as target:
        with pytest.raises(Exception, match="only `perform`"):
            await rest.change(
                context(permits=False), target, target.members[0], REQUEST, {}, spare_s=1
            )
    assert said == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"scope": "shop"}', "[" * 5000])
async def test_a_member_that_talks_nonsense_is_silent(text):
    async with saying(200, text) as target:
        with pytest.raises((Unavailable, Conflict)):
            await group.look(context(), target)


def cluster(*members, **more):
    return json.dumps({"scope": "shop", "members": list(members)} | more)


async def test_members_that_do_not_agree_name_nobody():
    one = {"name": "one", "role": "leader", "state": "running"}
    two = {"name": "two", "role": "leader", "state": "running"}
    async with saying(200, cluster(one)) as first, saying(200, cluster(two)) as second:
        target = aim(first.members[0].url, second.members[0].url)
        view = await group.look(context(), target)
    assert view.leader is None
    assert "do not agree" in str(view)


VIEW_OF = {"state": "streaming", "timeline": 3}


def against(*rows, view=None, **terms):
    known = {one["name"]: group._row(VIEW_OF | one) for one in rows}
    said = view or group.View(
        leader="", rows=known, is_paused=False, is_scheduled=False, heard=("two",), silent={}
    )
    base = {"candidate": "two", "leader": "one", "from_timeline": 3, "max_lag_bytes": MIB}
    wanted = Terms(**{**base, "is_alive": False, **terms})
    seen = Seen(
        system_identifier="7", is_in_recovery=True, timeline=3, receive_lsn="0/5000000",
        replay_lsn="0/5000000", is_paused=False, apply_delay="0", is_receiving=True, upstream=None,
    )  # fmt: skip
    return list(judge._by_store(aim(), said, wanted)), judge._lag(said, seen, wanted, None)


def test_what_the_store_has_against_a_candidate():
    two = {"name": "two", "role": "replica", "lsn": "0/5000000", "lag": 0}
    assert against(two) == ([], 0)
    assert against({**two, "lag": "unknown", "lsn": "unknown"}) == ([], None)
    # Another member shows where the leader was: 2 MiB past what the candidate has.
    behind = {"name": "one", "role": "replica", "lsn": "0/4000000", "lag": 0x1200000}
    assert against(two, behind) == ([], 0x200000)
    assert against({"name": "two", "role": "replica", "lag": 5}) == ([], 5)  # as Patroni 3
    assert "does not know it" in against()[0][0]
    assert "tags forbid" in against({**two, "tags": {"nofailover": True}})[0][0]
    assert "tags forbid" in against({**two, "tags": {"failover_priority": 0}})[0][0]
    led = group.View(
        leader="one", rows={}, is_paused=False, is_scheduled=False, heard=("two",), silent={}
    )
    assert "lock is not free" in against(two, view=led)[0][0]
    assert "lock is not free" not in against(two, view=led, is_alive=True)[0][0]
    synchronous = {"name": "one", "role": "sync_standby", "lsn": "0/5000000", "lag": 0}
    assert "not synchronous" in against(two, synchronous)[0][0]
    stranger = {"name": "three", "role": "replica", "lsn": "0/5000000", "lag": 0}
    assert "does not know three" in against(two, stranger)[0][0]
    assert against(two, stranger, accepts_silence=True)[0] == []
