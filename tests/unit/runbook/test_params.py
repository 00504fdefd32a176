"""The params of a call once its values are known."""

from datetime import timedelta
from typing import Any

import pytest

from drctl.actions.registry import Registry
from drctl.kernel.errors import InvalidError, Position
from drctl.runbook import UNKNOWN, Scope, bind_params, names_in
from drctl.runbook.values import CelType

SCOPE = Scope(
    {
        "steps.promote.outputs.endpoint": CelType("string"),
        "inputs.replicas": CelType("int"),
        "inputs.limit": CelType("duration"),
        "outputs.body": CelType("dyn"),
    }
)


def bind(registry: Registry, action: str, with_: dict[str, Any], **values: Any) -> Any:
    found = registry.get(action)
    assert found is not None
    return bind_params(found, with_, SCOPE, values, at=Position("f", 3, 5))


def told(registry: Registry, action: str, with_: dict[str, Any], **values: Any) -> str:
    with pytest.raises(InvalidError) as caught:
        bind(registry, action, with_, **values)
    assert {str(problem.at) for problem in caught.value.problems} == {"f:3:5"}
    return str(caught.value)


def test_values_keep_their_types(registry: Registry) -> None:
    with_ = {"replicas": "${{ inputs.replicas }}"}
    params = bind(registry, "kubernetes.deployment.scale", with_, inputs={"replicas": 5})
    assert params.replicas == 5


def test_a_duration_fits_whether_written_or_computed(registry: Registry) -> None:
    for limit in ("1m30s", "${{ inputs.limit }}", "${{ duration('90s') }}"):
        with_ = {"path": "/x", "limit": limit}
        params = bind(registry, "http.probe", with_, inputs={"limit": timedelta(seconds=90)})
        assert params.limit == timedelta(seconds=90)
    assert (
        bind(registry, "http.probe", {"path": "/x", "limit": "1.5s"}).limit.total_seconds() == 1.5
    )


def test_values_nested_in_a_mapping_are_filled_in(registry: Registry) -> None:
    with_ = {"name": "db", "data": {"host": "${{ steps.promote.outputs.endpoint }}", "port": "1"}}
    values = {"promote": {"outputs": {"endpoint": "a:1"}}}
    params = bind(registry, "kubernetes.secret.patch", with_, steps=values)
    assert params.data == {"host": "a:1", "port": "1"}


def test_an_unknown_value_makes_the_params_unknown(registry: Registry) -> None:
    with_ = {"name": "db", "data": {"host": "${{ steps.promote.outputs.endpoint }}"}}
    assert bind(registry, "kubernetes.secret.patch", with_) is UNKNOWN


def test_a_change_refuses_a_value_that_turned_out_empty(registry: Registry) -> None:
    """Empty selects nothing: a secret pointing nowhere is an outage of its own."""
    with_ = {"name": "db", "data": {"host": "${{ steps.promote.outputs.endpoint }}"}}
    values = {"promote": {"outputs": {"endpoint": ""}}}
    assert "DR1031: data.host is empty" in told(
        registry, "kubernetes.secret.patch", with_, steps=values
    )


def test_a_value_that_does_not_fit_is_told(registry: Registry) -> None:
    scale = "kubernetes.deployment.scale"
    with_ = {"replicas": "${{ inputs.replicas }}"}
    assert "replicas: this must be at least 1" in told(
        registry, scale, with_, inputs={"replicas": 0}
    )
    with_ = {"replicas": "${{ outputs.body }}"}
    assert "replicas: this must be a whole number" in told(
        registry, scale, with_, outputs={"body": "x"}
    )
    with_ = {"replicas": "${{ 1 / 0 }}"}
    assert "DR1044: 1 / 0 has no value" in told(registry, scale, with_)


def test_the_names_inside_a_with_are_found(registry: Registry) -> None:
    with_ = {"a": ["x ${{ inputs.replicas }}"], "b": {"c": "${{ outputs.body }}"}, "d": 3}
    assert names_in(with_, SCOPE) == {"inputs.replicas", "outputs.body"}
