"""A zone dies with its node: what the control plane can know of it, and what it then does."""

from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from .conftest import NAMESPACE, Running, deployment, eventually, template

SLEEPER = "import time;time.sleep(600)"
ZONE = "topology.kubernetes.io/zone"
UNREACHABLE = "node.kubernetes.io/unreachable"
NODES = {"us-east-1-node-1": "us-east-1a", "us-east-1-node-2": "us-east-1b"}


def pods(running: Running) -> list[Any]:
    return list(running.core.list_namespaced_pod(NAMESPACE).items)


def by_node(running: Running) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in NODES}
    for pod in pods(running):
        found.setdefault(pod.spec.node_name, []).append(pod)
    return found


def condition(obj: Any, kind: str) -> Any:
    return next(one for one in obj.status.conditions or [] if one.type == kind)


def node(running: Running, number: int) -> Any:
    return running.core.read_node(f"us-east-1-node-{number}")


def taints(running: Running, number: int) -> set[tuple[str, str]]:
    return {(one.key, one.effect) for one in node(running, number).spec.taints or []}


def unschedulable(running: Running) -> list[str]:
    return [
        found.message
        for pod in pods(running)
        for found in pod.status.conditions or []
        if (found.type, found.status, found.reason) == ("PodScheduled", "False", "Unschedulable")
    ]


def lose(running: Running, zone: str) -> None:
    running.call_soon(lambda: running.cluster.lose_zone(zone))


def restore(running: Running) -> None:
    running.call_soon(running.cluster.restore_zones)


def start(running: Running, replicas: int, script: str | None = None, **spec: Any) -> None:
    body = deployment(replicas=replicas)
    body["spec"]["template"] = template(script) if script else template()
    body["spec"]["template"]["spec"].update(spec)
    running.apps.create_namespaced_deployment(NAMESPACE, body)


def test_pods_are_spread_over_the_nodes_of_both_zones(running: Running) -> None:
    start(running, 4)
    running.until_available(replicas=4)
    assert {name: len(here) for name, here in by_node(running).items()} == dict.fromkeys(NODES, 2)
    found = running.core.list_node().items
    assert {one.metadata.name: one.metadata.labels[ZONE] for one in found} == NODES
    regions = {one.metadata.labels["topology.kubernetes.io/region"] for one in found}
    assert regions == {"us-east-1"}
    assert len({one.status.addresses[0].address for one in found}) == 2


def test_a_node_selector_is_obeyed(running: Running) -> None:
    start(running, 3, nodeSelector={ZONE: "us-east-1b"})
    running.until_available(replicas=3)
    assert not by_node(running)["us-east-1-node-1"]


def test_a_lost_zone_s_pods_are_replaced_in_the_other_one(running: Running) -> None:
    """Not ready at once, deleted later, gone only when their node can say that they ended."""
    start(running, 2)
    running.until_available(replicas=2)
    [lost], [kept] = by_node(running).values()
    pid_file = running.root / "pids" / f"pod-{lost.metadata.name}.pid"
    state = Path(f"/proc/{pid_file.read_text().split()[0]}/stat")

    lose(running, "us-east-1a")

    eventually(lambda: not state.exists() or ") Z " in state.read_text())
    # The rest is told by the control plane's own times: a slow machine changes nothing.
    eventually(lambda: len(by_node(running)["us-east-1-node-2"]) == 2)
    running.until_available(replicas=2)
    assert (NAMESPACE, "web", (kept.status.pod_ip,)) in running.ready
    found = node(running, 1)
    ready = condition(found, "Ready")
    assert (ready.status, ready.reason) == ("Unknown", "NodeStatusUnknown")
    assert condition(node(running, 2), "Ready").status == "True"
    assert taints(running, 1) == {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    [evicted] = by_node(running)["us-east-1-node-1"]
    assert evicted.metadata.name == lost.metadata.name
    assert condition(evicted, "Ready").status == "False"
    assert condition(evicted, "DisruptionTarget").reason == "DeletionByTaintManager"
    # It could have come back: the default toleration of five minutes, a hundred times as fast.
    [since] = [one.time_added for one in found.spec.taints if one.effect == "NoExecute"]
    assert (evicted.metadata.deletion_timestamp - since).total_seconds() >= 2
    with pytest.raises(ApiException, match="i/o timeout"):
        running.core.read_namespaced_pod_log(lost.metadata.name, NAMESPACE)

    restore(running)

    eventually(lambda: condition(node(running, 1), "Ready").status == "True")
    eventually(lambda: not by_node(running)["us-east-1-node-1"])
    assert taints(running, 1) == set()
    assert not pid_file.exists()


def test_a_zone_that_is_back_in_time_starts_its_pods_again_where_they_were(
    running: Running,
) -> None:
    held = [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}]
    start(running, 2, tolerations=held)
    running.until_available(replicas=2)
    [lost], _ = by_node(running).values()
    lose(running, "us-east-1a")
    eventually(lambda: (UNREACHABLE, "NoExecute") in taints(running, 1))
    restore(running)

    def is_back() -> bool:
        same = running.core.read_namespaced_pod(lost.metadata.name, NAMESPACE)
        restarts = same.status.container_statuses[0].restart_count
        return restarts == 1 and condition(same, "Ready").status == "True"

    eventually(is_back)
    assert len(pods(running)) == 2


def test_what_does_not_fit_into_the_zone_that_is_left_waits(running: Running) -> None:
    held = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}
    start(running, 8, SLEEPER, tolerations=[{**held, "tolerationSeconds": 10}])
    eventually(lambda: len(running.pids()) == 8)
    lose(running, "us-east-1a")
    none = "0/2 nodes are available: "
    wanted = (
        f"{none}1 Too many pods, 1 node(s) had untolerated taint {{{UNREACHABLE}: }}."
        f" preemption: {none}1 No preemption victims found for incoming pod,"
        " 1 Preemption is not helpful for scheduling."
    )
    eventually(lambda: unschedulable(running) == [wanted] * 3)


def test_without_any_zone_nothing_is_evicted_and_new_pods_wait(running: Running) -> None:
    start(running, 2)
    running.until_available(replicas=2)
    for zone in ("us-east-1a", "us-east-1b"):
        lose(running, zone)
    eventually(lambda: running.ready[-1][2] == ())
    running.apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 3}})
    none = "0/2 nodes are available: "
    wanted = (
        f"{none}2 node(s) had untolerated taint {{{UNREACHABLE}: }}."
        f" preemption: {none}2 Preemption is not helpful for scheduling."
    )
    assert eventually(lambda: unschedulable(running)) == [wanted]
    eventually(lambda: taints(running, 1) == taints(running, 2) == {(UNREACHABLE, "NoSchedule")})
    assert all(pod.metadata.deletion_timestamp is None for pod in pods(running))
    restore(running)
    running.until_available(replicas=3)
