"""Clock, duration, text, canonical form, ids, retries: what every room leans on."""

import json
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drctl.kernel.canonical import as_json, canonical, digest, digest_of_members
from drctl.kernel.clock import Deadline, Instant, SystemClock, length_between
from drctl.kernel.duration import format_duration, parse_duration
from drctl.kernel.ids import new_run_id
from drctl.kernel.retry import retry_read
from drctl.kernel.text import did_you_mean, sanitize, sanitize_json
from drctl.simulated.clock import VirtualClock, run_virtual

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(wall_s, boot_s, boot="one"):
    return Instant(wall=NOON + timedelta(seconds=wall_s), boot_s=boot_s, boot_id=boot)


@pytest.mark.parametrize("jump_s", [-86400, -3600, -1, 0, 1, 3600, 86400, 315360000])
def test_a_length_is_boot_time_whatever_the_wall_clock_does(jump_s):
    length = length_between(at(0, 100), at(jump_s, 107))
    assert (7, True) == (length.seconds, length.is_certain)


@pytest.mark.parametrize(("wall_s", "seconds"), [(30, 30), (-30, 0), (0, 0)])
def test_across_boots_a_length_is_a_guess_that_says_so(wall_s, seconds):
    length = length_between(at(0, 9000), at(wall_s, 3, "two"))
    assert (seconds, False) == (length.seconds, length.is_certain)


def test_a_length_is_never_negative():
    assert length_between(at(0, 9), at(0, 8)).seconds == 0


def test_the_system_clock_reads_utc_and_one_boot():
    first, second = SystemClock().now(), SystemClock().now()
    assert first.boot_id == second.boot_id
    assert second.boot_s >= first.boot_s
    assert UTC == first.wall.tzinfo


def test_a_deadline_is_counted_in_boot_time():
    async def main():
        clock = VirtualClock()
        deadline = Deadline.after(clock, timedelta(seconds=10))
        await clock.sleep(4)
        assert (6, False) == (deadline.left_s(clock), deadline.has_passed(clock))
        assert deadline.at_most(clock, timedelta(seconds=2)).left_s(clock) == 2
        assert deadline.at_most(clock, timedelta(seconds=99)) == deadline
        await clock.sleep(60)
        await clock.sleep(-5)
        assert (0, True) == (deadline.left_s(clock), deadline.has_passed(clock))

    run_virtual(main())


def test_virtual_time_says_so_when_nothing_can_happen():
    import asyncio

    async def forever():
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="for ever"):
        run_virtual(forever())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("4m30s", 270), ("1h", 3600), ("1d1h", 90000), ("250ms", 0.25), ("1.5s", 1.5)],
)
def test_a_duration_is_read(text, seconds):
    assert timedelta(seconds=seconds) == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "90",
        "s",
        "30s4m",
        "4m 30s",
        "-5s",
        "4m4m",
        "1e3s",
        " 5s",
        "5s ",
        "5 s",
        "٣s",
        "9" * 400 + "s",
        "1y",
    ],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 10**7))
def test_a_duration_in_whole_seconds_is_read_as_it_was_written(seconds):
    assert parse_duration(format_duration(seconds)).total_seconds() == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (9.96, "10s"),
        (9.94, "9.9s"),
        (59.6, "1m0s"),
        (-90, "-1m30s"),
        (0.04, "40ms"),
        (3600, "1h"),
    ],
)
def test_a_duration_is_written(seconds, text):
    shown = format_duration(seconds)
    assert shown.replace("1m0s", "1m") == text.replace("1m0s", "1m")


PAYLOADS = [
    "\x1b[2J\x1b[31m",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;http://evil\x1b\\x\x1b]8;;\x1b\\",
    "\x9b31m",
    "\x90q\x9c",
    "ok\r\x1b[Aforged",
    "line\n2026-01-01 run succeeded",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "a\u200bb\u200d\ufeff",
    "\u2028\u2029",
    "\x00\x07\x08\x7f",
    "\ud800",
    "\U000e0041",
    "\ue000",
    "tab\there",
]
UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_no_payload_is_active_after_it_was_made_inert(payload):
    shown = sanitize(payload)
    assert not [c for c in shown if unicodedata.category(c) in UNSAFE]
    shown.encode()


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_json_is_inert_and_still_the_same_document(payload):
    text = sanitize_json(json.dumps({"a": payload}, indent=2, ensure_ascii=False))
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in UNSAFE]
    assert payload == json.loads(text)["a"]


@given(st.text())
def test_plain_text_is_left_alone_and_all_other_is_inert(text):
    shown = sanitize(text, keep_lines=True)
    assert not [c for c in shown if c not in "\n\t" and unicodedata.category(c) in UNSAFE]
    if not any(unicodedata.category(c) in UNSAFE for c in text):
        assert text == shown


def test_what_is_long_is_cut_and_said_so():
    assert sanitize("x" * 30, limit=10) == "x" * 10 + "… (20 more characters)"


def test_a_near_word_is_offered_and_a_far_one_is_not():
    assert did_you_mean("promte", ["promote", "fence"]) == '; did you mean "promote"?'
    assert did_you_mean("zzz", ["promote"]) == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_whatever_came_in_can_be_written_down(value):
    written = canonical(as_json(value))
    assert json.loads(written) == as_json(value)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers()))
def test_one_value_has_one_form(value):
    turned = dict(reversed(value.items()))
    assert canonical(value) == canonical(turned)
    assert digest(value) == digest(turned)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values.map(as_json)))
def test_an_object_has_the_digest_of_its_members(value):
    members = {name: canonical(one) for name, one in value.items()}
    assert digest(value) == digest_of_members(members)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_form_is_made_of_what_is_no_number(value):
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": value})


def test_run_ids_sort_by_time_and_can_be_read_out_loud():
    first, later = new_run_id(NOON), new_run_id(NOON + timedelta(seconds=1))
    assert first < later
    assert re.fullmatch(r"20260101T120000-[2-9a-z]{4}", first)
    assert not set("01ilo") & set(first[-4:])


def test_a_read_is_tried_until_it_answers_or_the_deadline_passes():
    async def main():
        clock, calls = VirtualClock(), []

        async def read():
            calls.append(clock.now().boot_s)
            if len(calls) < 4:
                raise TimeoutError
            return "yes"

        deadline = Deadline.after(clock, timedelta(seconds=60))
        assert await retry_read(read, on=(TimeoutError,), clock=clock, deadline=deadline) == "yes"

        async def never():
            raise TimeoutError("no")

        with pytest.raises(TimeoutError):
            await retry_read(never, on=(TimeoutError,), clock=clock, deadline=deadline)
        assert clock.now().boot_s <= 60.001

        async def wrong():
            raise KeyError("no")

        deadline = Deadline.after(clock, timedelta(seconds=60))
        with pytest.raises(KeyError):
            await retry_read(wrong, on=(TimeoutError,), clock=clock, deadline=deadline)

    run_virtual(main())
