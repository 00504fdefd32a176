import pytest

from drctl.actions.registry import installed


@pytest.fixture(scope="session")
def registry():
    return installed()
