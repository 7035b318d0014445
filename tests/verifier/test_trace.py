"""`ares trace FILE DIR`: what a self-test printed on a board that we have never seen."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ares.verdict import Outcome as VerdictOutcome
from ares.verifier.trace import TraceError, judge_trace
from tests.checker.models import READY, refused, write
from tests.cli.outcome import Outcome

Run = Callable[..., Outcome]
SIGNATURE = "0123456789abcdef"
LAYERS = (("quant", "OP_REQUANTIZE"), ("conv", "OP_CONV2D"), ("fc", "OP_LINEAR_FP32"))
CASES = ("realistic", "edge")


def digest(*place: object) -> str:
    return f"{random.Random(repr(place)).getrandbits(64):016x}"


def expected() -> dict[str, Any]:
    return {
        "signature": SIGNATURE,
        "cases": [
            {
                "name": case,
                "layers": [
                    {
                        "index": number,
                        "layer": layer,
                        "tensor": layer,
                        "op_type": op_type,
                        "digest": digest(case, layer),
                    }
                    for number, (layer, op_type) in enumerate(LAYERS)
                ],
                "outputs": [digest(case, "output")],
            }
            for case in CASES
        ],
    }


def good_lines() -> list[str]:
    lines = [f"ares-trace 3 {SIGNATURE}", "byte order big", "probe ok", "instruction set mve"]
    for number, case in enumerate(CASES):
        lines += [f"case {number}"]
        lines += [
            f"layer {i} {name} {name} {digest(case, name)}" for i, (name, _) in enumerate(LAYERS)
        ]
        lines += [f"output 0 {digest(case, 'output')}"]
    return [*lines, "end 2"]


@pytest.fixture(name="project")
def project_fixture(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "expected.json").write_text(json.dumps(expected()))
    return folder


@pytest.fixture(name="judge")
def judge_fixture(tmp_path: Path, project: Path, trace: Run) -> Callable[[str], Outcome]:
    def judge(text: str) -> Outcome:
        printed = tmp_path / "trace.txt"
        printed.write_bytes(text.encode())
        return trace(printed, project)

    return judge


Judge = Callable[[str], Outcome]


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


GOOD = {
    "plain": text(good_lines()),
    "carriage returns": text(good_lines()).replace("\n", "\r\n"),
    "boot messages": "boot ROM v1\n\n> run\n" + text(good_lines()) + "self-test passed\n> ",
    "stack": text([*good_lines()[:-1], "stack 4096", "end 2"]),
    "no last newline": text(good_lines()).rstrip("\n"),
}


@pytest.mark.parametrize("name", GOOD)
def test_exact(name: str, judge: Judge) -> None:
    outcome = judge(GOOD[name])
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.report["passed"] is True
    assert (outcome.report["wrong"], outcome.report["total"]) == (0, 8)
    assert (outcome.report["byte_order"], outcome.report["instruction_set"]) == ("big", "mve")
    assert outcome.report["summary"].endswith("(big-endian, mve micro-kernels)")
    assert outcome.out.splitlines()[-1].startswith("EXACT: 2 cases, 8 tensors")


def test_the_first_layer_that_differs(judge: Judge) -> None:
    wrong = text(good_lines())
    for place in (("edge", "conv"), ("edge", "fc"), ("edge", "output")):
        wrong = wrong.replace(digest(*place), digest("wrong", *place))
    outcome = judge(wrong)
    assert outcome.code == 1
    assert outcome.report["verdict"]["fault"] == "difference"
    assert outcome.report["verdict"]["layer"] == "conv"
    assert outcome.report["wrong"] == 3
    assert "case edge: layer conv (OP_CONV2D), tensor conv differs" in outcome.out
    assert digest("edge", "conv") in outcome.out
    assert digest("wrong", "edge", "conv") in outcome.out
    assert "3 of 8 tensors differ" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("NOT EXACT: difference")


def test_an_output_that_differs(judge: Judge) -> None:
    right = digest("realistic", "output")
    outcome = judge(text(good_lines()).replace(right, digest("wrong")))
    assert outcome.code == 1
    assert "case realistic: output 0 differs" in outcome.out


def edited(number: int, line: str | None) -> str:
    lines = good_lines()
    lines[number : number + 1] = [] if line is None else [line]
    return text(lines)


FAULTS = {
    "empty": ("", "malformed", "no line begins with 'ares-trace '"),
    "something else": ("hello\nworld\n", "malformed", "no line begins with 'ares-trace '"),
    "only a beginning": ("ares-trace 3 01", "truncated", "it ends with 'ares-trace 3 01'"),
    "foreign": (edited(0, "ares-trace 3 ffff456789abcdef"), "signature", "'ffff456789abcdef'"),
    "another protocol": (edited(0, f"ares-trace 2 {SIGNATURE}"), "malformed", "another protocol"),
    "byte order": (edited(1, "byte order middle"), "malformed", "little or big"),
    "probe": (edited(2, "probe failed contraction"), "probe", "-ffp-contract=off"),
    "no probe": (edited(2, None), "malformed", "line 3 is 'instruction set mve', expected 'probe ok'"),
    "no instruction set": (edited(3, None), "malformed", "expected 'instruction set NAME'"),
    "a lost line": (edited(6, None), "malformed", "expected 'layer 1 conv conv DIGEST'"),
    "another layer": (edited(6, f"layer 1 conv2 conv2 {digest(1)}"), "malformed", "line 7 is"),
    "another index": (edited(6, f"layer 7 conv conv {digest(1)}"), "malformed", "line 7 is"),
    "a short digest": (edited(6, "layer 1 conv conv 0123"), "malformed", "line 7 is"),
    "upper case": (edited(6, f"layer 1 conv conv {'AB' * 8}"), "malformed", "line 7 is"),
    "a doubled line": (edited(6, "\n".join(good_lines()[6:7] * 2)), "malformed", "line 8 is"),
    "noise": (edited(6, "\x00\x7f\ufffd"), "malformed", "line 7 is"),
    "cut between": (text(good_lines()[:7]), "truncated", "ends after line 7, where 'layer 2 fc"),
    "cut within": (text(good_lines())[:280], "truncated", "is not whole"),
    "no end": (text(good_lines()[:-1]), "truncated", "where 'end 2' is due"),
    "fewer cases": (edited(14, "end 1"), "malformed", "expected 'end 2'"),
    "a reset": (text(good_lines()[:6] + good_lines()), "truncated", "the program started again"),
    "gave up": (edited(6, "ares-trace: a kernel refused its input: x"), "crash", "gave up"),
    "long": (edited(6, "x" * 10**6), "malformed", "xxx..."),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_own_words(name: str, judge: Judge) -> None:
    content, fault, words = FAULTS[name]
    outcome = judge(content)
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.report["verdict"]["fault"] == fault
    assert words in outcome.out
    assert f"NOT EXACT: {fault}: " in outcome.out
    assert f"{fault}: {fault}" not in outcome.out
    assert len(outcome.out) < 2000
    assert "Traceback" not in outcome.out


def test_a_difference_before_the_end_is_said_too(judge: Judge) -> None:
    wrong = text(good_lines()[:8]).replace(digest("realistic", "conv"), digest("wrong"))
    outcome = judge(wrong)
    assert outcome.report["verdict"]["fault"] == "truncated"
    assert "before that, case realistic: layer conv (OP_CONV2D), tensor conv differs" in outcome.out


BAD_PROJECTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello",
    "list": b"[]",
    "number": b"3",
    "nested": b"[" * 100_000,
    "binary": bytes(range(256)),
    "no_cases": json.dumps({"signature": SIGNATURE, "cases": []}).encode(),
    "no_signature": json.dumps({"cases": expected()["cases"]}).encode(),
    "digest": json.dumps(expected()).replace(digest("edge", "fc"), "12").encode(),
    "digest_type": json.dumps(expected()).replace(f'"{digest("edge", "fc")}"', "12").encode(),
    "layer_type": json.dumps(expected()).replace('"conv"', '["conv"]').encode(),
    "index_type": json.dumps(expected()).replace('"index": 1', '"index": "1"').encode(),
    "no_index": json.dumps(expected()).replace('"index": 1, ', "").encode(),
    "blank": json.dumps(expected()).replace('"conv"', '"co nv"').encode(),
    "cases_type": json.dumps({"signature": SIGNATURE, "cases": {"a": 1}}).encode(),
}


@pytest.mark.parametrize("name", BAD_PROJECTS)
def test_a_damaged_project(name: str, project: Path, judge: Judge) -> None:
    (project / "expected.json").write_bytes(BAD_PROJECTS[name])
    refused(judge(text(good_lines())), "expected.json", "export the project again")


def test_files_that_are_not_there(tmp_path: Path, project: Path, trace: Run) -> None:
    printed = tmp_path / "trace.txt"
    refused(trace(printed, project), "trace.txt: no such file")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(trace(pipe, project), f"{pipe}: is a pipe")
    printed.write_text(text(good_lines()))
    refused(trace(printed, tmp_path / "no"), "no such folder")
    refused(trace(printed, tmp_path), "expected.json: no such file")
    with printed.open("wb") as file:
        file.truncate(2**26 + 1)
    refused(trace(printed, project), "more than 67108864 bytes")
    refused(trace(printed), "Missing argument 'DIR'")
    refused(trace(), "Missing argument 'FILE'")


def test_a_result_that_cannot_be_written(tmp_path: Path, project: Path, trace: Run) -> None:
    printed = tmp_path / "trace.txt"
    printed.write_text(text(good_lines()))
    refused(trace(printed, project, "--json-out", tmp_path), "it is a folder")


def test_damaged_traces(tmp_path: Path, project: Path) -> None:
    """Bytes changed, lost or doubled: exact only where nothing that counts was touched."""
    trace = tmp_path / "trace.txt"
    whole = text(good_lines()).encode()
    source = random.Random(11)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(source.randrange(1, 4)):
            place = source.randrange(len(data))
            kind = source.randrange(3)
            if kind == 0:
                data[place] = source.randrange(256)
            elif kind == 1:
                del data[place : place + source.randrange(1, 30)]
            else:
                data[place:place] = data[place : place + source.randrange(1, 80)]
            if not data:
                data = bytearray(whole[:1])
        trace.write_bytes(data)
        if judge_trace(trace, project).verdict.outcome is VerdictOutcome.PASS:
            lines = [line.rstrip(b"\r ") for line in data.split(b"\n")]
            # Whose kernels ran on a board is the board's to say.
            said = re.sub(rb"(?m)^instruction set .+$", good_lines()[3].encode(), b"\n".join(lines))
            assert text(good_lines()).rstrip().encode() in said


def test_damaged_expectations(tmp_path: Path, project: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text(text(good_lines()))
    whole = json.dumps(expected()).encode()
    source = random.Random(12)
    refusals = []
    for _ in range(1000):
        data = bytearray(whole)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        (project / "expected.json").write_bytes(data)
        try:
            judge_trace(trace, project)
        except TraceError as error:
            refusals.append(str(error))
    assert len(refusals) > 300
    assert all("\n" not in line and len(line) < 500 for line in refusals)


# The real thing: an exported project, built and run as on a board, with its own self-test.


@pytest.mark.skipif(
    shutil.which("make") is None or shutil.which("cc") is None, reason="make or cc is not installed"
)
def test_an_exported_project(tmp_path: Path, export: Run, trace: Run) -> None:
    folder = tmp_path / "exported"
    outcome = export(folder, "--model-file", write(tmp_path, READY))
    assert outcome.code == 0, outcome.err

    def printed() -> Path:
        done = subprocess.run(
            ["make", "-s", "-C", folder, "check"],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        (tmp_path / "trace.txt").write_text(done.stdout)
        return tmp_path / "trace.txt"

    outcome = trace(printed(), folder)
    assert (outcome.code, outcome.err) == (0, ""), outcome.out
    kernel = folder / "runtime" / "src" / "linear_fp32.c"
    right = "    return ARES_OK;"
    assert right in kernel.read_text()
    wrong = "    *(float *)outputs[0] += 1.0f;\n" + right
    kernel.write_text(kernel.read_text().replace(right, wrong))
    outcome = trace(printed(), folder)
    assert outcome.code == 1
    assert outcome.report["verdict"]["layer"] == "fc"
    assert "layer fc (OP_LINEAR_FP32), tensor fc differs" in outcome.out
