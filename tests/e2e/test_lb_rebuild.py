"""A load balancer is killed; another one serves before customers are sent to it; never a third."""

import pytest
from edge_story import estate, outputs, run, strike

NET = 56


def changes(lab, operation):
    """How often a stand-in applied an operation."""
    told = lab.drctl("lab", "ledger")
    assert told.returncode == 0, told.stderr
    return [line for line in told.stdout.splitlines() if f" {operation} " in line]


def order(lab, *wanted):
    """The first time each step of the last run ended or began, as the record has it."""
    events = lab.events()
    return [
        next(i for i, e in enumerate(events) if (e["type"], e.get("step")) == one) for one in wanted
    ]


@pytest.mark.lab
@pytest.mark.net(NET)
@pytest.mark.timeout(420)
def test_a_killed_load_balancer_is_rebuilt_once_and_customers_are_served_again(tmp_path):
    """The issue's own words: listener and healthy targets first, one of it, the API's name."""
    with estate(NET, tmp_path) as lab:
        made_before = len(changes(lab, "elasticloadbalancing.CreateLoadBalancer"))
        broken_at = strike(lab, "lb")
        arguments = ("lb-rebuild", "-i", "incident=inc-20261123-001", "--started-at", broken_at)
        code, told = run(lab, *arguments)
        assert code == 0, told

        steps = outputs(lab)
        rebuilt = steps["rebuild"]
        assert rebuilt["created"] is True
        assert rebuilt["healthy"] >= 2
        assert rebuilt["dns_name"].startswith("healing-guard-lb-emergency-")
        listening, moving = order(
            lab, ("step_finished", "verify_private"), ("step_started", "move_name")
        )
        assert listening < moving
        # Customers reach the very address that was asked in private.
        assert steps["verify_public"]["address"] == steps["verify_private"]["address"]

        # It is owed until the lost one is repaired: pods behind it are known by their addresses.
        owed = lab.drctl("status")
        assert "healing-guard-lb-emergency stands in for" in owed.stdout, owed.stdout
        assert owed.returncode != 0

        seen = lab.verdict(after_s=2)
        assert seen["client"]["outage_s"] > 0
        assert seen["client"]["lost_acknowledged"] == 0
        assert seen["promises"]["broken"] == 0

        # A second move of the name within the hour must be asked for.
        code, told = run(lab, *arguments, gates=())
        assert code == 5, told
        code, told = run(lab, *arguments, "--again", "--reason", "the pods may have moved")
        assert code == 0, told
        # Customers are served, so the observers do not agree on a loss, and nothing is built.
        assert "rebuild" not in outputs(lab)
        made = changes(lab, "elasticloadbalancing.CreateLoadBalancer")
        assert len(made) == made_before + 1, made
