"""One small network, recorded once, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ares.pipeline.catalogue import Zoo
from ares.pipeline.front import Front, Store
from ares.pipeline.network import NetworkSubject
from ares.toolchain import Cache
from ares.verdict import STAGES
from tests.pipeline.fake_checkout import NAME, make_checkout, probe_paths
from tests.witness.planting import prepared


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def files(original: Path) -> tuple[Path, ...]:
    return Zoo(original).files(NAME)


@pytest.fixture(scope="session")
def session(original: Path) -> NetworkSubject:
    return prepared(probe_paths(original))


@pytest.fixture(scope="session")
def front(session: NetworkSubject) -> Front:
    verdicts = [replace(session.stage(stage), seconds=0.5) for stage in STAGES]
    return Front.of(session, tuple(verdicts))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Cache(tmp_path / "cache"))
