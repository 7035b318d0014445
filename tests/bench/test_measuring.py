"""The cost of a network: every layer has one, a wrong program has none, and records keep what was measured."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ares.bench.machine import RecordError, entry, with_entry
from ares.bench.measuring import Bench, build_bench, cost_of
from ares.bench.record import BenchError, Comparison, Cost, Spread
from ares.bench.rendering import parts, three, time
from ares.documents.pages.performance import performance_page
from ares.pipeline.network import NetworkSubject
from ares.tables import plain
from ares.toolchain.bench import bench_project
from tests.checkout import ZOO
from tests.toolchain.tiny_network import usable
from tests.witness.planting import patched

NETWORK = "test_1_simplecnn"
BOARD, HOST, EMULATED = "m4-gcc-O2", "gcc-O2", "riscv64-gcc-O2"


@pytest.fixture(scope="module")
def subject() -> NetworkSubject:
    return NetworkSubject(ZOO.paths(NETWORK))


@pytest.fixture(scope="module")
def costs(subject: NetworkSubject) -> dict[str, Cost]:
    return {
        name: cost_of(build_bench(subject, usable(name)), 0.05) for name in (BOARD, HOST, EMULATED)
    }


def test_a_board_counts_every_layer(subject: NetworkSubject, costs: dict[str, Cost]) -> None:
    cost = costs[BOARD]
    assert cost.instructions is not None
    assert cost.time is None
    assert cost == cost_of(build_bench(subject, usable(BOARD)), 0.05)
    layers = [row.instructions or 0 for row in cost.layers]
    assert min(layers) > 0
    assert 0 <= sum(layers) - cost.instructions + 500 < 1000
    assert {row.layer for row in cost.layers} == {each.name for each in subject.graph.operations}
    assert sum(row.macs for row in cost.layers) == cost.macs == subject.macs
    assert cost.stack is not None
    assert 200 < cost.stack < 8192
    assert cost.code is not None
    assert cost.constants is not None
    assert cost.constants > subject.graph.operations[1].weight.nbytes  # type: ignore[attr-defined]
    assert cost.arena >= cost.arena_bound > 0


def test_the_host_tells_time_of_every_layer(costs: dict[str, Cost]) -> None:
    cost = costs[HOST]
    assert cost.time is not None
    assert 0 < cost.time.best <= cost.time.low <= cost.time.median <= cost.time.high
    assert all(row.time is not None for row in cost.layers)
    assert cost.stack is None
    assert cost.without["stack"] == "measured on boards only"


def test_an_emulated_processor_has_bytes_only(costs: dict[str, Cost]) -> None:
    cost = costs[EMULATED]
    assert (cost.time, cost.instructions) == (None, None)
    assert cost.code is not None
    assert "counts no instructions" in cost.without["time and instructions"]


def test_a_wrong_program_has_no_cost(subject: NetworkSubject) -> None:
    bench = build_bench(subject, usable(BOARD))
    wrong = np.zeros_like(subject.expected(0)[subject.graph.outputs[0]])

    class Wrong(NetworkSubject):
        def expected(self, case: int) -> dict[str, np.ndarray]:
            return dict.fromkeys(self.graph.outputs, wrong)

    other: Bench = replace(bench, subject=Wrong(subject.paths))
    with pytest.raises(BenchError, match="is not the golden's; ares networks test_1_simplecnn"):
        cost_of(other, 0.05)


def test_what_is_burnt_in_a_kernel_shows_in_its_layer(
    subject: NetworkSubject, costs: dict[str, Cost]
) -> None:
    bench = build_bench(subject, usable(BOARD))
    start = "ares_status ares_max_pool2d("
    source = bench.project.files["runtime/src/max_pool2d.c"].decode()
    head = source[source.index(start) :].partition("{\n")[0] + "{\n"
    burnt = head + '    __asm__ volatile(".rept 1000\\n\\tnop\\n\\t.endr");\n'
    project = patched(subject.project, "runtime/src/max_pool2d.c", head, burnt)
    assert not isinstance(bench.counter, str)
    burning = NetworkSubject(subject.paths)
    burning.__dict__["project"] = project
    from ares.toolchain import build

    benched = bench_project(project, bench.counter)
    binary = build(benched, bench.target)
    cost = cost_of(replace(bench, project=benched, binary=binary), 0.05)
    pairs = zip(cost.layers, costs[BOARD].layers, strict=True)
    for row, before in pairs:
        assert row.instructions is not None
        assert before.instructions is not None
        more = row.instructions - before.instructions
        # A longer function may move others, whose loops gcc does not change; nothing else is near a thousand.
        assert (990 < more < 1010) if row.op_type == "OP_MAXPOOL" else abs(more) < 10


# --- records


def comparison(ratio: float) -> Comparison:
    spread = Spread.of([ratio, ratio * 1.1])
    return Comparison("litert", "9.9", spread, spread, spread, 0.5, 1.25)


def test_json_says_all(costs: dict[str, Cost]) -> None:
    for cost in costs.values():
        compared = replace(cost, against=(comparison(0.9),))
        assert Cost.from_json(json.loads(json.dumps(compared.as_json()))) == compared


def test_a_record_takes_the_place_of_an_older_one(costs: dict[str, Cost]) -> None:
    board, host = costs[BOARD], costs[HOST]
    first = with_entry(None, entry([board, host], "first"))
    again = entry([replace(board, instructions=7)], "again")
    entries = json.loads(with_entry(first, again))["entries"]
    assert [(each["command"], len(each["costs"])) for each in entries] == [
        ("first", 1),
        ("again", 1),
    ]
    assert entries[0]["costs"][0]["target"] == HOST
    # Of another machine both stay.
    elsewhere = {**again, "machine": {**again["machine"], "processor": "another"}}
    entries = json.loads(with_entry(first, elsewhere))["entries"]
    assert [len(each["costs"]) for each in entries] == [2, 1]
    # What nothing is left of goes.
    both = entry([board, host], "both")
    assert [each["command"] for each in json.loads(with_entry(first, both))["entries"]] == ["both"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "other", "entries": []}',
        '{"format": "ares-bench-1", "entries": [1]}',
    ],
)
def test_another_file_is_no_file_of_records(text: str, costs: dict[str, Cost]) -> None:
    with pytest.raises(RecordError):
        with_entry(text, entry([costs[BOARD]], ""))


def test_the_page_says_machine_and_figures(costs: dict[str, Cost]) -> None:
    cost = replace(costs[HOST], against=(comparison(0.5),))
    made = entry([cost, costs[BOARD]], "ares bench test_1")
    page = performance_page([made])
    assert made["machine"]["processor"] in page
    assert made["runtime"] in page
    assert f"| {costs[BOARD].instructions:,} |" in page
    assert "litert 9.9" in page
    assert "0.53 (0.51 to 0.54)" in page
    assert "QEMU emulator version" in page
    assert f"<summary>{NETWORK} on {BOARD}, by layer</summary>" in page


@pytest.mark.parametrize("width", [60, 80, 200])
def test_tables_fit_and_name_every_layer(width: int, costs: dict[str, Cost]) -> None:
    board = costs[BOARD]
    text = "\n".join(plain(part, width) for part in parts([board], width, layers=True))
    assert all(row.layer in text for row in board.layers)
    assert f"{board.instructions:,}" in text
    # A figure that nobody has, has no column.
    assert "best" not in text
    assert "no time on m4-gcc-O2: how long an emulator takes says nothing of a board" in " ".join(
        text.split()
    )


def test_times_and_spreads_are_told_in_three_digits() -> None:
    assert [time(ns) for ns in (0.4, 999, 1000, 123_456, 12_345_678, 2e9)] == (
        ["0 ns", "999 ns", "1.00 us", "123 us", "12.3 ms", "2.00 s"]
    )
    assert [three(value) for value in (0.123, 9.999, 12.34, 1234.5)] == (
        ["0.12", "10.00", "12.3", "1234"]
    )
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(1.0, 3.0, 2.0, 4.0)
