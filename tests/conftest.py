"""Holds for all tests: folders that own a loopback net run in one worker."""

import pytest

OWN_NET = ("contract", "e2e")


def pytest_collection_modifyitems(items):
    for item in items:
        parts = item.path.parts
        kind = next((name for name in OWN_NET if name in parts), None)
        if kind is None:
            continue
        net = item.get_closest_marker("net")
        folder = parts[parts.index(kind) + 1]
        group = f"net{net.args[0]}" if net else f"{kind}-{folder}"
        if kind == "e2e" and net is None:
            group = f"e2e-{item.name}"
        item.add_marker(pytest.mark.xdist_group(group))
