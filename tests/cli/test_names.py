"""A network by what its name begins with."""

from __future__ import annotations

import pytest

from ares.pipeline import catalogue
from ares.pipeline.catalogue import UnknownNetwork, subject_name, zoo_paths


def test_a_number_is_enough() -> None:
    assert subject_name("test_4") == "test_4_resnet_basic"
    assert zoo_paths("test_4").name == "test_4_resnet_basic"
    assert zoo_paths("test_4.py").source.name == "test_4_resnet_basic.py"
    # Not test_10 and its like.
    assert subject_name("test_1") == "test_1_simplecnn"


def test_a_whole_name_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "network_names", lambda: ("test_1_a", "test_1_a_b"))
    assert subject_name("test_1_a") == "test_1_a"


def test_a_beginning_of_several_names_them() -> None:
    with pytest.raises(UnknownNetwork, match="'ops' is the beginning of several: ops_ae, ops_fm"):
        subject_name("ops")


@pytest.mark.parametrize("name", ["", "_", "test_4_", "test_4_res", "TEST_4", ".py", "4"])
def test_anything_else_is_unknown(name: str) -> None:
    with pytest.raises(UnknownNetwork, match="no network named"):
        subject_name(name)
