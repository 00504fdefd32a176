"""Every store keeps the contract of a cell, and gives one of several runs its lease."""

import asyncio
import itertools
import threading

import pytest
from arena import book_of, claim, context, lease, outcome, tally
from results import is_full
from stores import BUCKET, KINDS

from drctl.actions.errors import ActionError, Conflict

RACES = 200 if is_full() else 7
ROUNDS = 200 if is_full() else 8
_places = (f"place-{number}" for number in itertools.count())


@pytest.fixture(scope="module", params=KINDS)
def store(request, tmp_path_factory):
    made = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    yield made
    made.stop()


async def test_a_cell_is_empty_then_is_what_was_written(store):
    place = next(_places)
    one, other = store.cell(place), store.cell(place)
    empty = await one.read(context())
    assert (empty.data, empty.version) == (None, None)
    first = await one.write(context(), b'{"a": 1}', None)
    seen = await other.read(context())
    assert (seen.data, seen.version) == (b'{"a": 1}', first)
    second = await other.write(context(), b'{"a": 2}', first)
    assert second != first
    assert (await one.read(context())).data == b'{"a": 2}'


async def test_who_has_not_seen_the_last_version_writes_nothing(store):
    cell = store.cell(next(_places))
    first = await cell.write(context(), b"1", None)
    second = await cell.write(context(), b"2", first)
    for expected in (None, first):
        with pytest.raises(Conflict):
            await cell.write(context(), b"3", expected)
    seen = await cell.read(context())
    assert (seen.data, seen.version) == (b"2", second)


async def test_of_writes_at_the_same_moment_one_gets_in(store):
    """The first one, and one over a version: each ROUNDS times by six at once."""
    for _ in range(ROUNDS):
        place, version = next(_places), None
        cells = [store.cell(place) for _ in range(6)]
        for number in range(2):
            writes = [
                cell.write(context(), b"%d by %d" % (number, who), version)
                for who, cell in enumerate(cells)
            ]
            ends = await asyncio.gather(*writes, return_exceptions=True)
            won = [end for end in ends if isinstance(end, str)]
            assert len(won) == 1, ends
            assert all(isinstance(end, str | Conflict) for end in ends), ends
            version = won[0]


@pytest.mark.parametrize("store", ["s3", "kubernetes", "postgres"], indirect=True)
async def test_a_place_that_is_not_there_is_an_error_and_no_empty_cell(store):
    if store.name == "s3":
        from drctl.adapters.aws.s3_cell import S3Settings, S3Store

        settings = store.settings("x") | {"bucket": "nobodys"}
        cell = S3Store().open(S3Settings.model_validate(settings))
        with pytest.raises(ActionError):
            await cell.read(context())
        return
    cell = store.cell("place")
    if store.name == "kubernetes":
        cell._all = cell._all.replace("/ops/", "/nobodys/")
        cell._one = cell._one.replace("/ops/", "/nobodys/")
        with pytest.raises(ActionError):
            await cell.write(context(), b"1", None)
        return
    cell._at = cell._at.model_copy(
        update={"sql": cell._at.sql.model_copy(update={"database": "nobodys"})}
    )
    with pytest.raises(ActionError):
        await cell.read(context())


async def test_of_several_runs_one_has_the_lease(store):
    """2 to 8 contenders, over what they have in common."""
    bad = []
    for race in range(RACES):
        place, contenders = next(_places), 2 + race % 7
        leases = [
            lease(store.cell(place), claim(f"run-{n}", ("thing:1", f"own:{n}")))
            for n in range(contenders)
        ]
        codes = await asyncio.gather(*(outcome(one) for one in leases))
        winners = [f"run-{n}" for n, one in enumerate(leases) if one.refusal() is None]
        holders = [holder.run for holder in (await book_of(store.cell(place))).holders]
        if codes.count("won") != 1 or winners != holders or set(codes) != {"won", "DR3501"}:
            bad.append((race, codes))
    tally("I9", RACES, len(bad))
    assert not bad, bad[:5]


async def test_runs_on_different_things_all_have_their_lease(store):
    place = next(_places)
    leases = [lease(store.cell(place), claim(f"run-{n}", (f"thing:{n}",))) for n in range(6)]
    assert await asyncio.gather(*(outcome(one) for one in leases)) == ["won"] * 6
    assert len((await book_of(store.cell(place))).holders) == 6


def _codes(client, **asked):
    try:
        client.put_object(Bucket=BUCKET, **asked)
    except client.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return 200, ""


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_the_lab_answers_conditional_writes_as_s3_does(store):
    client = store.client
    key = next(_places)
    assert _codes(client, Key=key, Body=b"1", IfMatch='"abc"') == (404, "NoSuchKey")
    assert _codes(client, Key=key, Body=b"1", IfNoneMatch="*") == (200, "")
    assert _codes(client, Key=key, Body=b"1", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert _codes(client, Key=key, Body=b"2", IfMatch='"abc"') == (412, "PreconditionFailed")
    tag = client.head_object(Bucket=BUCKET, Key=key)["ETag"]
    assert _codes(client, Key=key, Body=b"2", IfMatch=tag) == (200, "")
    assert _codes(client, Key=key, Body=b"3", IfMatch=tag) == (412, "PreconditionFailed")
    assert _codes(client, Key=key, Body=b"3", IfNoneMatch=tag) == (501, "NotImplemented")


def test_a_deletion_under_way_makes_a_conditional_write_a_conflict():
    from drctl.lab.aws.s3_conditions import atomic_conditions

    inside, go = threading.Event(), threading.Event()

    def slow(environ, start_response):
        if environ["REQUEST_METHOD"] == "DELETE":
            inside.set()
            go.wait(5)
        start_response("200 OK", [])
        return [b""]

    app, said = atomic_conditions(slow), []

    def ask(method, **headers):
        claim_ = "AWS4-HMAC-SHA256 Credential=A/20260101/us-west-2/s3/aws4_request"
        environ = {"REQUEST_METHOD": method, "PATH_INFO": "/b/k", "HTTP_AUTHORIZATION": claim_}
        app(environ | headers, lambda status, _headers: said.append((method, status[:3])))

    deleting = threading.Thread(target=ask, args=("DELETE",))
    deleting.start()
    inside.wait(5)
    writing = threading.Thread(target=ask, args=("PUT",), kwargs={"HTTP_IF_MATCH": '"1"'})
    writing.start()
    writing.join(0.2)
    go.set()
    deleting.join()
    writing.join()
    assert said == [("DELETE", "200"), ("PUT", "409")]
