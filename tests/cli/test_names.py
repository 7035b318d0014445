"""A network by what its name begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ares.pipeline.catalogue import UnknownNetwork, Zoo
from tests.checkout import ZOO


def test_a_number_is_enough() -> None:
    assert ZOO.subject("test_4") == "test_4_resnet_basic"
    assert ZOO.paths("test_4").name == "test_4_resnet_basic"
    assert ZOO.paths("test_4.py").source.name == "test_4_resnet_basic.py"
    # Not test_10 and its like.
    assert ZOO.subject("test_1") == "test_1_simplecnn"


def test_a_whole_name_is_itself(tmp_path: Path) -> None:
    zoo = Zoo(tmp_path)
    zoo.sources.mkdir(parents=True)
    for name in ("test_1_a", "test_1_a_b"):
        (zoo.sources / f"{name}.py").touch()
    assert zoo.subject("test_1_a") == "test_1_a"


def test_a_beginning_of_several_names_them() -> None:
    with pytest.raises(UnknownNetwork, match="'ops' is the beginning of several: ops_ae, ops_fm"):
        ZOO.subject("ops")


@pytest.mark.parametrize("name", ["", "_", "test_4_", "test_4_res", "TEST_4", ".py", "4"])
def test_anything_else_is_unknown(name: str) -> None:
    with pytest.raises(UnknownNetwork, match="no network named"):
        ZOO.subject(name)
