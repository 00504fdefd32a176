"""Which adapters are loaded, and when."""

import subprocess
import sys

import pytest

from drctl.actions.contract import Adapter
from drctl.actions.registry import Registry, installed
from drctl.adapters.http import ADAPTER as HTTP
from drctl.adapters.shell import ADAPTER as SHELL
from drctl.adapters.slack import ADAPTER as SLACK
from drctl.kernel.errors import InvalidError


def registry(asked: list[str]) -> Registry:
    def loading(adapter: Adapter):
        def load() -> Adapter:
            asked.append(adapter.name)
            return adapter

        return load

    return Registry((), later={one.name: loading(one) for one in (HTTP, SHELL, SLACK)})


def test_only_the_adapter_of_an_action_is_loaded_and_only_once() -> None:
    asked: list[str] = []
    made = registry(asked)
    assert made.get("http.probe") is made.get("http.probe") is not None
    assert made.get("") is None
    assert asked == ["http"]


def test_what_all_adapters_have_loads_all_of_them_in_their_order() -> None:
    asked: list[str] = []
    made = registry(asked)
    made.get("slack.message.post")
    whole = Registry([HTTP, SHELL, SLACK])
    assert made.names == whole.names
    assert made.checks == whole.checks
    assert made.pins == whole.pins
    assert made.libraries == whole.libraries
    assert list(made) == list(whole)
    assert asked == ["slack", "http", "shell"]


def test_an_action_is_found_whatever_its_name_begins_with() -> None:
    asked: list[str] = []
    other = Adapter(name="other", actions=HTTP.actions)
    made = Registry((), later={"shell": lambda: SHELL, "other": lambda: other})
    assert made.get("http.probe") is not None
    assert made.get("http.bogus") is None
    assert asked == []


def test_two_adapters_with_the_same_action_are_told_apart() -> None:
    with pytest.raises(InvalidError, match="DR5006"):
        Registry([HTTP, HTTP])


def test_no_two_of_our_adapters_offer_the_same_action() -> None:
    """They are loaded one by one, so nothing would say so at night."""
    assert len(installed().names) > 100


def test_an_adapter_that_no_step_uses_is_not_imported() -> None:
    program = (
        "import sys; from drctl.actions.registry import installed; installed().get('http.probe');"
        "print('drctl.adapters.http' in sys.modules, 'drctl.adapters.aws' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
