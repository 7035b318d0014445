"""Proofs as verdicts beside those of the compiled C: what is planted in the C is named by target and layer."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ares.pipeline.matrix import Matrix
from ares.pipeline.result_files import as_json, as_junit
from ares.prover import proving
from ares.prover.certificate import Certificate, certificate_of
from ares.prover.proving import EVERY, NOT_EXACT, SAMPLES, LayerProof, Proof, kinds_of
from ares.prover.verdicts import Judged, judge_proofs, with_proofs
from ares.toolchain import select
from ares.verdict import Outcome, Verdict
from tests.prover.faults import exchanged, number, replaced
from tests.prover.small import SmallSubject, folder_of

TARGETS = select(["gcc-O2"])


def proof(target: str, **layers: str) -> Proof:
    """Of layers by kind; one that is NOT EXACT has a fault."""
    rows = [
        LayerProof(n, "OP", EVERY if kind == NOT_EXACT else kind, 3, "x" * (kind == NOT_EXACT))
        for n, kind in layers.items()
    ]
    return Proof(target, "cc", tuple(rows))


def test_the_least_of_all_targets_counts() -> None:
    proofs = (proof("a", one=EVERY, two=SAMPLES), proof("b", one=NOT_EXACT, two=EVERY))
    assert kinds_of(proofs) == {"one": NOT_EXACT, "two": SAMPLES}
    assert proofs[0].said() == "1 of 2 layers for every input, 1 by a bound on paper and samples"
    assert proofs[1].said().startswith("NOT EXACT at one; ")


def test_proofs_stand_behind_the_subject_s_own_verdicts() -> None:
    own = [Verdict(name, "c[gcc-O2]", Outcome.PASS, target="gcc-O2") for name in ("a", "b")]
    judged = [
        Judged((Verdict(name, "proof[gcc-O2]", Outcome.PASS, f"{name} said", target="gcc-O2"),), ())
        for name in ("b", "a")
    ]
    matrix = with_proofs(Matrix(tuple(own), 1.0, TARGETS), judged, 2.0)
    assert [(v.network, v.stage) for v in matrix.verdicts] == [
        *(("a", "c[gcc-O2]"), ("a", "proof[gcc-O2]")),
        *(("b", "c[gcc-O2]"), ("b", "proof[gcc-O2]")),
    ]
    assert matrix.stages == ("c[gcc-O2]", "proof[gcc-O2]")
    assert matrix.seconds == 3.0
    assert "a said" in as_json(matrix)
    assert "pass: b said" in as_junit(matrix)


def test_a_board_is_left_out() -> None:
    (verdict,) = judge_proofs(SmallSubject(), select(["m4-gcc-O2"])).verdicts
    assert (verdict.stage, verdict.outcome) == ("proof[m4-gcc-O2]", Outcome.LEFT_OUT)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "one wrong entry of a table": (number("small_tanh_table", 77, 1), "tanh"),
    "two rows of weights exchanged": (exchanged("small_gelu_weight", 0, 4, 4), "gelu"),
    "a zero point left out": (
        replaced("small.c", ".input_zero_point = 3,", ".input_zero_point = 0,"),
        "conv",
    ),
}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, layer = FAULTS[fault]

    def broken(subject: SmallSubject) -> Certificate:
        found = certificate_of(subject)
        folder = folder_of({n: d for n, d in found.project.files.items() if "/" not in n}, tmp_path)
        plant(folder)
        files = {path.name: path.read_bytes() for path in folder.glob("*")}
        project = replace(found.project, files={**found.project.files, **files})
        return replace(found, project=project)

    monkeypatch.setattr(proving, "certificate_of", broken)
    (verdict,) = judge_proofs(SmallSubject(), TARGETS).verdicts
    assert (verdict.outcome, verdict.fault, verdict.layer) == (Outcome.FAIL, "not right", layer)
    assert f"NOT EXACT at {layer}; " in verdict.message
    assert f"{layer} (" in verdict.message


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_what_is_right_says_for_which_inputs() -> None:
    judged = judge_proofs(SmallSubject(), TARGETS)
    (verdict,) = judged.verdicts
    assert (verdict.outcome, verdict.target) == (Outcome.PASS, "gcc-O2")
    # No weights but 127 make the largest sums of "wide", and its steps reach them.
    (bound,) = (layer.layer for layer in judged.proofs[0].layers if layer.kind == SAMPLES)
    assert bound == "wide"
    assert verdict.message.startswith(
        "13 of 14 layers for every input (4 of them but for 2^-64), 1"
    )
