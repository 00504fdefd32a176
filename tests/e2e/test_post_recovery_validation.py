"""The validation after a recovery: it passes when the service is back, and only then."""

import time

import pytest
from e2e_lab import lab_of
from e2e_runs import finished, shaped, verdict

REQUIRED = {
    "public_health", "private_health", "database_writes", "clients_write", "prometheus_works",
    "grafana_works", "pods_up", "error_rate", "performance",
}  # fmt: skip


@pytest.mark.lab
@pytest.mark.net(76)
@pytest.mark.timeout(400)
def test_it_passes_after_a_cache_failover_and_fails_while_anything_required_is_missing(tmp_path):
    """Each failure is named, the other checks still say what they saw, the exit code is not 0."""
    with shaped(lab_of(76, tmp_path), "cache") as lab:
        # The cache is lost, and nobody replaces it: the application says so of itself.
        for sentinel in ("sentinel-1", "sentinel-2"):
            assert lab.drctl("lab", "break", "cache", sentinel).returncode == 0
        assert lab.drctl("lab", "break", "cache", "cache-1").returncode == 0
        time.sleep(2)
        ill = lab.drctl("run", "post-recovery-validation", "-e", "lab", "--no-input")
        assert ill.returncode == 6, ill.stdout + ill.stderr
        steps = finished(lab)
        assert "redis is not well" in steps["public_health"]["why"]
        assert "503" in steps["clients_write"]["why"]
        for well in ("database_writes", "prometheus_works", "grafana_works", "pods_up"):
            assert steps[well]["outcome"] == "succeeded", steps[well]

        # The other sentinels come back, the runbook moves the cache: the outage is over.
        assert lab.drctl("lab", "heal").returncode == 0
        moved = lab.drctl(
            "run", "cache-failover", "-e", "lab", "-i", "incident=inc-20261122-001", "--no-input"
        )
        assert moved.returncode == 0, moved.stdout + moved.stderr
        well = lab.drctl(
            "run", "post-recovery-validation", "-e", "lab", "--no-input", timeout_s=150
        )
        assert well.returncode == 0, well.stdout + well.stderr
        steps = finished(lab)
        assert steps.keys() >= REQUIRED
        assert {steps[name]["outcome"] for name in REQUIRED} == {"succeeded"}
        assert steps["error_rate"]["outputs"]["looks"] > 5
        assert steps["error_rate"]["outputs"]["floor_value"] > 1, "the independent client is there"
        assert steps["clients_write"]["outputs"]["row"].startswith("drctl-synthetic-")
        assert verdict(lab)["client"]["lost_acknowledged"] == 0

        # Nobody watches: everything works, and it is no success all the same.
        assert lab.drctl("lab", "break", "monitoring").returncode == 0
        blind = lab.drctl(
            "run", "post-recovery-validation", "-e", "lab", "--no-input", timeout_s=150
        )
        assert blind.returncode == 6, blind.stdout + blind.stderr
        assert "connection refused" in finished(lab)["grafana_works"]["why"]
        assert finished(lab)["clients_write"]["outcome"] == "succeeded"
