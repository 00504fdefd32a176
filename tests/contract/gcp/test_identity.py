"""Who we are is in the environment, and nowhere else; who answers is checked."""

import json

import pytest
from pydantic import ValidationError

from drctl.actions.contract import NoParams
from drctl.actions.errors import AuthRejected, Rejected
from drctl.actions.targets import CloudSqlInstance, GcpConnection
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.identity import ManagedZonePin, ProjectPin
from drctl.adapters.gcp.sql_lag import MeasureLag
from drctl.adapters.gcp.token import obtain


def connection(project, **fields):
    return GcpConnection.model_validate(project.connection(**fields))


async def test_the_project_and_the_zone_say_who_they_are(project):
    record = project.record()
    pin, zone = ProjectPin(), ManagedZonePin()
    assert await pin.read(project.context(), record) == pin.identity(record).expected
    assert await zone.read(project.context(), record) == zone.identity(record).expected
    assert zone.identity(project.bare("prod")) is None


async def test_nothing_ambient_is_used(project, monkeypatch, tmp_path):
    """Application-default credentials and the key's own token_uri are never followed."""
    other = tmp_path / "adc.json"
    other.write_text(json.dumps({"type": "authorized_user", "refresh_token": "x"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(other))
    monkeypatch.setenv("CLOUDSDK_CORE_PROJECT", "another")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.92.0.99:1")
    token = await obtain(project.context(), connection(project))
    assert token.value.startswith("ya29.")
    assert token.value not in repr(token)


async def test_an_assertion_is_really_checked(project):
    key = json.loads(project.keys.values["env:KEY"])
    for change in ({"client_email": "other@drctl-lab.iam.gserviceaccount.com"}, {"type": "user"}):
        project.keys.values["env:KEY"] = json.dumps(key | change)
        with pytest.raises(AuthRejected) as error:
            await obtain(project.context(), connection(project))
        assert "PRIVATE KEY" not in str(error.value)
    project.keys.values["env:KEY"] = json.dumps(key | {"private_key": "-----BEGIN x"})
    with pytest.raises(AuthRejected, match="cannot be read"):
        await obtain(project.context(), connection(project))


async def test_a_token_is_in_no_message(project):
    project.keys.values["env:TOKEN"] = "ya29.very-secret-token"
    held = connection(project, access_token="env:TOKEN", service_account_key=None)
    with pytest.raises(AuthRejected) as error:
        await Gcp(project.context(), held).read("dns", "dns/v1/projects/drctl-lab/managedZones/x")
    assert "very-secret" not in str(error.value)


def test_a_connection_has_one_credential(project):
    with pytest.raises(ValidationError, match="either"):
        connection(project, access_token="env:TOKEN")
    with pytest.raises(ValidationError, match="either"):
        connection(project, service_account_key=None)


async def test_a_strange_field_is_refused_as_google_does(project):
    """Otherwise a request that Google would refuse would pass here."""
    project.bare("prod")
    gcp = Gcp(project.context(), connection(project))
    path = "v1/projects/drctl-lab/instances/prod"
    with pytest.raises(Rejected, match="Unknown name"):
        await gcp.read("sqladmin", path, {"pretty": "x"})
    project.exchanges.clear()  # which is exactly what Google's own description would not let pass


async def test_a_bound_needs_an_observer(project):
    target = project.bare("dr", source="prod")
    assert isinstance(target, CloudSqlInstance)
    with pytest.raises(Rejected, match="sightings_url"):
        await MeasureLag().perform(project.context(), target, NoParams())
