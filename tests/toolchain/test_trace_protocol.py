"""The lines of a trace and their one reader: how far a text is what was due."""

from __future__ import annotations

import pytest

from ares.toolchain import TARGETS
from ares.toolchain.trace_protocol import (
    BYTES,
    DIGEST,
    NAME,
    ORDER,
    layer_line,
    lines_of_run,
    output_line,
    read,
)

ONE, TWO = "0123456789abcdef", "fedcba9876543210"
CASE = (layer_line(3, "body.fc", "y"), output_line(0))
LITTLE = [target.machine for target in TARGETS if target.machine.byte_order == "little"]
HOST = next(machine for machine in LITTLE if machine.board is None)
BOARD = next(machine for machine in LITTLE if machine.board is not None)
GOOD = [
    "ares-trace 3 feed",
    "byte order little",
    "probe ok",
    "instruction set avx2",
    "case 4",
    f"layer 3 body.fc y {ONE}",
    f"output 0 {TWO}",
    "end 1",
]
MEASURED = [*GOOD[:-1], "stack 512", GOOD[-1]]
DUE = {
    "host": lines_of_run("feed", {4: CASE}, HOST, "avx2"),
    "board": lines_of_run("feed", {4: CASE}, BOARD, "avx2"),
    "unknown": lines_of_run("feed", {4: CASE}, None),
}


@pytest.mark.parametrize(
    ("machine", "lines", "values"),
    [
        ("host", GOOD, {DIGEST: (ONE, TWO)}),
        ("board", MEASURED, {DIGEST: (ONE, TWO), BYTES: ("512",)}),
        ("unknown", GOOD, {DIGEST: (ONE, TWO), BYTES: (), ORDER: ("little",), NAME: ("avx2",)}),
        (
            "unknown",
            MEASURED,
            {DIGEST: (ONE, TWO), BYTES: ("512",), ORDER: ("little",), NAME: ("avx2",)},
        ),
    ],
)
def test_a_good_run_is_read_to_its_end(
    machine: str, lines: list[str], values: dict[object, tuple[str, ...]]
) -> None:
    reading = read([*lines, "and more"], DUE[machine])
    assert reading.due is None
    assert reading.place == "after its last line"
    assert [line.text for line, _ in reading.lines] == [
        text.removesuffix(value) for text, (_, value) in zip(lines, reading.lines, strict=True)
    ]
    for kind in (DIGEST, BYTES, ORDER, NAME):
        assert reading.values(kind) == values.get(kind, ())


@pytest.mark.parametrize("machine", DUE)
def test_every_line_is_due_at_its_place(machine: str) -> None:
    lines = MEASURED if machine == "board" else GOOD
    for count in range(len(lines)):
        for rest in ([], ["noise"], lines[count + 1 :], [f"{lines[count]} "], [lines[count][1:]]):
            reading = read([*lines[:count], *rest], DUE[machine])
            due = reading.due
            assert due is not None
            assert len(reading.lines) == count
            assert lines[count].startswith(due.text)
            place = f"before {due.text.strip()!r}" + (" of case 4" if count > 4 else "")
            assert reading.place == place


@pytest.mark.parametrize(
    ("line", "due"),
    [("stack 0", "stack BYTES"), ("stack ", "stack BYTES"), ("stacks", "end 1"), ("", "end 1")],
)
def test_a_stack_is_left_out_or_right(line: str, due: str) -> None:
    reading = read([*GOOD[:-1], line, GOOD[-1]], DUE["unknown"])
    assert str(reading.due) == due


def test_a_board_measures_and_a_host_does_not() -> None:
    assert str(read(GOOD, DUE["board"]).due) == "stack BYTES"
    assert str(read(MEASURED, DUE["host"]).due) == "end 1"


def test_a_machine_has_one_byte_order() -> None:
    big = [GOOD[0], "byte order big", *GOOD[2:]]
    assert str(read(big, DUE["host"]).due) == "byte order little"
    assert read(big, DUE["unknown"]).due is None
    middle = [GOOD[0], "byte order middle", *GOOD[2:]]
    assert str(read(middle, DUE["unknown"]).due) == "byte order little or big"


def test_a_row_that_expects_an_instruction_set_has_no_other() -> None:
    portable = [*GOOD[:3], "instruction set portable", *GOOD[4:]]
    assert str(read(portable, DUE["host"]).due) == "instruction set avx2"
    assert read(portable, DUE["unknown"]).due is None
    for none in ("instruction set ", "instruction set", "instruction set \t"):
        assert str(read([*GOOD[:3], none], DUE["unknown"]).due) == "instruction set NAME"


def test_lines_as_messages_name_them() -> None:
    assert [str(line) for line in CASE] == ["layer 3 body.fc y DIGEST", "output 0 DIGEST"]
