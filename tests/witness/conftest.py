"""Networks without a fault, made once for all files of pitfalls."""

from __future__ import annotations

from functools import cache

import pytest

from ares.pipeline.network import NetworkSubject
from ares.verdict import Outcome
from tests.toolchain.tiny_network import portable_target
from tests.witness.pitfalls import TEXTS, Good
from tests.witness.planting import prepared, with_golden, write_network


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    """Networks without a fault, made once: all stages and the C are green. Ask before anything is planted."""

    @cache
    def session(name: str) -> NetworkSubject:
        paths = write_network(tmp_path_factory.mktemp(name), TEXTS[name], name)
        made = prepared(with_golden(paths))
        verdict = made.target(portable_target())
        assert verdict.outcome is Outcome.PASS, verdict.message
        return made

    return session
