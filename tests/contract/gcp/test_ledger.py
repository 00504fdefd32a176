"""Every change that the stand-in applied is in the lab's ledger, once; what it refused is not."""

import json

import pytest

from drctl.actions.contract import NoParams
from drctl.actions.errors import Conflict
from drctl.adapters.gcp.record_set import SetParams, SetRecord
from drctl.adapters.gcp.sql_failover import FailOver


async def test_what_was_applied_is_noted(project, tmp_path):
    file = tmp_path / "ledger.jsonl"
    project.cloud.sql._ledger = project.cloud.dns._ledger = file
    target = project.bare("prod", is_regional=True)
    await FailOver().perform(project.context(), target, NoParams())
    wanted = SetParams(ttl=5, values=("127.0.0.9",))
    await SetRecord().perform(project.context(), project.record(), wanted)
    stale = project.context(seen={"zone": "us-west1-b", "settings_version": "99"})
    with pytest.raises(Conflict, match="staleData"):
        await FailOver().perform(stale, target, NoParams())
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["operation"] for line in lines] == ["Failover", "ChangesCreate"]
    assert [line["target"] for line in lines] == ["prod", "healing-guard/app.healing.test."]
