import json
from datetime import UTC, datetime, timedelta

from drctl.lab.verdict import judge, read_record, read_run

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
EAST = "healing-guard-prod.example"
WEST = "healing-guard-dr.example"


def wall(second):
    return (START + timedelta(seconds=second)).isoformat()


def acknowledged(name, second, database=EAST):
    return {
        "kind": "acknowledged",
        "id": name,
        "sent_at": wall(second - 0.01),
        "acked_at": wall(second),
        "acked_boot_s": 1000.0 + second,
        "served_by": "us-east-1" if database == EAST else "us-west-2",
        "database": database,
    }


def failed(second):
    return {"kind": "failed", "id": "f", "failed_boot_s": 1000.0 + second, "error": "TimeoutError"}


def record(*entries):
    lines = [{"kind": "started", "boot_id": "boot-1"}, *entries]
    return read_record("".join(json.dumps(line) + "\n" for line in lines))


def failed_over():
    return record(
        acknowledged("a", 1),
        acknowledged("b", 2),
        failed(5),
        acknowledged("c", 12.5, WEST),
        acknowledged("d", 13, WEST),
    )


def run_of(
    *, safe_until=1.5, loss_bound_s=2.0, rta_s=10.0, fenced_at=4.0, boot_id="boot-1", moves=True
):
    events = [
        {"type": "effect_intended", "step": "fence_old_primary", "effect": "fence"},
        {
            "type": "step_finished",
            "step": "fence_old_primary",
            "outcome": "succeeded",
            "at": {"wall": wall(fenced_at), "boot_s": 1000.0 + fenced_at, "boot_id": boot_id},
        },
        {
            "type": "run_finished",
            "rta_s": rta_s,
            "loss_bound_s": loss_bound_s,
            "safe_until": None if safe_until is None else wall(safe_until),
        },
    ]
    text = "".join(json.dumps(event) + "\n" for event in events)
    return read_run(text, run_id="run-1", moves=moves)


def test_the_outage_is_the_longest_gap_between_acknowledged_writes():
    client = judge(failed_over(), frozenset("abcd"), None)["client"]

    assert (client["outage_s"], client["outage_started_at"]) == (10.5, "2026-11-22T10:00:02Z")
    assert client["outage_ended_at"] == "2026-11-22T10:00:12.500000Z"
    assert (client["acknowledged"], client["failed"]) == (4, 1)


def test_an_outage_that_never_ended_has_a_start_and_no_length():
    client = judge(record(acknowledged("a", 1), acknowledged("b", 2), failed(9)), None, None)[
        "client"
    ]

    assert (
        client["outage_s"],
        client["outage_started_at"],
        client["outage_ended_at"],
    ) == (None, "2026-11-22T10:00:02Z", None)


def test_a_failure_at_the_very_end_does_not_hide_a_longer_outage_before_it():
    entries = [acknowledged("a", 1), acknowledged("b", 8, WEST), failed(9)]

    assert judge(record(*entries), None, None)["client"]["outage_s"] == 7


def test_a_record_without_an_acknowledged_write_measures_no_outage_and_no_wrong_side():
    client = judge(record(failed(1)), None, None)["client"]

    assert (
        client["outage_s"],
        client["lost_acknowledged"],
        client["wrong_side_writes"],
    ) == (None, None, None)


def test_acknowledged_writes_that_the_serving_database_lacks_are_lost():
    client = judge(failed_over(), frozenset("acd"), None)["client"]

    assert (client["lost_acknowledged"], client["lost_ids"]) == (1, ["b"])
    assert "2026-11-22T10:00:02Z" == client["lost_first_acked_at"] == client["lost_last_acked_at"]


def test_losses_are_not_measured_when_the_serving_database_cannot_be_asked():
    client = judge(failed_over(), None, None)["client"]

    assert client["lost_acknowledged"] is None


