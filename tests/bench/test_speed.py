"""`tools/compare_speed.py` counts every instruction and nothing around an inference; what the record says in short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ares.bench.speed import Compared, Counts, SpeedError, read_speed, write_speed
from ares.documents.pages.performance import speed_section
from tests.bench.burning import INPUT, nops, project
from tests.cli.commands import need
from tests.toolchain.tiny_network import usable
from tools.compare_speed import CompareError, Emitted, compare, plugin_for_qemu

TARGETS = ("gcc-O2", "s390x-gcc-O2", "powerpc64le-gcc-O2", "m4-gcc-nodsp", "rv32-gcc-O2")


def emitted(planted: str = "") -> Emitted:
    return Emitted(project(planted), INPUT.tobytes())


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("gcc")
    return plugin_for_qemu(tmp_path_factory.mktemp("plugin"))


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_network_does_more_is_counted_exactly(name: str, plugin: Path) -> None:
    need("qemu-x86_64")
    counts = compare(emitted(nops(500)), emitted(nops(500 + 1009)), usable(name), plugin)
    assert counts.after - counts.before == 1009
    assert 500 < counts.before < 1500


def test_another_output_is_not_compared(plugin: Path) -> None:
    need("qemu-x86_64")
    wrong = emitted("((unsigned char *)outputs[0])[0] = 1; return ARES_OK;")
    with pytest.raises(CompareError, match="outputs are not"):
        compare(emitted(), wrong, usable("gcc-O2"), plugin)


def test_a_machine_that_is_not_qemus_is_refused(plugin: Path) -> None:
    with pytest.raises(CompareError, match="is not QEMU"):
        compare(emitted(), emitted(), usable("wasm32-zig-O2"), plugin)


def compared(target: str = "t", before: str = "old", **networks: tuple[int, int]) -> Compared:
    counts = {name: Counts(*pair) for name, pair in networks.items()}
    return Compared(target, "isa", "cc 1", "qemu 7", before, "new", counts)


def test_slowest_first_and_slower_only_above_one() -> None:
    found = compared(fast=(8, 2), same=(7, 7), slow=(100, 101), slower=(2, 3))
    assert found.ratios == {"slower": 1.5, "slow": 1.01, "same": 1.0, "fast": 0.25}
    assert list(found.ratios) == ["slower", "slow", "same", "fast"]
    assert list(found.slower) == ["slower", "slow"]
    assert found.median == (1.01 + 1.0) / 2


def test_a_record_is_read_as_it_was_written() -> None:
    one, two = compared("b", n=(2, 1)), compared("a", n=(4, 5))
    assert read_speed(write_speed((one,), two)) == (two, one)


def test_networks_of_the_same_runtimes_stay_and_others_go() -> None:
    kept = (compared(n=(2, 1), m=(3, 3)),)
    (again,) = read_speed(write_speed(kept, compared(m=(3, 2))))
    assert again == compared(n=(2, 1), m=(3, 2))
    (other,) = read_speed(write_speed(kept, compared(before="older", m=(3, 2))))
    assert other == compared(before="older", m=(3, 2))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "ares-bench-1", "targets": []}',
        '{"format": "ares-speed-1", "targets": [1]}',
        write_speed((), compared()),
        write_speed((), compared(n=(0, 1))),
    ],
)
def test_another_file_is_no_record(text: str) -> None:
    with pytest.raises(SpeedError):
        read_speed(text)


def test_the_page_has_a_row_a_target_and_names_what_is_slower() -> None:
    text = "\n".join(
        speed_section((compared("a", m=(2, 1), n=(200, 203)), compared("b", m=(4, 3))))
    )
    assert "| `a` | isa | 2 | 1.015 `n` | 0.757 | 0.500 `m` | `n` 1.015 |" in text
    assert "| `b` | isa | 1 | 0.750 `m` | 0.750 | 0.750 `m` | none |" in text


def test_the_records_of_the_repository_can_be_read() -> None:
    from ares.documents.pages.performance import SPEED
    from tests.checkout import ROOT

    found = read_speed((ROOT / SPEED).read_text(encoding="utf-8"))
    assert len({each.target for each in found}) == len(found) > 0
    assert json.loads((ROOT / SPEED).read_text(encoding="utf-8"))["format"] == "ares-speed-1"
