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

from ares.prover.certificate import certificate_of
from ares.resources import checker_file
from tests.prover.small import SmallSubject, folder_of

FLAGS = ("-O0", "-DARES_PORTABLE", "-U__SSE2__", "-std=c11", "-ffp-contract=off")
PORTABLE = "micro_portable.c"

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the small network, with the objects of its runtime."""
    certificate = certificate_of(SmallSubject())
    folder = tmp_path_factory.mktemp("small")
    folder_of({**certificate.project.files, **certificate.files}, folder)
    compile_files(folder, [path.name for path in folder.glob("runtime/src/*.c")])
    return folder


def compile_files(folder: Path, names: list[str]) -> None:
    for name in names:
        gcc(folder, "-c", f"runtime/src/{name}", "-o", f"{name}.o")


def gcc(folder: Path, *words: str) -> None:
    include = ("-I.", "-Iruntime/inc", "-Iruntime/trace")
    subprocess.run(["gcc", *FLAGS, *include, *words], cwd=folder, check=True)


def checked(folder: Path) -> tuple[int, dict[str, str]]:
    """Exit code of the checker, and the faults by layer."""
    objects = [path.name for path in folder.glob("*.c.o")]
    gcc(folder, "small.c", "small_weights.c", "probe.c", *objects, "-o", "probe")
    command = [sys.executable, checker_file(), folder, folder / "probe"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        return done.returncode, {"": done.stderr}
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {each["layer"]: each["fault"] for each in found if each["fault"]}


def replaced(path: str, old: str, new: str, recompiled: str = "") -> Callable[[Path], None]:
    """A fault: all of `old` in a file becomes `new`, and a source of the runtime is compiled again."""

    def plant(folder: Path) -> None:
        file = folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        if recompiled or path.startswith("runtime/src"):
            compile_files(folder, [recompiled or Path(path).name])

    return plant


def number(array: str, index: int, change: int) -> Callable[[Path], None]:
    """A fault: one number of a constant array is another one."""

    def plant(folder: Path) -> None:
        file = folder / "small_weights.c"
        text = file.read_text()
        found = re.search(rf"{array}\[\d+\] = {{([^}}]*)}}", text)
        assert found is not None
        values = [int(value) for value in found[1].split(",") if value.strip()]
        values[index] += change
        body = ", ".join(map(str, values))
        file.write_text(text[: found.start(1)] + body + text[found.end(1) :])

    return plant


def both(*plants: Callable[[Path], None]) -> Callable[[Path], None]:
    """Several changes that are one fault."""

    def plant(folder: Path) -> None:
        for each in plants:
            each(folder)

    return plant


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
    plant, layers = FAULTS[fault]
    folder = tmp_path / "broken"
    shutil.copytree(built, folder)
    plant(folder)
    code, faults = checked(folder)
    assert code == 1
    assert faults.keys() == layers


def test_what_is_not_broken_passes(built: Path) -> None:
    assert checked(built) == (0, {})


def _changed(folder: Path, change: Callable[[dict, dict], None]) -> None:
    """A certificate whose JSON and arrays say something else."""
    content = json.loads((folder / "certificate.json").read_text())
    with np.load(folder / "certificate.npz") as stored:
        arrays = dict(stored)
    change(content, arrays)
    (folder / "certificate.json").write_text(json.dumps(content))
    data = io.BytesIO()
    np.savez(data, **arrays)
    (folder / "certificate.npz").write_bytes(data.getvalue())


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
