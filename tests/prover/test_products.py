"""Products of two inputs, sums of sums and real results: shown, and faults planted in them named."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ares.resources import checker_file
from tests.prover.faults import checked, compiled, replaced, require_named
from tests.prover.products import ProductsSubject

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")

FAULTS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "the zero point of a second input left out": (
        replaced("small.c", ".key_zero_point = -2", ".key_zero_point = 0"),
        {"scores"},
    ),
    # Both first inputs have a zero point.
    "the codes of a column not taken back": (
        replaced(
            "runtime/src/codes_product.c",
            "b->depth * ares_packed_zero_point(b) - sum",
            "b->depth * ares_packed_zero_point(b)",
        ),
        {"scores", "context"},
    ),
    "one position of a window without its zero point": (
        replaced(
            "runtime/src/conv_sum.c",
            "number * conv->input_zero_point",
            "(number - 1) * conv->input_zero_point",
        ),
        {"summed"},
    ),
    "a real bias left out": (
        replaced("small.c", ".bias = small_logits_bias", ".bias = NULL"),
        {"logits"},
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(ProductsSubject(), tmp_path_factory.mktemp("products"))


def test_all_are_shown_for_every_input(built: Path) -> None:
    assert checked(built) == (0, {})
    # Two programs at once: each has its own faults.
    words = [sys.executable, checker_file(), built, built / "probe", "--", built / "probe"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["shown"] for row in rows} == {"every input", "every input but for 2^-64"}
    assert [row["faults"] for row in rows] == [[None, None]] * len(rows)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(built: Path, tmp_path: Path, fault: str) -> None:
    require_named(built, tmp_path, *FAULTS[fault])
