import pytest

from tests.unit.apiserver.admission.world import World


@pytest.fixture
def world() -> World:
    return World()
