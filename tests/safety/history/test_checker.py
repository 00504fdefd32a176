"""
The checker finds nothing wrong with a good run, and names what is wrong with a spoiled one.

The good one is the shipped runbook in a quiet simulated night; each spoiled one differs from it in
one thing that breaks one promise.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sim_night import live, stage_of
from sim_story import Said, Story

from drctl.lab.history import CHECKS, History, check

OLD = "orders (us-east-1)"


def good_history() -> History:
    said = (Said(at_s=20.0, word="approve", step="go", by="alice"),)
    came = live(Story(seed=0, made=None, said=said))
    assert (came.result, came.violations) == ("succeeded", [])
    stage = stage_of(None)
    fence_s = next(
        event["at"]["boot_s"]
        for line in came.journal.splitlines()
        if (event := json.loads(line))["type"] == "step_finished"
        and event["step"] == "fence_old_primary"
    )
    return History(
        journal=[json.loads(line) for line in came.journal.splitlines()],
        plan=stage.as_data,
        ledger=came.ledger.lines(),
        repeats=stage.repeats,
        is_complete=True,
        old_primary=OLD,
        acknowledged=[
            {"id": "a", "node": OLD, "acked_boot_s": fence_s - 15.0, "survived": True},
            {"id": "b", "node": OLD, "acked_boot_s": fence_s - 14.0, "survived": False},
            {"id": "c", "node": OLD, "acked_boot_s": fence_s - 12.5, "survived": False},
            {"id": "d", "node": "new", "acked_boot_s": fence_s + 300.0, "survived": True},
        ],
        probes=[{"node": OLD, "boot_s": 5.0, "wrote": True},
                {"node": "new", "boot_s": 9999.0, "wrote": True}],
    )  # fmt: skip


GOOD = good_history()


class Spoiler:
    """A copy of the good run that may be changed."""

    def __init__(self) -> None:
        self.journal: list[dict[str, Any]] = copy.deepcopy(list(GOOD.journal))
        self.ledger: list[dict[str, Any]] = copy.deepcopy(list(GOOD.ledger))
        self.plan: dict[str, Any] = copy.deepcopy(dict(GOOD.plan))
        self.more: dict[str, Any] = {}

    def at(self, kind: str, step: str | None = None) -> int:
        return next(
            number
            for number, event in enumerate(self.journal)
            if event["type"] == kind and step in (None, event.get("step"))
        )

    def event(self, kind: str, step: str | None = None) -> dict[str, Any]:
        return self.journal[self.at(kind, step)]

    def insert(self, place: int, kind: str, **more: Any) -> None:
        at = self.journal[max(0, place - 1)]["at"]
        self.journal.insert(place, {"type": kind, "at": dict(at), **more})

    def made(self) -> History:
        for number, event in enumerate(self.journal, start=1):
            event["seq"] = number
        for entry in self.ledger:
            entry.pop("after_seq", None)  # the numbers may have moved; clocks have not
        return replace(GOOD, journal=self.journal, ledger=self.ledger, plan=self.plan, **self.more)


def _one(s: Spoiler, operation: str) -> dict[str, Any]:
    return next(entry for entry in s.ledger if entry["operation"] == operation)


def fence_failed(s: Spoiler) -> None:
    s.event("step_finished", "fence_old_primary")["outcome"] = "failed"
    s.event("step_finished", "fence_old_primary")["error"] = "rejected"


def fence_never_took_effect(s: Spoiler) -> None:
    s.ledger.remove(_one(s, "aws.rds.fence"))


def fence_was_undone(s: Spoiler) -> None:
    place = s.at("step_started", "promote")
    s.insert(place, "undo_finished", step="fence_old_primary", outcome="succeeded", attempt=1)


def old_primary_took_a_write(s: Spoiler) -> None:
    at_s = s.event("step_finished", "fence_old_primary")["at"]["boot_s"] + 1.0
    late = {"id": "x", "node": OLD, "acked_boot_s": at_s, "survived": True}
    s.more["acknowledged"] = [*GOOD.acknowledged, late]


def a_probe_wrote_to_the_old_primary(s: Spoiler) -> None:
    s.more["probes"] = [*GOOD.probes, {"node": OLD, "boot_s": 9000.0, "wrote": True}]


def loss_too_large(s: Spoiler) -> None:
    for event in s.journal:
        if event["type"] == "step_finished" and "bound" in event["outputs"]:
            event["outputs"]["bound"] = 900.0
    s.journal[-1]["loss_bound_s"] = 900.0


def loss_unknown(s: Spoiler) -> None:
    for event in s.journal:
        if event["type"] == "step_finished" and "bound" in event["outputs"]:
            event["outputs"]["bound"] = None
    s.journal[-1]["loss_bound_s"] = None


def more_was_lost_than_said(s: Spoiler) -> None:
    s.more["acknowledged"] = [
        one | ({"acked_boot_s": one["acked_boot_s"] - 9.0} if one["id"] == "b" else {})
        for one in GOOD.acknowledged
    ]


def _pin(s: Spoiler) -> None:
    s.plan["pins"] = [{"name": "aws.account", "subject": "us-west-2", "expected": "1",
                       "targets": [s.event("effect_intended", "promote") and "db.recovery"],
                       "found": "1"}]  # fmt: skip
    call = next(step for step in s.plan["steps"] if step["id"] == "promote")["call"]
    s.plan["pins"][0]["targets"] = [call["target"]]


def nobody_asked_who_is_there(s: Spoiler) -> None:
    _pin(s)


def somebody_else_is_there(s: Spoiler) -> None:
    _pin(s)
    s.insert(s.at("effect_intended", "promote"), "pin_checked", step="promote", verdict="mismatch",
             name="aws.account", subject="us-west-2")  # fmt: skip


def success_without_proof(s: Spoiler) -> None:
    s.event("step_finished", "verify_public")["outcome"] = "failed"


def a_step_is_missing(s: Spoiler) -> None:
    del s.journal[s.at("step_finished", "repoint_app")]


def two_primaries(s: Spoiler) -> None:
    s.more["probes"] = [{"node": node, "boot_s": 9000.0, "wrote": True} for node in ("a", "b")]


def an_effect_without_intent(s: Spoiler) -> None:
    del s.journal[s.at("effect_intended", "repoint_app")]


def an_effect_elsewhere(s: Spoiler) -> None:
    _one(s, "kubernetes.secret.patch")["target"] = "another"


def an_effect_before_its_intent(s: Spoiler) -> None:
    entry = _one(s, "aws.rds.promote_replica")
    entry["boot_s"] = entry["sent_s"] = 1.0


def promoted_twice(s: Spoiler) -> None:
    s.ledger.append(_one(s, "aws.rds.promote_replica") | {"boot_s": 400.0, "sent_s": 390.0})


def _unknown(s: Spoiler) -> int:
    place = s.at("step_started", "rollout")
    s.insert(place, "step_started", step="rollout", attempt=1)
    s.insert(place + 1, "step_finished", step="rollout", attempt=1, outcome="unknown", outputs={})
    return place + 2


def sent_again_while_unknown(s: Spoiler) -> None:
    _unknown(s)


def sent_again_after_a_death(s: Spoiler) -> None:
    place = s.at("effect_intended", "promote")
    again = copy.deepcopy(s.journal[place])
    s.insert(place + 1, "run_resumed")
    s.journal.insert(place + 2, again)


def two_runs_take_turns(s: Spoiler) -> None:
    theirs = {"type": "effect_intended", "seq": 1, "key": "other", "step": "x", "effect": "change",
              "target": OLD, "at": s.journal[0]["at"]}  # fmt: skip
    s.more["others"] = [[theirs]]
    scale = _one(s, "kubernetes.deployment.scale")
    restart = _one(s, "kubernetes.deployment.restart")
    between = (scale["sent_s"] + restart["sent_s"]) / 2
    s.ledger.append(scale | {"key": "other", "sent_s": between, "boot_s": between})


def sent_without_the_lease(s: Spoiler) -> None:
    s.insert(s.at("step_started", "promote"), "lease_lost", why="gone")


def a_step_without_end(s: Spoiler) -> None:
    place = s.at("step_finished", "rollout")
    for event in s.journal[place:]:
        event["at"]["boot_s"] += 10_000.0


def undone_too_late(s: Spoiler) -> None:
    s.insert(s.at("step_started", "rollout"), "undo_started", step="fence_old_primary", attempt=1)


def undone_in_the_wrong_order(s: Spoiler) -> None:
    place = s.at("step_started", "promote")
    s.insert(place, "undo_started", step="measure_lag", attempt=1)


def went_on_after_a_failure(s: Spoiler) -> None:
    finished = s.event("step_finished", "prewarm_app")
    finished |= {"outcome": "failed", "error": "rejected"}
    s.journal[-1]["result"] = "failed"


def went_on_with_a_need_unmet(s: Spoiler) -> None:
    finished = s.event("step_finished", "promote")
    finished |= {"outcome": "unknown", "error": "timeout"}
    s.insert(s.at("step_finished", "promote") + 1, "order_given", order="continue", by="x")
    s.journal[-1]["result"] = "unknown"


def again_within_the_hour(s: Spoiler) -> None:
    theirs = copy.deepcopy(list(GOOD.journal))
    for event in theirs:
        event["at"]["wall"] = event["at"]["wall"].replace("2026-01-01", "2025-12-31")
        event["at"]["wall"] = event["at"]["wall"].replace("T00:", "T23:")
    s.more["others"] = [theirs]


def nobody_said_go(s: Spoiler) -> None:
    del s.journal[s.at("gate_answered", "go")]


def somebody_said_no(s: Spoiler) -> None:
    s.event("gate_answered", "go")["answer"] = "deny"


def one_of_two_said_go(s: Spoiler) -> None:
    s.event("gate_opened", "go")["quorum"] = 2
    place = s.at("gate_answered", "go")
    s.journal.insert(place + 1, copy.deepcopy(s.journal[place]))


def one_statement_twice(s: Spoiler) -> None:
    place = s.at("gate_answered", "go")
    s.journal[place]["nonce"] = "n"
    s.journal.insert(place + 1, copy.deepcopy(s.journal[place]))


def time_went_back(s: Spoiler) -> None:
    s.event("step_finished", "rollout")["at"]["boot_s"] = 1.0


def a_negative_length(s: Spoiler) -> None:
    s.event("run_started")["elapsed_before_s"] = -5.0


def certain_across_a_reboot(s: Spoiler) -> None:
    for event in s.journal[s.at("step_started", "rollout") :]:
        event["at"]["boot_id"] = "another"


def too_short_a_recovery(s: Spoiler) -> None:
    s.journal[-1]["rta_s"] -= 1.0


def a_recovery_that_nobody_saw(s: Spoiler) -> None:
    del s.journal[s.at("step_finished", "verify_public")]


def a_measured_recovery_withheld(s: Spoiler) -> None:
    s.journal[-1]["rta_s"] = None


def a_loss_that_nobody_measured(s: Spoiler) -> None:
    s.journal[-1]["loss_bound_s"] = 0.0


def a_change_denied(s: Spoiler) -> None:
    s.journal[-1]["changed"] = False


SPOILED: list[tuple[str, Callable[[Spoiler], None]]] = [
    ("I1", fence_failed), ("I1", fence_never_took_effect), ("I1", fence_was_undone),
    ("I1", old_primary_took_a_write), ("I1", a_probe_wrote_to_the_old_primary),
    ("I2", loss_too_large), ("I2", loss_unknown), ("I2", more_was_lost_than_said),
    ("I3", nobody_asked_who_is_there), ("I3", somebody_else_is_there),
    ("I4", success_without_proof), ("I4", a_step_is_missing), ("I4", two_primaries),
    ("I6", an_effect_without_intent), ("I6", an_effect_elsewhere),
    ("I6", an_effect_before_its_intent), ("I7", promoted_twice),
    ("I8", sent_again_while_unknown), ("I8", sent_again_after_a_death),
    ("I9", two_runs_take_turns), ("I10", sent_without_the_lease), ("I11", a_step_without_end),
    ("I12", undone_too_late), ("I12", undone_in_the_wrong_order),
    ("I13", went_on_after_a_failure), ("I13", went_on_with_a_need_unmet),
    ("I14", again_within_the_hour), ("I17", nobody_said_go), ("I17", somebody_said_no),
    ("I17", one_of_two_said_go), ("I17", one_statement_twice),
    ("I22", time_went_back), ("I22", a_negative_length), ("I22", certain_across_a_reboot),
    ("I23", too_short_a_recovery), ("I23", a_recovery_that_nobody_saw),
    ("I23", a_measured_recovery_withheld), ("I23", a_loss_that_nobody_measured),
    ("I23", a_change_denied),
]  # fmt: skip


def test_a_good_run_breaks_nothing():
    """Nor does its copy, with the order of effects taken from clocks."""
    assert check(GOOD) == []
    assert check(Spoiler().made()) == []


@pytest.mark.parametrize(
    ("promise", "spoil"), SPOILED, ids=[spoil.__name__ for _promise, spoil in SPOILED]
)
def test_a_spoiled_run_is_caught_by_name(promise, spoil):
    """By the check of that promise; others may notice too."""
    spoiler = Spoiler()
    spoil(spoiler)
    found = check(spoiler.made(), [promise])
    assert {one.promise for one in found} == {promise}, [str(one) for one in found]


def test_every_check_is_proven_able_to_fail():
    """A check that no spoiled run trips would be a check of nothing."""
    assert {promise for promise, _spoil in SPOILED} == set(CHECKS)
