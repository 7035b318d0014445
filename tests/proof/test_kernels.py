"""Eva on kernels: a sample of the proofs every day, and faults that it must see. `tox -e proof` runs all of them."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.proof.catalogue import ROOT, Proof, program, proofs, sources
from tests.proof.eva import Found, missing_tools, prove, prove_program
from tests.proof.harness import bound
from tests.proof.judging import accepted, files_without_proof, is_vacuous, unaccepted
from tests.slow import slow_but
from tools.prove_kernels import main

MISSING = missing_tools()
needs_frama_c = pytest.mark.skipif(
    bool(MISSING), reason=f"frama-c is not here: apt-get install {' '.join(MISSING)}"
)
ALL = tuple(proofs())
# One of these kernels a day, at its first geometry: seconds each.
CHEAP = (
    "ares_max_pool2d",
    "ares_lookup",
    "ares_slice",
    "ares_take2d",
    "ares_zero_pad2d",
    "ares_embedding",
    "ares_mean",
)


def first_of(kernel: str) -> Proof:
    return next(proof for proof in ALL if proof.kernel == kernel)


@needs_frama_c
def test_the_kernel_of_today(tmp_path: Path) -> None:
    proof = first_of(CHEAP[int(time.time()) // 86400 % len(CHEAP)])
    found = prove(proof, tmp_path)
    assert not is_vacuous(found), proof.name
    assert unaccepted(found) == [], proof.name


@dataclass(frozen=True, slots=True)
class Fault:
    """In `file` of the runtime, or in the harness where there is none, `wrong` in place of the first `right`."""

    what: str
    kernel: str
    file: str
    right: str
    wrong: str
    kind: str


FAULTS = (
    Fault(
        "an index one beyond",
        "ares_lookup",
        "src/lookup.c",
        "out[i] = p->table[in[i]]",
        "out[i] = p->table[in[i] + 1]",
        "mem_access|index_bound|pointer_value",
    ),
    Fault(
        "a shift of 64",
        "ares_rotary",
        "inc/wide.h",
        "const int32_t bits = shift - 32;",
        "const int32_t bits = shift - 10;",
        "shift",
    ),
    Fault(
        "a sum that leaves int32",
        "ares_mul",
        "src/mul.c",
        "(ares_load_code(in1, i, signed1) - zero1)",
        "(ares_load_code(in1, i, signed1) - zero1) * 65536",
        "overflow",
    ),
    Fault(
        "an unsigned byte read as a signed one",
        "ares_lookup",
        "src/lookup.c",
        "p->table[in[i]]",
        "p->table[(int8_t)in[i]]",
        "mem_access|index_bound|pointer_value",
    ),
    Fault(
        "an accumulator without a beginning",
        "ares_depthwise",
        "src/micro_portable.c",
        "        int32_t sum = 0;\n",
        "        int32_t sum;\n",
        "initialization",
    ),
    Fault(
        "scratch of a byte less",
        "ares_conv2d",
        "",
        "uint8_t scratch[240];",
        "uint8_t scratch[239];",
        "mem_access|precondition|pointer_value",
    ),
    Fault(
        "an output that is not written",
        "ares_lookup",
        "src/lookup.c",
        "i < p->elements; ++i",
        "i + 1 < p->elements; ++i",
        "assertion",
    ),
    Fault(
        "a float that no int32 holds",
        "ares_quantize_f32",
        "src/quantize_f32.c",
        "if (shifted >= hi) {",
        "if (shifted == hi) {",
        "float_to_int",
    ),
    Fault(
        "an address beyond the panel",
        "ares_linear",
        "src/micro_portable.c",
        "} while (x != end);",
        "} while (x != end + 1);",
        "mem_access|pointer_value",
    ),
    Fault(
        "a rounding that is given too much",
        "ares_batch_norm",
        "src/micro_portable.c",
        "ares_floor_shift_32(high, shift - 32)",
        "ares_floor_shift_32(high, shift)",
        "precondition|shift",
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_fault_can_be_planted(fault: Fault) -> None:
    place = ROOT / "runtime" / fault.file
    text = place.read_text(encoding="utf-8") if fault.file else program(first_of(fault.kernel))
    assert fault.right in text


@needs_frama_c
@pytest.mark.parametrize("fault", slow_but([0], FAULTS), ids=lambda fault: fault.what)
def test_a_fault_is_an_alarm(fault: Fault, tmp_path: Path) -> None:
    proof, root = first_of(fault.kernel), tmp_path / "altered"
    for folder in ("inc", "src"):
        shutil.copytree(ROOT / "runtime" / folder, root / "runtime" / folder)
    text = program(proof)
    if fault.file:
        path = root / "runtime" / fault.file
        path.write_text(altered(path.read_text(encoding="utf-8"), fault), encoding="utf-8")
    else:
        text = altered(text, fault)
    found = proved(text, proof, tmp_path, root)
    kinds = {alarm.kind for alarm in unaccepted(found)}
    assert any(re.search(fault.kind, kind) for kind in kinds), found.alarms


def altered(text: str, fault: Fault) -> str:
    assert fault.right in text
    return text.replace(fault.right, fault.wrong, 1)


def proved(text: str, proof: Proof, folder: Path, root: Path = ROOT) -> Found:
    return prove_program(text, proof, folder, root)


@needs_frama_c
@pytest.mark.slow
def test_a_harness_that_no_value_passes_is_seen(tmp_path: Path) -> None:
    proof = first_of("ares_lookup")
    endless = "while (input0[0] < 256) {\n    }\n    const void *const inputs"
    text = program(proof).replace("const void *const inputs", endless)
    assert is_vacuous(proved(text, proof, tmp_path))


def test_every_harness_can_be_written() -> None:
    assert all("return 0;" in program(proof) for proof in ALL)
    assert all(sources(proof) for proof in ALL)


def test_every_file_of_the_runtime_is_in_a_proof() -> None:
    assert files_without_proof() == []


def test_every_accepted_alarm_has_its_reason() -> None:
    for row in accepted():
        assert len(row.reason) > 40, row
        assert (ROOT / row.file).exists(), row


@pytest.mark.parametrize(
    ("text", "value"),
    [("-2^31 + 1", 1 - 2**31), ("2^62", 2**62), ("-128", -128), (7, 7), ("2^8-1", 255)],
)
def test_bounds(text: str | int, value: int) -> None:
    assert bound(text) == value


@pytest.mark.parametrize("text", ["", "2^", "two", "2^3 4", "1 +"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no bound"):
        bound(text)


def test_frama_c_that_is_not_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("frama-c is not here: apt-get install frama-c-base")
    assert "Traceback" not in said


def test_a_word_that_no_proof_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no such kernel"]) == 2
    assert "--list" in capsys.readouterr().err


def test_a_record_is_of_a_whole_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--record", "ares_lookup"]) == 2
    assert "whole run" in capsys.readouterr().err
