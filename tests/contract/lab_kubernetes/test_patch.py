"""Patches change what they name and nothing else."""

from typing import Any

import pytest

from drctl.lab.kubernetes.errors import ApiError
from drctl.lab.kubernetes.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, apply_patch

POD: dict[str, Any] = {
    "containers": [
        {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
        {"name": "b", "image": "b:1"},
    ],
    "finalizers": ["one", "two"],
}


def test_a_strategic_patch_merges_lists_by_their_key() -> None:
    patch = {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}
    patched = apply_patch(STRATEGIC_PATCH, POD, patch)
    assert patched["containers"][0] == {
        "name": "a",
        "image": "a:1",
        "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
    }
    assert patched["containers"][1] == POD["containers"][1]
    assert len(POD["containers"][0]["env"]) == 1


def test_a_strategic_patch_deletes_replaces_and_orders_on_request() -> None:
    gone = apply_patch(STRATEGIC_PATCH, POD, {"containers": [{"name": "a", "$patch": "delete"}]})
    assert [item["name"] for item in gone["containers"]] == ["b"]
    only = apply_patch(STRATEGIC_PATCH, POD, {"containers": [{"name": "c"}, {"$patch": "replace"}]})
    assert only["containers"] == [{"name": "c"}]
    ordered = apply_patch(
        STRATEGIC_PATCH,
        POD,
        {
            "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
            "containers": [{"name": "a", "image": "a:2"}],
        },
    )
    assert [item["name"] for item in ordered["containers"]] == ["b", "a"]
    fewer = apply_patch(STRATEGIC_PATCH, POD, {"$deleteFromPrimitiveList/finalizers": ["one"]})
    assert fewer["finalizers"] == ["two"]


def test_a_merge_patch_replaces_lists_and_null_removes() -> None:
    patched = apply_patch(
        MERGE_PATCH, {"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": None}, "d": []}
    )
    assert patched == {"a": {"c": 2}, "d": []}


def test_a_json_patch_does_all_or_nothing() -> None:
    document = {"a": [1, 2], "x/y": {"~": 0}}
    patched = apply_patch(
        JSON_PATCH,
        document,
        [
            {"op": "test", "path": "/a/0", "value": 1},
            {"op": "add", "path": "/a/-", "value": 3},
            {"op": "replace", "path": "/x~1y/~0", "value": 5},
            {"op": "move", "from": "/a/0", "path": "/b"},
            {"op": "copy", "from": "/b", "path": "/c"},
            {"op": "remove", "path": "/b"},
        ],
    )
    assert patched == {"a": [2, 3], "x/y": {"~": 5}, "c": 1}
    assert document == {"a": [1, 2], "x/y": {"~": 0}}
    for wrong in (
        [{"op": "remove", "path": "/nope"}],
        [{"op": "replace", "path": "/nope", "value": 1}],
        [{"op": "add", "path": "/a/9", "value": 1}],
        [{"op": "test", "path": "/a/0", "value": 9}],
    ):
        with pytest.raises(ApiError) as caught:
            apply_patch(JSON_PATCH, document, wrong)
        assert caught.value.code == 422


@pytest.mark.parametrize("patch", [{"op": "add"}, ["x"], [{"op": "fly", "path": "/a"}]])
def test_a_malformed_json_patch_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(ApiError) as caught:
        apply_patch(JSON_PATCH, {"a": 1}, patch)
    assert caught.value.code == 400
