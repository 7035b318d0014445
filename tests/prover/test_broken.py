"""Faults planted in the C, and certificates that lie: each is refuted, and its layer named."""

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ares.prover.certificate import sealed
from ares.resources import checker_file
from tests.prover.faults import (
    PORTABLE,
    both,
    checked,
    compiled,
    exchanged,
    number,
    replaced,
    require_named,
)
from tests.prover.small import SmallSubject, folder_of

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the small network, with the objects of its runtime."""
    return compiled(SmallSubject(), tmp_path_factory.mktemp("small"))


# With why it is these layers and no others: all that run the code, or read the number, and can reach the case.
FAULTS: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    # The only dense convolution; "deep" and the linear layers have kernels of their own.
    "a coefficient dropped at the border": (
        replaced(
            "runtime/src/convolution.c",
            "(end - first) * shape->depth);\n    fill(to + end",
            "(end - first) * shape->depth);\n    fill(to, zero, x + shape->taps > conv->across.in);\n"
            "    fill(to + end",
        ),
        {"conv"},
    ),
    "a wrong shift for one channel": (number("small_conv_rescale_shift", 4, 1), {"conv"}),
    # Dyadic scales have ties; behind steps of a function ("gelu") only a tie at a step would show.
    "half rounded down": (
        both(
            replaced(f"runtime/src/{PORTABLE}", "value &= ~1", "value -= 1"),
            replaced(f"runtime/src/{PORTABLE}", "value & ~1", "value - 1"),
        ),
        {"conv", "deep", "mean", "wide"},
    ),
    "half rounded up": (
        both(
            replaced(f"runtime/src/{PORTABLE}", "value &= ~1", "value &= ~0"),
            replaced(f"runtime/src/{PORTABLE}", "value & ~1", "value & ~0"),
        ),
        {"conv", "deep", "mean", "wide"},
    ),
    # "gelu" reaches the limits of the values in front of its steps; "wide" (95 at most) and means of codes none.
    "saturation at the wrong end": (
        replaced(f"runtime/src/{PORTABLE}", "value > hi ? hi : value", "value > hi ? lo : value"),
        {"conv", "deep", "gelu"},
    ),
    # A mean of the largest code is that code: nothing there is beyond the limit.
    "saturation one too early": (
        replaced(
            f"runtime/src/{PORTABLE}", "value > hi ? hi : value", "value >= hi ? hi - 1 : value"
        ),
        {"conv", "deep", "gelu", "mean"},
    ),
    # Sums of raw codes have it in their constants; the padding of "conv" has it itself.
    "a zero point left out": (
        replaced("small.c", ".input_zero_point = 3,", ".input_zero_point = 0,"),
        {"conv"},
    ),
    # Four weights of each output lie side by side.
    "two rows of weights exchanged": (exchanged("small_gelu_weight", 0, 4, 4), {"gelu"}),
    # 2^20: only the sums of "wide" are that large.
    "a requantisation wrong at large sums only": (
        replaced(
            f"runtime/src/{PORTABLE}",
            "(int64_t)*from * multiplier",
            "(int64_t)(*from > 1 << 20 ? -*from : *from) * multiplier",
        ),
        {"wide"},
    ),
    "one wrong entry of a table": (number("small_tanh_table", 77, 1), {"tanh"}),
    "a step of GELU off by one": (
        number("small_gelu_rescale_steps_0_thresholds", 9, 1),
        {"gelu"},
    ),
    # The first sum of a tile of rows; one row alone ("wide", and all of few rows) has another loop.
    "sums that saturate at 16 bits": (
        replaced(
            f"runtime/src/{PORTABLE}",
            "acc0[0] = sum00;",
            "acc0[0] = sum00 > 65534 ? 65534 : sum00;",
        ),
        {"conv"},
    ),
    "a maximum of unsigned codes taken as signed": (
        replaced(
            "runtime/src/max_pool2d.c",
            "p->input_signed);\n                }",
            "1);\n                }",
        ),
        {"top"},
    ),
    # "x@0231" goes through the interleaving, the other copy does not.
    "a copy with two equal axes the other way round": (
        replaced(
            "runtime/src/permute.c",
            "out[i] = in[i * stride];",
            "out[i] = in[(i ^ 1) % count * stride];",
        ),
        # Every copy that is not interleaved: the two reshapes read channels that lie last.
        {"mean@0321", "tokens", "flat"},
    ),
    "an interleaving copy that takes the last element twice": (
        replaced(
            "runtime/src/permute.c",
            "out[i * planes + k] = plane[i];",
            "out[i * planes + k] = plane[i == count - 1 && k == 1 ? i - 1 : i];",
        ),
        {"x@0231"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(built: Path, tmp_path: Path, fault: str) -> None:
    require_named(built, tmp_path, *FAULTS[fault])


def test_what_is_not_broken_passes(built: Path) -> None:
    assert checked(built) == (0, {})


def _changed(folder: Path, change: Callable[[dict, dict], None]) -> None:
    """A certificate whose JSON and arrays say something else."""
    content = json.loads((folder / "certificate.json").read_text())
    with np.load(folder / "certificate.npz") as stored:
        arrays = dict(stored)
    change(content, arrays)
    data = io.BytesIO()
    np.savez(data, **arrays)
    folder_of(sealed(content, data.getvalue()), folder)


def _other_weight(content: dict, arrays: dict) -> None:
    (name,) = (f"{k}.weight" for k, e in enumerate(content["layers"]) if e["name"] == "conv")
    arrays[name] = arrays[name].copy()
    arrays[name].reshape(-1)[11] ^= 1


def _more_claimed(content: dict, arrays: dict) -> None:
    (conv,) = (layer for layer in content["layers"] if layer["name"] == "conv")
    conv["kind"] = "every input"


def _said_to_be_folded(content: dict, arrays: dict) -> None:
    (step,) = (k for k, each in enumerate(content["layers"]) if each["name"] == "conv")
    content["layers"][step] |= {"type": "samples", "arrays": ["wanted"], "kind": "every input"}
    arrays[f"{step}.wanted"] = np.zeros((0, 0), np.int8)


def _layer_left_out(content: dict, arrays: dict) -> None:
    content["layers"] = [layer for layer in content["layers"] if layer["name"] != "conv"]


def _other_layout(content: dict, arrays: dict) -> None:
    (turned,) = (tensor for tensor in content["tensors"] if tensor["name"] == "turned")
    turned["layout"] = [0, 2, 3, 1]


def _digit(content: bytes) -> bytes:
    return content.replace(b'"zero_point": 3', b'"zero_point": 4', 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_digit, "the certificate was changed"),
        (lambda content: content[:2000], "delimiter|Expecting|Unterminated"),
        (lambda _: b"[]", "list indices|string indices|mapping"),
        (lambda _: b"\xff", "utf-8"),
    ],
)
def test_a_certificate_changed_by_hand(
    built: Path, tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    for name in ("certificate.json", "certificate.npz"):
        shutil.copy(built / name, tmp_path)
    file = tmp_path / "certificate.json"
    content = change(file.read_bytes())
    assert content != file.read_bytes()
    file.write_bytes(content)
    code, err = _refused(tmp_path, "no-such-program")
    assert code == 1
    assert re.search(said, err)


def test_what_is_not_there(built: Path, tmp_path: Path) -> None:
    assert _refused(tmp_path, "true") == (
        2,
        f"{tmp_path}: [Errno 2] No such file or directory: '{tmp_path / 'certificate.json'}'\n",
    )
    assert _refused(built, "./no-such-program")[0] == 2
    assert "other layers or tensors" in _refused(built, "true")[1]


def test_a_program_that_ends_early(built: Path) -> None:
    checked(built)
    script = f"{sys.executable} -c pass; {built / 'probe'} < /dev/null"
    code, err = _refused(built, "sh", "-c", script)
    assert code == 1
    assert err.startswith("x: ")


def _refused(folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and the one line on stderr."""
    words = [sys.executable, checker_file(), folder, *command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("lie", "layers"),
    [
        (_other_weight, {"conv"}),
        (_more_claimed, {"conv"}),
        (_said_to_be_folded, {"conv"}),
        (_layer_left_out, {""}),
        # Who writes the tensor, and who reads it.
        (_other_layout, {"turned", "total"}),
    ],
)
def test_a_lie_is_refuted(
    built: Path, tmp_path: Path, lie: Callable[..., None], layers: set[str]
) -> None:
    folder = tmp_path / "lie"
    shutil.copytree(built, folder)
    _changed(folder, lie)
    code, faults = checked(folder)
    assert code == 1
    assert faults.keys() == layers
