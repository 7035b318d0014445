"""What a bench counts: instructions, the same in every run, each in its layer, and none that observing costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ares.ir import Binary
from ares.toolchain import RunFailure, Target, recipe_of
from ares.toolchain.bench import CLOCK, Measured, Round, bench_project, counter, measure
from ares.toolchain.callgrind import count_instructions
from tests.bench.burning import INPUT, built, measured, nops, project
from tests.cli.commands import need, script
from tests.toolchain.tiny_network import usable

BOARDS = ("m4-gcc-O2", "m7-gcc-O2", "m55-gcc-O3", "rv32-gcc-O2", "rv32-gcc-fpu")
HOST = "gcc-O2"
# Of calling an observer, which the executor does and the plain run does not.
_CALL = 40
_LONG = 1_500_000_000


@pytest.mark.parametrize("name", BOARDS)
def test_every_run_counts_the_same(name: str) -> None:
    target = usable(name)
    first, second = (measured(target, project(nops(500)), rounds=2).rounds for _ in range(2))
    assert first == second
    assert first[0] == first[1]


@pytest.mark.parametrize("name", BOARDS)
def test_instructions_show_in_their_layer_and_nowhere_else(name: str) -> None:
    target = usable(name)
    plain, burning = (
        measured(target, network).rounds[0] for network in (project(), project(nops(1009)))
    )
    one, two = plain.layers
    assert burning == Round(plain.plain + 1009, (one, two + 1009), plain.rest)


@pytest.mark.parametrize("name", BOARDS)
def test_layers_sum_to_the_run_that_nobody_observed(name: str) -> None:
    counts = measured(usable(name), project(nops(1000))).rounds[0]
    whole_run = sum(counts.layers) + counts.rest
    assert counts.plain - _CALL <= whole_run <= counts.plain + _CALL * (1 + len(counts.layers))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m4-gcc-O2", "m55-gcc-O3", "rv32-gcc-O2"])
def test_a_layer_of_more_ticks_than_a_timer_has(name: str) -> None:
    """32 bits of ticks are 1.3 thousand million instructions of a Cortex-M4."""
    loop = f'for (uint32_t i = 0; i < {_LONG}u; ++i) {{ __asm__ volatile("nop"); }}'
    counts = measured(usable(name), project(loop)).rounds[0]
    assert _LONG < counts.layers[1] < 4 * _LONG
    assert counts.layers[0] < 200


def test_a_round_of_several_runs_is_told_as_one() -> None:
    target = usable(BOARDS[0])
    once, often = (measured(target, project(nops(1000)), runs=runs).rounds[0] for runs in (1, 50))
    assert once.plain - _CALL <= often.plain <= once.plain
    assert once.layers == often.layers


def test_the_host_tells_time() -> None:
    loop = "for (volatile uint32_t i = 0; i < 300000u; ++i) { }"
    found = measured(usable(HOST), project(loop), rounds=9)
    best = [min(counts.layers[layer] for counts in found.rounds) for layer in (0, 1)]
    assert best[1] > 50_000  # ns
    assert best[0] < best[1] / 10
    assert found.stack is None


def test_valgrind_counts_on_the_host() -> None:
    need("valgrind")
    target = usable(HOST)
    plain, burning = (
        count_instructions(*built(target, network), target, [INPUT])
        for network in (project(), project(nops(1000)))
    )
    assert isinstance(plain, Round)
    assert isinstance(burning, Round)
    assert burning.layers == (plain.layers[0], plain.layers[1] + 1000)
    assert burning.plain == plain.plain + 1000


def test_a_board_tells_its_stack_and_its_outputs() -> None:
    target = usable(BOARDS[0])
    deep = "volatile uint8_t room[3000]; room[0] = 1; room[2999] = room[0];"
    shallow, deeper = (measured(target, network) for network in (project(), project(deep)))
    assert shallow.stack is not None
    assert deeper.stack is not None
    assert 2900 < deeper.stack - shallow.stack < 3100
    assert shallow.outputs[0].tolist() == INPUT.tolist()


def test_an_emulator_that_counts_nothing_says_so() -> None:
    (emulated,) = (usable(name) for name in ["riscv64-gcc-O2"])
    reason = counter(emulated.machine)
    assert isinstance(reason, str)
    assert "qemu-riscv64 counts no instructions" in reason
    board = usable(BOARDS[0]).machine
    strange = counter(replace(board, runner=("./flash.sh",)))
    assert strange == "./flash.sh is not QEMU, which counts instructions"


# --- a program that shows something else


GOOD = ("ares-bench 1 @", "round", "plain 1", "empty 0", "layer 1", "layer 2", "rest 1", "end")


def told(
    folder: Path, lines: Sequence[str], output: str = "abcd", code: int = 0, rounds: int = 1
) -> Measured:
    """What is taken from a program that prints these lines."""
    target: Target = usable(HOST)
    benched = bench_project(project(), CLOCK)
    recipe = recipe_of(benched, target)
    text = "\n".join(
        f"echo '{line}'" for line in (_line(line).replace("@", recipe.signature) for line in lines)
    )
    path = script(folder, "program", f"{text}\nprintf '{output}' > output\nexit {code}")
    return measure(
        *(Binary(path, recipe), benched, target, CLOCK, [INPUT]), rounds=rounds, runs=1, timeout=20
    )


def shown(folder: Path, lines: Sequence[str], output: str = "abcd", code: int = 0) -> RunFailure:
    """How a program that prints these lines is refused."""
    with pytest.raises(RunFailure) as caught:
        told(folder, lines, output, code)
    return caught.value


def _line(text: str) -> str:
    """A count in its 16 digits."""
    word, _, number = text.partition(" ")
    return f"{word} {int(number, 16):016x}" if number and word != "ares-bench" else text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("ares-bench 1 other", *GOOD[1:]), "expected 'ares-bench 1 "),
        (GOOD[:4] + GOOD[5:], "'rest 0000000000000001', expected a count of layer"),
        ((*GOOD[:6], "layer 3", *GOOD[6:]), "'layer 0000000000000003', expected a count of rest"),
        (GOOD[:-1], "'' where the end was due"),
        ((*GOOD, "more"), "'end' where the end was due"),
        (GOOD[:3], "'', expected a count of empty"),
    ],
)
def test_other_lines_are_refused(tmp_path: Path, lines: Sequence[str], message: str) -> None:
    failure = shown(tmp_path, lines)
    assert failure.kind == "malformed"
    assert message in str(failure)


def test_what_observing_costs_is_its_least(tmp_path: Path) -> None:
    """A round that was interrupted while nothing happened would make every layer of it cost nothing."""
    quiet = ("round", "plain 9", "empty 2", "layer 5", "layer 9", "rest 1")
    interrupted = ("round", "plain 9", "empty 99", "layer 6", "layer 1", "rest 1")
    found = told(tmp_path, (GOOD[0], *interrupted, *quiet, *interrupted, "end"), rounds=3).rounds
    assert [counts.layers for counts in found] == [(4, 0), (3, 7), (4, 0)]


def test_other_ends_are_refused(tmp_path: Path) -> None:
    assert shown(tmp_path, GOOD, output="abc").kind == "truncated"
    crash = shown(tmp_path, GOOD, code=6)
    assert crash.kind == "crash"
    assert "exit code 6" in str(crash)
