"""The loss bound, cell by cell."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drctl.adapters import _witness
from drctl.adapters._witness import Missing, Sighting, Standby

NOW = datetime(2026, 11, 22, 10, 4, tzinfo=UTC)
SYSTEM = "7301234567890123456"


def text(instant):
    return instant.isoformat().replace("+00:00", "Z")


def document(**fields):
    return {
        "version": 1,
        "system_identifier": SYSTEM,
        "timeline": 1,
        "lsn": "0/3000148",
        "seq": 12,
        "last_ok_at": text(NOW - timedelta(seconds=2)),
        "checked_at": text(NOW - timedelta(seconds=1)),
        "refused_since": None,
        "last_error": None,
    } | fields


def sighting(**fields) -> Sighting:
    return _witness.parse(json.dumps(document(**fields)).encode())


def standby(lag_s: float = 0.0, **fields) -> Standby:
    return replace(
        Standby(
            system_identifier=SYSTEM,
            is_in_recovery=True,
            replay_lsn="0/3000000",
            heartbeat_at=NOW - timedelta(seconds=lag_s),
        ),
        **fields,
    )


LAGS_S = (0, 299, 300, 301, 3600)


def cells():
    """Every lag against every state of the evidence, and what the bound must be."""
    for lag_s in LAGS_S:
        yield lag_s, "fresh", sighting(), standby(lag_s), timedelta(seconds=lag_s)
        stale_at = NOW - timedelta(seconds=61)
        stale = sighting(checked_at=text(stale_at), last_ok_at=text(stale_at))
        yield lag_s, "61 s old", stale, standby(lag_s), None
        yield lag_s, "missing", Missing("there is none"), standby(lag_s), None
        yield lag_s, "negative", sighting(), standby(-(lag_s + 2)), None
        yield lag_s, "garbage", Missing("malformed"), standby(lag_s), None
        yield lag_s, "standby unreachable", sighting(), Missing("no answer"), None


@pytest.mark.parametrize(
    ("lag_s", "evidence", "seen", "reading", "expected"),
    [pytest.param(*cell, id=f"{cell[1]}-{cell[0]}s") for cell in cells()],
)
def test_the_bound_is_the_lag_when_the_evidence_is_fresh_and_unknown_otherwise(
    lag_s, evidence, seen, reading, expected
):
    result = _witness.bound(seen, reading, NOW)

    assert expected == result.bound
    assert ("unknown" in result.source) == (expected is None)
    assert (result.safe_until is None) == (expected is None)


def test_another_system_makes_the_bound_unknown():
    result = _witness.bound(sighting(), standby(system_identifier="7309999999999999999"), NOW)

    assert result.bound is None
    assert result.lag_bytes is None, "positions of two systems cannot be compared"


def test_a_primary_in_the_standbys_place_makes_the_bound_unknown():
    """A fresh heartbeat on the primary itself would look like no loss at all."""
    assert _witness.bound(sighting(), standby(is_in_recovery=False), NOW).bound is None


def test_a_standby_without_a_heartbeat_makes_the_bound_unknown():
    assert _witness.bound(sighting(), standby(heartbeat_at=None), NOW).bound is None


def test_the_bound_ends_where_definite_refusals_began():
    """After that instant nobody got a write acknowledged, however long people think."""
    refused = NOW - timedelta(seconds=40)
    seen = sighting(
        refused_since=text(refused),
        last_ok_at=text(refused - timedelta(seconds=1)),
        last_error="refused",
    )

    result = _witness.bound(seen, standby(45), NOW)

    assert timedelta(seconds=5) == result.bound
    assert refused - timedelta(seconds=1) == result.primary_last_seen


def test_a_time_out_does_not_stop_the_bound_from_growing():
    seen = sighting(last_error="timeout", last_ok_at=text(NOW - timedelta(seconds=40)))

    assert timedelta(seconds=45) == _witness.bound(seen, standby(45), NOW).bound


@pytest.mark.parametrize(("ahead_s", "expected"), [(0.5, timedelta(0)), (1.0, timedelta(0))])
def test_a_heartbeat_up_to_one_second_ahead_is_no_loss(ahead_s, expected):
    assert expected == _witness.bound(sighting(), standby(-ahead_s), NOW).bound


def test_a_witness_whose_clock_is_ahead_of_ours_makes_the_bound_unknown():
    """Our now would then end before writes that were acknowledged: the bound would be too small."""
    seen = sighting(checked_at=text(NOW + timedelta(seconds=10)))

    assert _witness.bound(seen, standby(100), NOW).bound is None


def test_a_sighting_of_exactly_sixty_seconds_still_counts():
    at = text(NOW - timedelta(seconds=60))

    assert _witness.bound(sighting(checked_at=at, last_ok_at=at), standby(5), NOW).bound is not None


def test_bytes_are_the_witnesss_position_minus_the_standbys_and_never_negative():
    assert _witness.bound(sighting(), standby(), NOW).lag_bytes == 0x148
    ahead = standby(replay_lsn="1/0")
    assert _witness.bound(sighting(), ahead, NOW).lag_bytes == 0


def test_a_witness_that_never_saw_the_primary_makes_the_bound_unknown():
    nothing = dict.fromkeys(["system_identifier", "timeline", "lsn", "seq", "last_ok_at"])

    result = _witness.bound(sighting(**nothing, last_error="timeout"), standby(), NOW)

    assert result.bound is None
    assert "never" in result.source


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        json.dumps(document(seq=float("nan"))).encode(),
        json.dumps(document(seq="12")).encode(),
        json.dumps(document(seq=-1)).encode(),
        json.dumps(document(version=2)).encode(),
        json.dumps(document(version=True)).encode(),
        json.dumps(document(lsn="0-1")).encode(),
        json.dumps(document(lsn=None)).encode(),
        json.dumps(document(system_identifier=7)).encode(),
        json.dumps(document(checked_at=1700000000)).encode(),
        json.dumps(document(checked_at="1700000000")).encode(),
        json.dumps(document(checked_at="2026-11-22T10:04:00")).encode(),
        json.dumps(document(checked_at="2026-11-22T10:04:00+02:00")).encode(),
        json.dumps(document(checked_at="2026-13-22T10:04:00Z")).encode(),
        json.dumps(document(refused_since=text(NOW + timedelta(hours=1)))).encode(),
        json.dumps(document(extra=1)).encode(),
        json.dumps({key: value for key, value in document().items() if key != "seq"}).encode(),
    ],
)
def test_a_document_that_is_not_exactly_right_is_refused(garbage):
    with pytest.raises(ValueError, match=r".") as caught:
        _witness.parse(garbage)

    assert type(caught.value) is not RecursionError


@pytest.mark.parametrize(("lsn", "expected"), [("0/0", 0), ("0/10", 16), ("1/0", 1 << 32)])
def test_positions_are_read_as_bytes(lsn, expected):
    assert expected == _witness.lsn_to_int(lsn)