def test_the_serving_database_is_the_one_behind_the_last_acknowledged_write():
    assert failed_over().serving_database == WEST


def test_a_write_that_the_old_side_takes_after_the_new_one_began_is_on_the_wrong_side():
    split = record(
        acknowledged("a", 1),
        acknowledged("b", 2, WEST),
        acknowledged("c", 3),
        acknowledged("d", 4, WEST),
    )

    assert judge(split, None, None)["client"]["wrong_side_writes"] == 1


def test_a_write_that_the_old_side_takes_after_the_fence_is_on_the_wrong_side():
    late = record(acknowledged("a", 1), acknowledged("b", 5), acknowledged("c", 9, WEST))

    assert judge(late, None, run_of(fenced_at=4))["client"]["wrong_side_writes"] == 1
    assert judge(late, None, run_of(fenced_at=6))["client"]["wrong_side_writes"] == 0


def test_the_fence_is_compared_by_wall_clock_across_boots():
    late = record(acknowledged("a", 1), acknowledged("b", 5), acknowledged("c", 9, WEST))

    assert (
        judge(late, None, run_of(fenced_at=4, boot_id="other"))["client"]["wrong_side_writes"] == 1
    )


def test_without_a_switch_or_a_fence_no_side_is_the_wrong_one():
    steady = record(acknowledged("a", 1), acknowledged("b", 2))

    assert judge(steady, None, None)["client"]["wrong_side_writes"] is None


def test_the_recovery_time_of_drctl_is_compared_with_the_clients_outage():
    verdict = judge(failed_over(), frozenset("abcd"), run_of(rta_s=9.0))

    assert verdict["agree"] == {"rta_within_s": 1.5, "loss_within_bound": True}
    assert verdict["drctl"]["run_id"] == "run-1"


def test_a_lost_write_inside_the_bound_agrees_and_one_outside_of_it_does_not():
    lost_b = frozenset("acd")

    assert (
        judge(failed_over(), lost_b, run_of(safe_until=1.5))["agree"]["loss_within_bound"] is True
    )
    assert (
        judge(failed_over(), lost_b, run_of(safe_until=2.5))["agree"]["loss_within_bound"] is False
    )
    early = run_of(safe_until=1.5, loss_bound_s=0.1)
    assert judge(failed_over(), lost_b, early)["agree"]["loss_within_bound"] is False


def test_a_bound_that_drctl_does_not_know_agrees_with_nothing():
    unknown = run_of(loss_bound_s=None, safe_until=None)

    assert judge(failed_over(), frozenset("acd"), unknown)["agree"]["loss_within_bound"] is None


def test_nothing_is_compared_without_a_run():
    verdict = judge(failed_over(), frozenset("abcd"), None)

    assert verdict["agree"] == {"rta_within_s": None, "loss_within_bound": None}


def test_a_line_that_the_client_had_not_finished_is_left_out():
    text = json.dumps(acknowledged("a", 1)) + "\n" + json.dumps(acknowledged("b", 2))[:30]

    assert [write.id for write in read_record(text).acknowledged] == ["a"]


def test_a_fence_that_did_not_succeed_is_no_fence():
    events = [
        {"type": "effect_intended", "step": "f", "effect": "fence"},
        {"type": "step_finished", "step": "f", "outcome": "unknown", "at": {"wall": wall(1)}},
    ]

    assert read_run("".join(json.dumps(event) + "\n" for event in events)).fence is None


def test_a_fence_of_what_clients_do_not_use_makes_no_write_wrong():
    one_side = record(acknowledged("a", 1), acknowledged("b", 9))

    def wrong(run):
        return judge(one_side, None, run)["client"]["wrong_side_writes"]

    assert wrong(run_of()) == 1, "it was to be left, and took a write after its fence"
    assert wrong(run_of(moves=False)) is None
    assert wrong(run_of(fenced_at=0.5)) is None, "they began after it: nobody was on the old side"
