"""`--inputs`: the user's own data, checked to the last element, and never unpickled."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.user_files import UserInputError, read_samples
from tests.checker.models import PRELUDE, READY, refused, write
from tests.cli.outcome import Outcome

Run = Callable[..., Outcome]
Array = npt.NDArray[Any]

TWO_INPUTS = (
    PRELUDE
    + """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.quant_ids = QuantIdentity(return_quant_tensor=True)
        self.quant = QuantIdentity(return_quant_tensor=True)
        self.add = QuantAdd()
        self.fc = QuantLinear(8, 3)

    def forward(self, ids, values):
        return self.fc(self.add(self.quant_ids(self.table(ids)), self.quant(values)))


def create_model():
    torch.manual_seed(1)
    model = Model().eval()
    from brevitas.graph.calibrate import calibration_mode
    with torch.no_grad(), calibration_mode(model):
        model(torch.arange(6).reshape(1, 6), torch.linspace(-1, 1, 48).reshape(1, 6, 8))
    return model
"""
)


def pictures(count: int = 3) -> Array:
    return np.random.default_rng(1).normal(size=(count, 1, 8, 8)).astype(np.float32)


def npz(folder: Path, *positional: Array, **named: Array) -> Path:
    path = folder / "data.npz"
    np.savez(path, *positional, **named)
    return path


def test_the_data_are_what_forward_runs_on(tmp_path: Path, check: Run) -> None:
    path = write(tmp_path, READY)
    outcome = check("--model-file", path, "--inputs", npz(tmp_path, x=pictures()))
    assert outcome.code == 0
    assert outcome.report["inputs"]["shapes"] == [[1, 1, 8, 8]]
    assert "the first of 3 samples in" in outcome.report["inputs"]["origin"]


@pytest.mark.parametrize("order", ["names", "swapped names", "positions", "other names"])
def test_arrays_by_name_or_in_order(order: str, tmp_path: Path, check: Run) -> None:
    path = write(tmp_path, TWO_INPUTS)
    ids, values = np.arange(12).reshape(2, 6), np.ones((2, 6, 8), np.float32)
    data = {
        "names": lambda: npz(tmp_path, ids=ids, values=values),
        "swapped names": lambda: npz(tmp_path, values=values, ids=ids),
        "positions": lambda: npz(tmp_path, ids, values),
        "other names": lambda: npz(tmp_path, a=ids, b=values),
    }[order]()
    outcome = check("--model-file", path, "--inputs", data)
    assert outcome.code == 0, outcome.err
    assert outcome.report["inputs"]["shapes"] == [[1, 6], [1, 6, 8]]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.arange(4, dtype=np.uint8), np.int64),
        (np.arange(4, dtype=">i2"), np.int64),
        (np.arange(4, dtype=np.float16), np.float32),
        (np.arange(4, dtype=np.float64), np.float32),
        (np.arange(4, dtype=">f4"), np.float32),
        (np.asfortranarray(np.arange(24, dtype=np.float32).reshape(4, 3, 2)), np.float32),
    ],
)
def test_exact_conversions(given: Array, wanted: type, tmp_path: Path) -> None:
    samples = read_samples(npz(tmp_path, x=given), ["x"])
    array = np.concatenate([row for (row,) in samples])
    assert array.dtype == wanted
    assert np.array_equal(array, given)


BAD_ARRAYS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nan": (
        {"x": np.full((2, 1, 8, 8), np.nan, np.float32)},
        ("array 'x': element [0, 0, 0, 0] is nan", "finite"),
    ),
    "infinite": (
        {"x": np.where(np.arange(128) == 70, np.inf, 0).reshape(2, 1, 8, 8).astype(np.float32)},
        ("element [1, 0, 0, 6] is inf",),
    ),
    "double": ({"x": np.full((2, 1, 8, 8), 0.1)}, ("float32 cannot hold", "astype(numpy.float32)")),
    "too_large": ({"x": np.full((2, 1, 8, 8), 1e300)}, ("float32 cannot hold",)),
    "complex": ({"x": np.ones((2, 1, 8, 8), complex)}, ("holds complex128",)),
    "text": ({"x": np.full((2, 4), "abc")}, ("holds <U3",)),
    "objects": ({"x": np.array([{}, []], dtype=object)}, ("Python objects", "unpickled")),
    "structured": ({"x": np.zeros(2, [("a", "f4"), ("b", "i4")])}, ("save numbers",)),
    "scalar": ({"x": np.float32(3)}, ("shape ()", "samples along the first axis")),
    "no_samples": ({"x": np.zeros((0, 1, 8, 8), np.float32)}, ("at least one",)),
    "lengths": ({"a": pictures(2), "b": pictures(3)}, ("a 2, b 3",)),
    "mixed_names": ({"x": pictures(), "label": pictures()}, ("'label' is no input of forward",)),
    "without_batch": ({"x": pictures()[0]}, ("(1, 8, 8)", "data.npz")),
    "channels": ({"x": np.zeros((2, 3, 8, 8), np.float32)}, ("(1, 3, 8, 8)", "data.npz")),
    "too_many": ({"a": pictures(), "b": pictures()}, ("positional", "data.npz")),
    "beyond": ({"x": np.full((2, 1, 8, 8), 2**64 - 1, np.uint64)}, ("no id",)),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_arrays_that_are_no_inputs(name: str, tmp_path: Path, verify: Run) -> None:
    arrays, parts = BAD_ARRAYS[name]
    path = write(tmp_path, READY)
    refused(verify("--model-file", path, "--inputs", npz(tmp_path, **arrays)), *parts)


def test_ids_for_a_network_of_reals(tmp_path: Path, verify: Run) -> None:
    data = npz(tmp_path, x=np.zeros((2, 1, 8, 8), np.int64))
    outcome = verify("--model-file", write(tmp_path, READY), "--inputs", data)
    assert outcome.code == 1
    assert "give a float32 input" in outcome.out


SMALL = ["uint8", "int8", "int16", "uint16", "bool", ">i2"]


@pytest.mark.parametrize("dtype", SMALL)
def test_small_integers_are_read_as_torch_casts_them(
    dtype: str, tmp_path: Path, check: Run
) -> None:
    """float32 holds every value of these types, so nothing is lost: images as they come from a file."""
    path = write(tmp_path, READY)
    images = np.arange(128).reshape(2, 1, 8, 8).astype(dtype)
    outcome = check("--model-file", path, "--inputs", npz(tmp_path, x=images))
    assert outcome.code == 0, outcome.err
    note = f"input x: {np.dtype(dtype)} was read as float32, as torch casts it"
    assert outcome.report["inputs"]["notes"] == [note]
    assert note in " ".join(outcome.out.split())


@pytest.mark.slow
def test_images_of_bytes_are_verified(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    images = np.random.default_rng(1).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    reports = []
    for given in (images, images.astype(np.float32)):
        options = ("--inputs", npz(tmp_path, given), "--cases", "2", "--target", "zig-O2")
        outcome = verify("--model-file", path, *options)
        assert outcome.code == 0, outcome.out
        reports.append(outcome.report)
    assert reports[0].pop("notes") == ["input x: uint8 was read as float32, as torch casts it"]
    assert reports[1].pop("notes") == []
    facts = [
        [(line["layer"], line["saturated"], line["distinct"]) for line in r["layers"]]
        for r in reports
    ]
    assert facts[0] == facts[1]


def test_small_integers_for_a_table_stay_ids(tmp_path: Path, check: Run) -> None:
    path = write(tmp_path, TWO_INPUTS)
    ids = np.arange(12, dtype=np.uint8).reshape(2, 6)
    values = np.ones((2, 6, 8), np.int8)
    outcome = check("--model-file", path, "--inputs", npz(tmp_path, ids=ids, values=values))
    assert outcome.code == 0, outcome.err
    assert outcome.report["inputs"]["notes"] == [
        "input values: int8 was read as float32, as torch casts it"
    ]


@pytest.mark.parametrize(
    ("ids", "shown"),
    [([0, 1, 2, 3, 4, 20], "ids 0 to 20"), ([-1, 1, 2, 3, 4, 5], "-1"), ([2**40] * 6, "")],
)
def test_ids_that_no_table_has(ids: list[int], shown: str, tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, TWO_INPUTS)
    good = np.arange(6)
    values = np.ones((2, 6, 8), np.float32)
    data = npz(tmp_path, ids=np.array([good, ids]), values=values)
    refused(verify("--model-file", path, "--inputs", data), "sample 1", shown, "0 to 19")


def _entry(name: str, content: bytes, compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _npy(shape: str, data: bytes, descr: str = "'<f4'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


FILES = {
    "bomb": (_entry("x.npy", _npy("(1, 2000000000)", bytes(8)), True), "damaged"),
    "header_bomb": (_entry("x.npy", _npy("(" + "9" * 3000 + ",)", b"")), "x"),
    "no_npy": (_entry("x.npy", b"hello"), "no .npy file"),
    "other_name": (_entry("x.txt", b"hello"), "is not one .npy file"),
    "many_axes": (_entry("x.npy", _npy("(1,1,1,1,1,1,1,1,1,1)", bytes(4))), "which is none"),
    "negative": (_entry("x.npy", _npy("(-1,)", bytes(4))), "which is none"),
    "short": (_entry("x.npy", _npy("(4,)", bytes(8))), "damaged"),
    "long": (_entry("x.npy", _npy("(4,)", bytes(99))), "damaged"),
    "void": (_entry("x.npy", _npy("(4,)", b"", "'|V0'")), "holds |V0"),
    "code": (_entry("x.npy", _npy("(4,)", b"", "__import__('os').abort()")), "no .npy file"),
    "text": (b"hello", "is not a .npz file"),
    "empty": (b"", "is not a .npz file"),
    "one_npy": (_npy("(1,)", bytes(4)), "is not a .npz file"),
    "no_entries": (b"PK\x05\x06" + bytes(18), "holds 0 arrays"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_none(name: str, tmp_path: Path, verify: Run) -> None:
    content, part = FILES[name]
    data = tmp_path / f"{name}.npz"
    data.write_bytes(content)
    model = write(tmp_path, READY)
    refused(verify("--model-file", model, "--inputs", data), str(data), part)


def test_what_unpacks_to_too_much_is_not_unpacked(tmp_path: Path, verify: Run) -> None:
    """The size that the archive declares is believed, so no byte of it is read."""
    small = _entry("x.npy", _npy("(4,)", bytes(16)))
    at = small.rindex(b"PK\x01\x02")
    declared = (2**31).to_bytes(4, "little")
    data = tmp_path / "bomb.npz"
    data.write_bytes(small[: at + 24] + declared + small[at + 28 :])
    model = write(tmp_path, READY)
    refused(verify("--model-file", model, "--inputs", data), "unpacks to 2147483648 bytes")


def test_usage(tmp_path: Path, verify: Run) -> None:
    model, data = write(tmp_path, READY), npz(tmp_path, x=pictures())
    both = ("--inputs", data, "--input-shape", "1,1,8,8")
    refused(verify("--model-file", model, *both), "one of --inputs and --input-shape")
    refused(verify("--model-file", model, "--inputs", tmp_path / "no.npz"), "no such file")
    refused(verify("--model-file", model, "--inputs", tmp_path), "is a directory")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files(tmp_path: Path) -> None:
    """Cut off or with bytes changed: arrays or one line, in little time."""
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=pictures(2), ids=np.arange(12).reshape(2, 6))
    whole = path.read_bytes()
    source = random.Random(3)
    refusals = []
    for turn in range(2000):
        data = bytearray(whole)
        if turn % 4 == 0:
            data = data[: source.randrange(len(data))]
        for _ in range(source.randrange(1, 5)):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        path.write_bytes(data)
        try:
            read_samples(path, None)
        except UserInputError as error:
            refusals.append(str(error))
    assert len(refusals) > 1000
    assert all(str(path) in line and "\n" not in line for line in refusals)
