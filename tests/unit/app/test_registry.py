"""Which actions are imported, and when."""

import subprocess
import sys

import pytest

from drctl.actions.contract import Adapter
from drctl.actions.late import Late
from drctl.actions.registry import Registry, installed
from drctl.adapters.http import ADAPTER as HTTP
from drctl.adapters.shell import ADAPTER as SHELL
from drctl.adapters.slack import ADAPTER as SLACK
from drctl.kernel.errors import InvalidError


def test_an_action_is_the_same_object_each_time() -> None:
    made = Registry([HTTP, SHELL])
    assert made.get("http.probe") is made.get("http.probe") is not None
    assert made.get("") is made.get("http.bogus") is None


def test_an_adapter_may_give_its_parts_as_they_are() -> None:
    late = Registry([HTTP, SHELL, SLACK])
    plain = Registry(
        Adapter(
            name=one.name,
            actions=_whole(one.actions),
            checks=_whole(one.checks),
            libraries=one.libraries,
        )
        for one in (HTTP, SHELL, SLACK)
    )
    assert plain.names == late.names
    assert plain.checks == late.checks
    assert plain.libraries == late.libraries
    assert list(plain) == list(late)


def _whole(things):
    return tuple(things.values()) if isinstance(things, Late) else things


def test_two_adapters_with_the_same_action_are_told_apart() -> None:
    with pytest.raises(InvalidError, match="DR5006"):
        Registry([HTTP, HTTP])


def test_two_adapters_with_the_same_store_are_told_apart() -> None:
    stores = Late("drctl.adapters.aws", {"s3": "s3_cell:S3Store"})
    made = Registry([Adapter(name=name, actions=(), stores=stores) for name in ("one", "other")])
    with pytest.raises(InvalidError, match="DR5006"):
        made.store("s3")


def test_what_is_declared_under_another_name_is_refused() -> None:
    late = Late("drctl.adapters.http", {"http.prob": "probe:Probe"})
    with pytest.raises(TypeError, match=r"http\.probe"):
        Registry([Adapter(name="http", actions=late)]).get("http.prob")


def test_everything_that_our_adapters_declare_is_there() -> None:
    made = installed()
    assert len(list(made)) == len(made.names) > 100
    assert [made.store(name).name for name in made.stores] == ["kubernetes", "postgres", "s3"]
    assert len({pin.name for pin in made.pins}) == len(made.pins) == 7
    assert len({check.name for check in made.checks}) == len(made.checks) > 15


def test_an_action_that_no_step_uses_is_not_imported() -> None:
    program = (
        "import sys; from drctl.actions.registry import installed; made = installed();"
        "made.get('http.probe'); made.names; made.libraries; made.stores;"
        "print(*sorted(one for one in sys.modules if one.startswith('drctl.adapters.')"
        " and one.count('.') > 2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.split() == ["drctl.adapters.http.probe"]
