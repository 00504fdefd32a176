"""The chain shows every change, and where it is."""

import json
from datetime import UTC, datetime

import pytest
from engine_model import drive, plan_of, started, step

from drctl.actions.contract import Effect
from drctl.engine.events import TYPES
from drctl.journal.chain import GENESIS, decode, encode
from drctl.kernel.canonical import canonical, digest
from drctl.kernel.errors import JournalError

AT = {"wall": "2026-01-01T00:00:00.000000+00:00", "boot_s": 1.0, "boot_id": "b"}


def journal():
    plan = plan_of(step("a", effect=Effect.CHANGE), step("b", needs=("a",)), ends=("b",))
    records = drive(plan).records
    data, head = b"", GENESIS
    for record in records:
        line, head = encode(record, head)
        data += line
    return data, records


DATA, RECORDS = journal()


def where(data):
    with pytest.raises(JournalError) as caught:
        decode(data, name="events.jsonl")
    return int(str(caught.value.problems[0].at).rpartition(":")[2])


def test_what_was_written_is_read_back():
    chain = decode(DATA, name="x")
    assert tuple(RECORDS) == chain.records
    assert (0, len(DATA)) == (chain.torn_bytes, chain.size)


def test_an_empty_journal_is_one():
    assert ((), GENESIS) == ((chain := decode(b"", name="x")).records, chain.head)


def test_every_byte_that_is_changed_is_found_in_its_line():
    line = 1
    for index, byte in enumerate(DATA):
        flipped = bytearray(DATA)
        flipped[index] = byte ^ 1
        if byte == 0x0A and index == len(DATA) - 1:
            assert decode(bytes(flipped), name="x").torn_bytes  # no newline at the end: torn
        else:
            assert line == where(bytes(flipped)), index
        line += byte == 0x0A


def test_every_line_removed_doubled_or_swapped_is_found():
    lines = DATA.splitlines(keepends=True)
    for index in range(len(lines)):
        if index < len(lines) - 1:
            assert index + 1 == where(b"".join(lines[:index] + lines[index + 1 :]))
            swapped = [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]]
            assert index + 1 == where(b"".join(swapped))
        assert index + 2 == where(b"".join(lines[: index + 1] + lines[index:]))
        assert index + 1 == where(b"".join([*lines[:index], b"\n", *lines[index:]]))
    assert len(lines) + 1 == where(DATA + b"\n")
    assert where(b"\n") == 1


def test_every_torn_tail_is_dropped_and_counted():
    last = DATA.rindex(b"\n", 0, len(DATA) - 1) + 1
    for end in range(last + 1, len(DATA)):
        chain = decode(DATA[:end], name="x")
        assert (len(RECORDS) - 1, end - last, last) == (
            len(chain.records),
            chain.torn_bytes,
            chain.size,
        )


def test_a_line_that_was_written_anew_with_its_own_hash_breaks_the_next():
    lines = DATA.splitlines(keepends=True)
    for index in range(len(lines) - 1):
        body = json.loads(lines[index])
        del body["hash"]
        body["at"]["boot_s"] += 1
        forged = canonical({**body, "hash": digest(body)}) + b"\n"
        assert index + 2 == where(b"".join([*lines[:index], forged, *lines[index + 1 :]]))


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"null", b"{}", b"\xff\xfe", b'"x"', b"[]", b'{"hash":1}']
)
def test_what_is_no_line_of_a_journal_is_said_to_be_none(line):
    assert where(line + b"\n") == 1


def sealed(**body):
    full = {"seq": 1, "at": AT, "prev": GENESIS, **body}
    return canonical({**full, "hash": digest(full)}) + b"\n"


def test_a_line_is_read_in_its_canonical_form_only():
    body = json.loads(sealed(type="gate_expired", step="a"))
    assert where(json.dumps(body).encode() + b"\n") == 1


def test_a_field_of_a_newer_version_is_passed_over_and_an_unknown_event_is_not():
    chain = decode(sealed(type="gate_expired", step="a", later=True), name="x")
    assert chain.records[0].event.step == "a"
    assert where(sealed(type="something_new", step="a")) == 1


def test_each_event_carries_both_clocks_and_its_kind():
    for number, raw in enumerate(DATA.splitlines(), start=1):
        body = json.loads(raw)
        assert number == body["seq"]
        assert body["type"] in TYPES
        assert {"wall", "boot_s", "boot_id"} == set(body["at"])
        assert UTC == datetime.fromisoformat(body["at"]["wall"]).tzinfo


def test_the_first_event_says_who_what_and_since_when():
    body = json.loads(DATA.splitlines()[0])
    assert started(plan_of()).run_id == body["run_id"]
    assert {"plan_digest", "operator", "host", "version", "elapsed_before_s"} <= body.keys()
