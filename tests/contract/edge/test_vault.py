"""The next password becomes the current version, once for each effect, and is shown nowhere."""

import json

import pytest

from drctl.actions.contract import Change, Done, NoParams, NotDone
from drctl.actions.errors import Conflict, NotFound
from drctl.adapters.aws.vault import CheckSecret, PutSecret

from .edge_bench import NEXT, OLD

CHECK, PUT, GO = CheckSecret(), PutSecret(), NoParams()


@pytest.fixture
def secret(edge):
    name = f"app/database-{next(edge.numbers)}"
    edge.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"p": OLD}))
    return name


async def test_the_next_password_is_the_current_version_and_the_old_one_the_previous(
    edge, secret, context
):
    target, vault = edge.role(secret), edge.client("secretsmanager")
    before = await CHECK.perform(context(), target, GO)
    seen = await PUT.observe(context(), target, GO)
    assert isinstance(PUT.preview(seen, target, GO), Change)
    assert isinstance(await PUT.settled(context(), target, GO), NotDone)

    put = await PUT.perform(context(), target, GO)

    value = json.loads(vault.get_secret_value(SecretId=secret)["SecretString"])
    assert value == {"username": "app", "password": NEXT}
    stages = vault.describe_secret(SecretId=secret)["VersionIdsToStages"]
    assert stages[before.version] == ["AWSPREVIOUS"]
    assert await PUT.settled(context(), target, GO) == Done(outputs=put)
    assert NEXT not in f"{put!r} {seen!r}"
    # The same effect again makes no other version.
    assert await PUT.perform(context(), target, GO) == put
    assert len(vault.describe_secret(SecretId=secret)["VersionIdsToStages"]) == 2
    assert (await CHECK.perform(context(), target, GO)).version == put.version


async def test_what_is_gone_or_going_is_no_place_to_keep_anything(edge, secret, context):
    with pytest.raises(NotFound):
        await CHECK.perform(context(), edge.role("never-was"), GO)
    edge.client("secretsmanager").delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    for action in (CHECK, PUT):
        with pytest.raises(Conflict, match="scheduled for deletion"):
            await action.perform(context(), edge.role(secret), GO)
