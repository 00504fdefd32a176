"""Holds for all tests: what owns a loopback net runs in one worker, and in one go."""

import pytest

OWN_NET = ("contract", "e2e")
SAFETY_APART = {"faults", "leases", "postgres"}
"""Suites that say themselves what may run beside what."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    for item in items:
        group = _group(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    yield
    # Random order inside a folder, not across folders: an estate of a folder is then built once.
    items.sort(key=lambda item: str(item.path.parent))


def _group(item) -> str | None:
    """Tests of one group never run at the same time."""
    parts = item.path.parts
    if "safety" in parts:
        suite = parts[parts.index("safety") + 1]
        return None if suite in SAFETY_APART else f"safety-{suite}-{item.path.stem}"
    kind = next((name for name in OWN_NET if name in parts), None)
    if kind is None:
        return None
    net = item.get_closest_marker("net")
    if kind == "e2e":
        if net is None:
            message = f"{item.nodeid} must say which net it takes: @pytest.mark.net(N)"
            raise pytest.UsageError(message)
        return f"e2e-{net.args[0]}"
    return f"contract-{parts[parts.index(kind) + 1]}"
