"""Server-side apply as on a real cluster: who owns what, what conflicts, and what is gone."""

import json

import pytest
from kubernetes.client import ApiException

from .conftest import NAMESPACE, Kubectl, Running, deployment, template

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


def apply(running: Running, body, manager="drctl", **named):
    apps = running.apps
    return apps.patch_namespaced_deployment(
        "web", NAMESPACE, body, field_manager=manager, _content_type=APPLY, **named
    )


def manifest(**spec):
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment(replicas=1)}
    body["spec"] |= spec
    return body


def managers(found):
    entries = found.metadata.managed_fields
    return {(entry.manager, entry.operation) for entry in entries}


def test_what_somebody_else_set_is_a_conflict_with_its_cause(running: Running) -> None:
    apply(running, manifest())
    scale = {"spec": {"replicas": 3}}
    running.apps.patch_namespaced_deployment(
        "web", NAMESPACE, scale, field_manager="somebody", _content_type=MERGE
    )
    with pytest.raises(ApiException) as caught:
        apply(running, manifest(replicas=2))
    said = json.loads(caught.value.body)
    assert (said["code"], said["reason"]) == (409, "Conflict")
    assert said["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "somebody" using apps/v1',
            "field": ".spec.replicas",
        }
    ]
    forced = apply(running, manifest(replicas=2), force=True)
    assert forced.spec.replicas == 2
    # The same value is no conflict: both own it.
    both = apply(running, manifest(replicas=2), manager="third")
    assert ("third", "Apply") in managers(both)


def test_what_is_no_longer_said_is_gone_unless_another_owns_it(running: Running) -> None:
    body = manifest()
    body["metadata"]["labels"] = {"team": "a", "tier": "b"}
    apply(running, body)
    labels = {"metadata": {"labels": {"tier": "b", "mine": "c"}}}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", **labels}
    apply(running, owner, manager="other")
    body["metadata"]["labels"] = {}
    after = apply(running, body)
    assert after.metadata.labels == {"tier": "b", "mine": "c"}


def test_containers_are_merged_by_name_and_a_dry_run_stores_nothing(running: Running) -> None:
    made = apply(running, manifest(), dry_run="All")
    assert made.metadata.name == "web"
    with pytest.raises(ApiException):
        running.apps.read_namespaced_deployment("web", NAMESPACE)
    apply(running, manifest())
    other = template()
    other["spec"]["containers"][0] = {"name": "app", "env": [{"name": "MORE", "value": "1"}]}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": other}}
    after = apply(running, body, manager="env")
    [container] = after.spec.template.spec.containers
    assert container.image == "example/app:1"
    assert {one.name for one in container.env} == {"POD_IP", "MORE"}
    again = apply(running, body, manager="env")
    assert again.metadata.generation == after.metadata.generation
    assert again.metadata.managed_fields == after.metadata.managed_fields


def test_an_apply_without_a_manager_is_refused(running: Running) -> None:
    with pytest.raises(ApiException) as caught:
        running.apps.patch_namespaced_deployment("web", NAMESPACE, manifest(), _content_type=APPLY)
    assert caught.value.status == 422


def test_kubectl_applies_and_conflicts_and_forces(running: Running, kubectl: Kubectl) -> None:
    """The oracle: what people type."""
    text = json.dumps(manifest())
    applied = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in kubectl(*applied, stdin=text)
    kubectl("scale", "deployment/web", "--replicas=3")
    said = kubectl(*applied, stdin=json.dumps(manifest(replicas=2)), fails=True)
    assert "Apply failed with 1 conflict: conflict with" in said
    assert ".spec.replicas" in said
    forced = kubectl(*applied, "--force-conflicts", stdin=json.dumps(manifest(replicas=2)))
    assert "serverside-applied" in forced
    assert running.apps.read_namespaced_deployment("web", NAMESPACE).spec.replicas == 2
