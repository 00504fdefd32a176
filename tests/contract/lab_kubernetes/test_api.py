"""The API keeps the promises that the official client and optimistic writers rely on."""

import base64
import threading
from typing import Any

import pytest
from kubernetes import client as k8s
from kubernetes import watch
from kubernetes.client.exceptions import ApiException

from .conftest import NAMESPACE, UID, Running, deployment

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def refused(call: Any, *arguments: Any, **named: Any) -> ApiException:
    with pytest.raises(ApiException) as caught:
        call(*arguments, **named)
    return caught.value


def secret(name: str = "db", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "stringData": data}


def test_a_cluster_is_recognised_by_the_uid_of_kube_system(running: Running) -> None:
    assert running.core.read_namespace("kube-system").metadata.uid == UID
    assert k8s.VersionApi(running.api()).get_code().git_version.startswith("v1.32")


@pytest.mark.parametrize("token", ["wrong", ""])
def test_an_unknown_token_is_401(running: Running, token: str) -> None:
    error = refused(k8s.CoreV1Api(running.api(token)).list_namespaced_pod, NAMESPACE)
    assert (error.status, '"kind": "Status"' in error.body) == (401, True)


def test_what_does_not_exist_is_404(running: Running) -> None:
    error = refused(running.apps.read_namespaced_deployment, "web", NAMESPACE)
    assert error.status == 404
    assert 'deployments.apps \\"web\\" not found' in error.body
    error = refused(running.core.create_namespaced_secret, "nowhere", secret())
    assert 'namespaces \\"nowhere\\" not found' in error.body


def test_a_write_from_an_old_version_is_a_conflict(running: Running) -> None:
    core = running.core
    old = core.create_namespaced_secret(NAMESPACE, secret(host="a"))
    core.patch_namespaced_secret("db", NAMESPACE, secret(host="b"), _content_type=MERGE)

    old.data = {"host": base64.b64encode(b"c").decode()}
    assert refused(core.replace_namespaced_secret, "db", NAMESPACE, old).status == 409
    stale = {"metadata": {"resourceVersion": old.metadata.resource_version}, "data": {}}
    for content_type in (MERGE, STRATEGIC):
        error = refused(
            core.patch_namespaced_secret, "db", NAMESPACE, stale, _content_type=content_type
        )
        assert error.status == 409
        assert "the object has been modified" in error.body
    assert core.read_namespaced_secret("db", NAMESPACE).data["host"] == "Yg=="


def test_versions_only_grow_and_a_change_of_nothing_is_no_change(running: Running) -> None:
    core = running.core
    first = core.create_namespaced_secret(NAMESPACE, secret(host="a"))
    same = core.patch_namespaced_secret("db", NAMESPACE, secret(host="a"), _content_type=MERGE)
    assert same.metadata.resource_version == first.metadata.resource_version
    other = core.patch_namespaced_secret("db", NAMESPACE, secret(host="b"), _content_type=MERGE)
    assert int(other.metadata.resource_version) > int(first.metadata.resource_version)
    core.delete_namespaced_secret("db", NAMESPACE)
    again = core.create_namespaced_secret(NAMESPACE, secret(host="a"))
    assert int(again.metadata.resource_version) > int(other.metadata.resource_version)
    assert again.metadata.uid != first.metadata.uid


def test_a_dry_run_shows_the_result_and_keeps_nothing(running: Running) -> None:
    core, apps = running.core, running.apps
    shown = core.create_namespaced_secret(NAMESPACE, secret(host="a"), dry_run="All")
    assert shown.data == {"host": "YQ=="}
    assert core.list_namespaced_secret(NAMESPACE).items == []

    kept = apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=0))
    scaled = apps.patch_namespaced_deployment_scale(
        "web", NAMESPACE, {"spec": {"replicas": 4}}, dry_run="All", _content_type=MERGE
    )
    assert scaled.spec.replicas == 4
    patched = apps.patch_namespaced_deployment(
        "web", NAMESPACE, {"spec": {"replicas": 4}}, dry_run="All", _content_type=MERGE
    )
    assert (patched.spec.replicas, patched.metadata.generation) == (4, 2)
    apps.delete_namespaced_deployment("web", NAMESPACE, dry_run="All")
    now = apps.read_namespaced_deployment("web", NAMESPACE)
    assert (now.spec.replicas, now.metadata.generation) == (0, kept.metadata.generation)
    error = refused(core.create_namespaced_secret, NAMESPACE, secret(), dry_run="Some")
    assert error.status == 422


def test_the_status_lags_behind_the_spec_until_the_controller_has_acted(running: Running) -> None:
    apps = running.apps
    apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=1))
    settled = running.until_available()

    patched = apps.patch_namespaced_deployment(
        "web", NAMESPACE, {"spec": {"replicas": 2}}, _content_type=STRATEGIC
    )

    assert patched.metadata.generation == settled.metadata.generation + 1
    assert patched.status.observed_generation == settled.metadata.generation
    assert patched.status.updated_replicas == 1
    running.until_available(replicas=2)


