"""What validation and planning read of the adapters without any vendor's library."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from drctl.actions.contract import Action, Effect, Repeat
from drctl.actions.late import each_of
from drctl.adapters.dns import ADAPTER as DNS
from drctl.adapters.grafana import ADAPTER as GRAFANA
from drctl.adapters.http import ADAPTER as HTTP
from drctl.adapters.http.probe import ProbeParams
from drctl.adapters.human import ADAPTER as HUMAN
from drctl.adapters.patroni import ADAPTER as PATRONI
from drctl.adapters.postgres import ADAPTER as POSTGRES
from drctl.adapters.postgres.gate import quoted
from drctl.adapters.postgres.replication import WaitParams
from drctl.adapters.prometheus import ADAPTER as PROMETHEUS
from drctl.adapters.redis import ADAPTER as REDIS
from drctl.adapters.shell import ADAPTER as SHELL
from drctl.adapters.slack import ADAPTER as SLACK
from drctl.adapters.statuspage import ADAPTER as STATUSPAGE
from drctl.adapters.statuspage.incident import UpdateParams

ADAPTERS = (
    *(DNS, GRAFANA, HTTP, HUMAN, PATRONI, POSTGRES),
    *(PROMETHEUS, REDIS, SHELL, SLACK, STATUSPAGE),
)
ACTIONS = [action for adapter in ADAPTERS for action in each_of(adapter.actions)]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_an_action_declares_itself_in_full(action):
    adapter = next(each for each in ADAPTERS if action in each_of(each.actions))

    assert action.name.startswith(f"{adapter.name}.")
    assert action.summary
    assert isinstance(action.effect, Effect)
    assert isinstance(action.repeat, Repeat)
    json.dumps(action.params.model_json_schema())
    json.dumps(action.outputs.model_json_schema())


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_what_changes_the_world_can_say_whether_it_did(action):
    if action.effect is not Effect.READ and action.name != "human.task":
        assert type(action).settled is not Action.settled


def test_importing_the_adapters_imports_no_vendors_library():
    names = [f"drctl.adapters.{adapter.name}" for adapter in ADAPTERS]
    code = (
        "import sys, importlib\n"
        "from drctl.actions.late import each_of\n"
        f"for one in (importlib.import_module(n).ADAPTER for n in {names}):\n"
        "    assert [*each_of(one.actions), *each_of(one.pins), *each_of(one.checks)]\n"
        "print([n for n in ('asyncpg', 'httpx', 'dns', 'boto3', 'redis', 'ssl')"
        " if n in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert "[]" == loaded.replace("'ssl'", "").strip()


@pytest.mark.parametrize("path", ["health", "", "/a b", "/a#b", "//\nx"])
def test_a_probes_path_is_a_path(path):
    with pytest.raises(ValidationError):
        ProbeParams(path=path)


def test_a_probes_time_is_written_with_units():
    assert (
        1.5 == ProbeParams.model_validate({"path": "/", "timeout": "1.5s"}).timeout.total_seconds()
    )
    for wrong in ("0s", "5", "soon"):
        with pytest.raises(ValidationError):
            ProbeParams.model_validate({"path": "/", "timeout": wrong})


@pytest.mark.parametrize("lsn", ["", "0", "0/", "0/G", "0/123456789", "1/0; DROP"])
def test_a_position_is_a_position(lsn):
    with pytest.raises(ValidationError):
        WaitParams(lsn=lsn)


@pytest.mark.parametrize("incident", ["", "a/b", "../x", "a?b"])
def test_an_incident_id_cannot_leave_its_place_in_the_url(incident):
    with pytest.raises(ValidationError):
        UpdateParams(incident=incident, status="monitoring", body="x")


def test_a_database_name_is_quoted():
    assert '"a""; DROP"' == quoted('a"; DROP')
