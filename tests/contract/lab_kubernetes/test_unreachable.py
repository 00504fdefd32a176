"""A cluster of a dead region says nothing at all, and wakes up where it stood."""

import socket
import threading
import time
from pathlib import Path

import pytest
from kubernetes import client as k8s
from kubernetes import watch
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError

from .conftest import API, NAMESPACE, Running, deployment, eventually


def test_requests_hang_until_the_client_gives_up(running: Running) -> None:
    kept = running.core
    kept.list_namespaced_pod(NAMESPACE)  # so that there is an established connection as well
    running.call(running.cluster.set_reachable(False))

    with socket.create_connection((API, running.port), timeout=2):
        pass  # the kernel still answers
    for core in (kept, running.core):
        began = time.monotonic()
        with pytest.raises((MaxRetryError, ReadTimeoutError, HTTPError)):
            core.list_namespaced_pod(NAMESPACE, _request_timeout=0.5)
        assert time.monotonic() - began > 0.4

    running.call(running.cluster.set_reachable(True))
    assert running.core.list_namespaced_pod(NAMESPACE).items == []


def test_pods_that_were_killed_stay_dead_until_the_region_is_back(running: Running) -> None:
    running.apps.create_namespaced_deployment(NAMESPACE, deployment())
    running.until_available()
    (pid,) = running.pids()

    running.call(running.cluster.set_reachable(False))
    running.call_soon(running.cluster.kill_pods)
    eventually(lambda: "Z" in Path(f"/proc/{pid}/stat").read_text())
    time.sleep(0.6)  # three times the delay of a first restart: nothing may happen in it
    assert running.pids() == [pid]

    running.call(running.cluster.set_reachable(True))
    eventually(lambda: running.pids() not in ([], [pid]))
    running.until_available()
    pod = running.core.list_namespaced_pod(NAMESPACE).items[0]
    assert pod.status.container_statuses[0].restart_count == 1


def test_an_established_watch_stalls_and_goes_on(running: Running) -> None:
    core = running.core
    version = core.list_namespaced_secret(NAMESPACE).metadata.resource_version
    heard: list[str] = []

    def listen() -> None:
        stream = watch.Watch()
        for event in stream.stream(
            k8s.CoreV1Api(running.api()).list_namespaced_secret,
            NAMESPACE,
            resource_version=version,
            timeout_seconds=20,
        ):
            heard.append(event["object"].metadata.name)
            if len(heard) == 2:
                stream.stop()

    listener = threading.Thread(target=listen)
    listener.start()
    core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "first"}})
    eventually(lambda: heard == ["first"])
    running.call(running.cluster.set_reachable(False))
    lost = threading.Thread(
        target=core.create_namespaced_secret,
        args=(NAMESPACE, {"metadata": {"name": "second"}}),
    )
    lost.start()
    lost.join(timeout=0.4)
    assert (lost.is_alive(), heard) == (True, ["first"])
    running.call(running.cluster.set_reachable(True))
    lost.join(timeout=5)
    listener.join(timeout=5)
    assert heard == ["first", "second"]


def test_stopping_leaves_no_process_and_no_port(running: Running) -> None:
    running.apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=2))
    running.until_available(replicas=2)
    pids = running.pids()
    running.call(running.cluster.set_reachable(False))
    running.call(running.cluster.stop())
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert running.pids() == []
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((API, running.port))
