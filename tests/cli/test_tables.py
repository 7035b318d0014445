"""Tables on terminals of 60, 80 and 200 columns: no word is broken, no name shortened."""

from __future__ import annotations

import pytest
from rich.text import Text

from ares.cli.networks import _by_subject, _by_target, _summary
from ares.pipeline.matrix import Matrix
from ares.tables import Column, fits, fitting_table, plain
from ares.toolchain import TARGETS, default_targets
from ares.verdict import STAGES, Outcome, Verdict
from ares.verifier.rendering import parts
from ares.verifier.verification import LayerLine, Verification
from tests.checkout import ZOO

WIDTHS = (60, 80, 200)
COLUMNS = (
    Column("layer"),
    Column("OpType", spare=1),
    Column("scale", right=True, spare=2),
    Column("what", wraps=True),
)
ROW = ("block0.attention.q", "OP_LINEAR_INT8", "0.0078", "a sentence of several words")


def table(width: int, rows: tuple[tuple[str, ...], ...] = (ROW,)) -> list[str]:
    texts = [[Text(cell) for cell in row] for row in rows]
    lines = plain(fitting_table(COLUMNS, texts, width), width).splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_all_columns_where_there_is_room() -> None:
    assert table(100)[1].split("  ") == list(ROW)
    texts = [[Text(cell) for cell in ROW]]
    assert fits(COLUMNS, texts, 52)
    assert not fits(COLUMNS, texts, 51)


def test_prose_wraps_at_words_before_a_column_goes() -> None:
    lines = table(52)
    assert "0.0078" in lines[1]
    assert [line.split()[-1] for line in lines[1:]][:2] != []
    assert {word for line in lines for word in line.split()} == {
        *ROW[:3], *ROW[3].split(), "layer", "OpType", "scale", "what",
    }  # fmt: skip


def test_columns_go_in_their_order_and_the_table_says_which() -> None:
    lines = table(50)
    assert lines[0].split() == ["layer", "OpType", "what"]
    assert lines[-1] == "(too narrow for: scale)"
    lines = table(35)
    assert lines[0].split() == ["layer", "what"]
    assert lines[-1].split() == ["(too", "narrow", "for:", "OpType,", "scale)"]
    assert ROW[0] in lines[1]


def test_a_name_that_is_wider_than_the_terminal_is_folded_not_shortened() -> None:
    name = "x" * 90
    lines = table(40, ((name, "OP", "1", "what"),))
    assert "".join(line.split()[0] for line in lines if line.startswith("x")).startswith("x" * 20)
    assert sum(line.count("x") for line in lines) == 90
    assert "…" not in "".join(lines)


# --- ares verify


def verification(targets: int = 4) -> Verification:
    chosen = tuple(t for t in TARGETS if t.default)[:targets]
    names = tuple(target.name for target in chosen)
    verdicts = tuple(
        Verdict("net", target.stage, Outcome.PASS, target=target.name) for target in chosen
    )
    line = LayerLine(
        "features.0.conv", "", "features.0.conv", "OP_GLOBAL_AVGPOOL", "s8", (1, 8), 0.0078125, -128, 0.089,
        217, 8e-08, 0.5, names, (), (),
    )  # fmt: skip
    last = LayerLine(
        "classifier", "", "classifier", "OP_LINEAR_FP32", "f32", (1, 10), None, 0, 0.0, 100, 8e-08, 0.5, (), names, (),
    )  # fmt: skip
    pad = LayerLine(
        "features.1.pad", "", "features.1.pad", "OP_ZEROPAD2D", "s8", (1, 8), 0.0078125, -128, 0.0, 217, 8e-08, 0.5,
        (), (), ("classifier",),
    )  # fmt: skip
    return Verification(
        "net",
        "Net",
        "samples.npz",
        ("a",),
        Matrix(verdicts, 1.0, chosen),
        (line, pad, last),
        (),
        (),
        (),
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_verify(width: int) -> None:
    (found,) = [part for part in parts(verification(), None, width) if not isinstance(part, Text)]
    lines = plain(found, width).splitlines()
    assert max(map(len, lines)) <= width
    words = {word.strip(",") for line in lines for word in line.split()}
    assert {"features.0.conv", "classifier", "DIFFERS", "wasm32-zig-O2", "gcc-asan"} <= words
    (pad,) = [line.split() for line in lines if line.startswith("features.1.pad")]
    assert pad[-2:] == ["in", "classifier"]
    assert ("8e-08" in words) == (width >= 60)
    assert ("217" in words) == (width == 200)
    assert ("(too" in words) == (width < 200)


# --- ares networks


def matrix(targets: int) -> Matrix:
    chosen = default_targets() if targets == 4 else TARGETS[:targets]
    names = ("test_4_resnet_basic", "test_13_transformer_simple")
    verdicts = [
        Verdict(name, stage, Outcome.PASS, seconds=1.0)
        for name in names
        for stage in (*(stage.name for stage in STAGES), *(target.stage for target in chosen))
    ]
    return Matrix(tuple(verdicts), 12.3, tuple(chosen))


@pytest.mark.parametrize("width", WIDTHS)
def test_networks(width: int) -> None:
    found = matrix(4)
    beside = _by_subject(found, width)
    # Side by side where that has room, else one below the other: either way every stage has its name, whole.
    assert (beside is None) == (width < 200)
    lines = plain(beside or _by_target(found, width), width).splitlines()
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {*(each.name for each in STAGES), *(t.stage for t in default_targets())} <= words
    assert "…" not in "".join(lines)


def test_columns_that_nothing_stands_in_are_left_out() -> None:
    found = matrix(4)
    head = plain(_by_target(found, 80), 80).splitlines()[0].split()
    assert head == ["stage", "processor", "exact", "failed", "s"]


@pytest.mark.parametrize(
    ("outcome", "begins"),
    [
        (Outcome.PASS, "EXACT: 1 network, 1 target, 1 cell: 1 exact, 0 failed; 2 s."),
        (Outcome.FAIL, "FAILED: 1 network, 1 target, 1 cell: 0 exact, 1 failed; 2 s. Failed: test_3_mlp."),
        (Outcome.NOT_RUN, "NO TARGET WAS RUN: 1 network, 1 target, 1 cell: 0 exact, 0 failed, 1 not run; 2 s."),
    ],
)  # fmt: skip
def test_the_last_line_begins_with_the_verdict(outcome: Outcome, begins: str) -> None:
    target = TARGETS[0]
    verdict = Verdict("test_3_mlp", target.stage, outcome, target=target.name)
    assert _summary(Matrix((verdict,), 2.0, (target,)), ZOO).plain == begins