def test_scale_can_be_read_and_replaced_and_refuses_old_versions(running: Running) -> None:
    apps = running.apps
    apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=0))
    running.until_available(replicas=0)
    scale = apps.read_namespaced_deployment_scale("web", NAMESPACE)
    scale.spec.replicas = 1
    apps.replace_namespaced_deployment_scale("web", NAMESPACE, scale)
    assert refused(apps.replace_namespaced_deployment_scale, "web", NAMESPACE, scale).status == 409
    negative = {"spec": {"replicas": -1}}
    assert (
        refused(
            apps.patch_namespaced_deployment_scale, "web", NAMESPACE, negative, _content_type=MERGE
        ).status
        == 422
    )


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"spec": {"replicas": -1}}, 422, "must be greater than or equal to 0"),
        ({"spec": {"replicas": "3"}}, 422, "cannot unmarshal string"),
        ({"spec": {"selector": {"matchLabels": {"app": "x"}}}}, 422, "does not match template"),
        ({"spec": {"template": {"spec": {"containers": []}}}}, 422, "Required value"),
        ({"metadata": {"name": "other"}}, 400, "does not match the name on the URL"),
        ({"kind": "Secret"}, 400, "cannot be handled as a Deployment"),
    ],
)
def test_a_broken_deployment_is_refused(
    running: Running, change: dict[str, Any], status: int, words: str
) -> None:
    apps = running.apps
    apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=0))
    error = refused(apps.patch_namespaced_deployment, "web", NAMESPACE, change, _content_type=MERGE)
    assert (error.status, words in error.body) == (status, True), error.body


def test_a_misspelt_field_is_dropped_with_a_warning_or_refused(running: Running) -> None:
    """A real API server drops unknown fields; keeping them would let a wrong patch look right."""
    apps = running.apps
    apps.create_namespaced_deployment(NAMESPACE, deployment(replicas=0))
    misspelt = {"spec": {"replica": 3}}
    answer = apps.patch_namespaced_deployment_with_http_info(
        "web", NAMESPACE, misspelt, _content_type=MERGE
    )
    headers = getattr(answer, "headers", None) or answer[2]
    assert 'unknown field \\"spec.replica\\"' in headers["Warning"]
    strict = refused(
        apps.patch_namespaced_deployment,
        "web",
        NAMESPACE,
        misspelt,
        field_validation="Strict",
        _content_type=MERGE,
    )
    assert strict.status == 422


def test_all_patch_types_are_understood_and_others_are_415(running: Running) -> None:
    core = running.core
    core.create_namespaced_secret(NAMESPACE, secret(host="a", port="1"))
    operations = [{"op": "remove", "path": "/data/port"}]
    patched = core.patch_namespaced_secret("db", NAMESPACE, operations, _content_type=JSON_PATCH)
    assert patched.data == {"host": "YQ=="}
    failing = [{"op": "test", "path": "/data/host", "value": "other"}]
    error = refused(
        core.patch_namespaced_secret, "db", NAMESPACE, failing, _content_type=JSON_PATCH
    )
    assert error.status == 422
    error = refused(
        k8s.CustomObjectsApi(core.api_client).patch_namespaced_custom_object,
        *("postgresql.cnpg.io", "v1", NAMESPACE, "clusters", "db", {}),
        _content_type="application/strategic-merge-patch+json",
    )
    assert error.status == 415


def test_lists_obey_selectors_and_pages(running: Running) -> None:
    core = running.core
    for number in range(5):
        body = secret(f"s{number}") | {
            "metadata": {"name": f"s{number}", "labels": {"odd": str(number % 2)}}
        }
        core.create_namespaced_secret(NAMESPACE, body)
    names = [
        item.metadata.name
        for item in core.list_namespaced_secret(NAMESPACE, label_selector="odd in (1)").items
    ]
    assert names == ["s1", "s3"]
    only = core.list_namespaced_secret(NAMESPACE, field_selector="metadata.name=s4").items
    assert [item.metadata.name for item in only] == ["s4"]
    page = core.list_namespaced_secret(NAMESPACE, limit=3)
    rest = core.list_namespaced_secret(NAMESPACE, limit=3, _continue=page.metadata._continue)
    assert [item.metadata.name for item in page.items + rest.items] == [f"s{n}" for n in range(5)]


def test_a_watch_tells_every_change_after_a_version(running: Running) -> None:
    core = running.core
    version = core.list_namespaced_secret(NAMESPACE).metadata.resource_version
    core.create_namespaced_secret(NAMESPACE, secret(host="a"))
    core.patch_namespaced_secret("db", NAMESPACE, secret(host="b"), _content_type=MERGE)
    core.delete_namespaced_secret("db", NAMESPACE)
    seen = []
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_secret, NAMESPACE, resource_version=version, timeout_seconds=20
    ):
        seen.append(event["type"])
        if event["type"] == "DELETED":
            stream.stop()
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_from_a_forgotten_version_is_gone(running: Running) -> None:
    stream = watch.Watch().stream(
        running.core.list_namespaced_secret, NAMESPACE, resource_version="7", timeout_seconds=5
    )
    assert refused(lambda: list(stream)).status == 410


def test_of_many_who_take_a_lease_one_gets_it(running: Running) -> None:
    leases = k8s.CoordinationV1Api(running.api())
    free = leases.create_namespaced_lease(
        NAMESPACE, {"metadata": {"name": "failover"}, "spec": {"leaseDurationSeconds": 15}}
    )
    outcomes: list[int] = []

    def take(holder: str) -> None:
        version = free.metadata.resource_version
        mine = {
            "metadata": {"name": "failover", "resourceVersion": version},
            "spec": {"holderIdentity": holder},
        }
        try:
            k8s.CoordinationV1Api(running.api()).replace_namespaced_lease(
                "failover", NAMESPACE, mine
            )
            outcomes.append(200)
        except ApiException as error:
            outcomes.append(error.status)

    threads = [threading.Thread(target=take, args=(f"holder-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200, 409, 409, 409, 409, 409]
    blind = {"metadata": {"name": "failover"}, "spec": {"holderIdentity": "blind"}}
    assert refused(leases.replace_namespaced_lease, "failover", NAMESPACE, blind).status == 422
