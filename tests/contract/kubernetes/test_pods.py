"""Only pods that are ready are named, by the API's own numbers, and Secrets get the password."""

import asyncio
import base64

import pytest

from drctl.actions.contract import Change, Done, NoParams, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, Rejected, Unavailable
from drctl.actions.targets import DatabaseRole
from drctl.adapters.kubernetes.credential import DeliverCredential
from drctl.adapters.kubernetes.deployment import WaitForDeployment, WaitParams
from drctl.adapters.kubernetes.pods import ListParams, ListReadyPods

LIST, DELIVER, GO = ListReadyPods(), DeliverCredential(), NoParams()
PODS = "/api/v1/namespaces/healing-guard/pods"
SECRETS = "/api/v1/namespaces/healing-guard/secrets"


@pytest.fixture
def target(cluster, target_at):
    return target_at(cluster.port)


async def test_ready_pods_are_listed_with_the_addresses_that_the_api_gives(
    cluster, target, context
):
    cluster.deploy(2)
    await WaitForDeployment().perform(context(), target, WaitParams())
    pods = (await asyncio.to_thread(cluster.call, "GET", PODS))["items"]
    ready = await LIST.perform(context(), target, ListParams(at_least=2))
    assert list(ready.addresses) == sorted(one["status"]["podIP"] for one in pods)
    assert set(ready.pods) == {one["metadata"]["name"] for one in pods}
    assert ready.images == ("example/app:1",)
    with pytest.raises(Unavailable, match="2 of 3 pods are ready"):
        await LIST.perform(context(), target, ListParams(at_least=3))


async def test_a_pod_that_does_not_answer_its_probe_is_not_named(cluster, target, context):
    cluster.deploy(1, script="import time;time.sleep(600)")
    await asyncio.sleep(1.5)
    with pytest.raises(Unavailable, match="0 of 1"):
        await LIST.perform(context(), target, ListParams())


async def test_no_deployment_is_no_empty_list(cluster, target, context):
    with pytest.raises(NotFound):
        await LIST.perform(context(), target, ListParams())


async def test_every_secret_gets_the_next_password(cluster, target, context):
    for name in ("first", "second"):
        body = {"metadata": {"name": name}, "data": {"password": "YQ==", "host": "aA=="}}
        await asyncio.to_thread(cluster.call, "POST", SECRETS, body)

    def place(name):
        where = {"cluster": target.cluster, "namespace": "healing-guard"}
        return where | {"secret": name, "key": "password"}

    def role(**places):
        return DatabaseRole.model_validate(
            {
                "sql": {"host": "x", "database": "x", "user": "o", "password": "env:o"},
                "role": "app",
                "password": "env:old",
                "next_password": "env:next",
                "delivered_to": places,
                "region": "us-west-2",
            }
        )

    both = role(one=place("first"), two=place("second"))
    seen = await DELIVER.observe(context(), both, GO)
    assert isinstance(DELIVER.preview(seen, both, GO), Change)
    assert isinstance(await DELIVER.settled(context(), both, GO), NotDone)
    done = await DELIVER.perform(context(), both, GO)
    assert done.changed == ("one", "two")
    for name in ("first", "second"):
        data = (await asyncio.to_thread(cluster.call, "GET", f"{SECRETS}/{name}"))["data"]
        assert base64.b64decode(data["password"]) == b"next"
        assert data["host"] == "aA=="
    assert isinstance(await DELIVER.settled(context(), both, GO), Done)
    assert (await DELIVER.perform(context(), both, GO)).changed == ()
    seen = await DELIVER.observe(context(), both, GO)
    assert isinstance(DELIVER.preview(seen, both, GO), Nothing)
    other = target.cluster.model_copy(update={"cluster_uid": "another"})
    with pytest.raises(Conflict, match="the environment pins another"):
        await DELIVER.perform(context(), role(here=place("first") | {"cluster": other}), GO)
    with pytest.raises(NotFound):
        await DELIVER.perform(context(), role(gone=place("nowhere")), GO)
    with pytest.raises(Rejected, match="no delivered_to"):
        await DELIVER.perform(context(), role(), GO)
