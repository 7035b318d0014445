"""How many bytes a network takes: what is planted into it is counted, and what is planted beside it is not."""

from __future__ import annotations

import pytest

from ares.ir import Project
from ares.toolchain.sizes import Sizes, read_map, sizes
from tests.bench.burning import built, nops, project
from tests.toolchain.tiny_network import usable

TARGETS = {"m4-gcc-O2": 2, "rv32-gcc-O2": 2, "gcc-O2": 1, "riscv64-gcc-O2": 2}
"""Target -> bytes of an instruction that does nothing."""
_TABLE = "static const unsigned char table[4096] = {1};"
_USED = "if (table[7 * *(const uint8_t *)inputs[0]] == 2) { return ARES_STOPPED; }"
# A branch more, and what alignment adds.
_SLACK = 64


def found(name: str, network: Project) -> Sizes:
    target = usable(name)
    answer = sizes(*built(target, network), target)
    assert isinstance(answer, Sizes), answer
    return answer


@pytest.mark.parametrize("name", TARGETS)
def test_code_and_constants_of_the_network_are_counted(name: str) -> None:
    plain = found(name, project())
    code = found(name, project(nops(2000)))
    constants = found(name, project(_USED, _TABLE))
    assert 0 <= code.code - plain.code - 2000 * TARGETS[name] <= _SLACK
    assert code.constants == plain.constants
    assert 0 <= constants.constants - plain.constants - 4096 <= _SLACK
    assert constants.code - plain.code <= _SLACK
    # Two kernels, the executor; tensors, layers and their names.
    assert 100 < plain.code < 2000
    assert 100 < plain.constants < 1000


@pytest.mark.parametrize("name", TARGETS)
def test_the_program_around_it_is_not(name: str) -> None:
    used = "if (table[argc] == 2) { return 1; }"
    assert found(name, project(in_main=nops(2000) + used, before_main=_TABLE)) == found(
        name, project()
    )


def test_what_cannot_be_known_says_why() -> None:
    target = usable("gcc-lto")
    assert sizes(*built(target, project()), target) == (
        "link-time optimisation leaves no files to tell apart"
    )
    assert read_map("nothing of the kind", 1) == "the linker's map is of another kind"
