"""Faults of the harness itself, and of what it keeps: each function plants one, and returns what must be red."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from ares.golden import Golden, GoldenCase, GoldenError
from ares.nn import QuantSSM
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.toolchain import build
from ares.verdict import EXTRACT, REFERENCE, TORCH, Difference, Outcome, Verdict, first_difference
from ares.zoo.network_file import load_network_file
from tests.planted.faults import Change, InC
from tests.planted.planting import changed, first_red, with_project
from tests.planted.preparing import Prepared
from tests.witness.planting import (
    edit_case,
    edit_golden,
    edit_state,
    flip_byte,
    one_code_changed,
    with_array,
)

Plant = Callable[..., Verdict]


def _copied(right: Prepared, folder: Path) -> ZooPaths:
    """The subject with a golden that may be damaged."""
    paths = right.session.paths
    golden = folder / "golden"
    shutil.copytree(paths.golden, golden)
    return ZooPaths(paths.name, paths.source, golden)


def _red(paths: ZooPaths) -> Verdict:
    session = NetworkSubject(paths)
    verdicts = (session.stage(stage) for stage in (EXTRACT, REFERENCE, TORCH))
    return next((v for v in verdicts if v.outcome is not Outcome.PASS), session.stage(EXTRACT))


def _refused(paths: ZooPaths, error: GoldenError, layer: str) -> Verdict:
    """No golden is made: what is said of it, as a verdict."""
    named = layer if re.search(rf"(?<![\w.#]){re.escape(layer)}(?![\w.#])", str(error)) else ""
    return Verdict(paths.name, "golden", Outcome.FAIL, str(error), "GoldenError", named)


# --- what is stored


def golden_byte(right: Prepared, folder: Path, case: str, position: int) -> Verdict:
    """A byte of a stored case is another one."""
    paths = _copied(right, folder)
    flip_byte(paths.golden / f"case_{case}.safetensors.zst", position)
    return _red(paths)


def golden_code(right: Prepared, folder: Path, number: int, layer: str) -> Verdict:
    """A golden code is another one, and all digests are made to fit."""
    paths = _copied(right, folder)
    array = right.session.expected(number)[layer]
    index = tuple(size // 2 for size in array.shape)
    wrong = one_code_changed(array, index, 1 if array[index] < 100 else -1)

    def edit(case: GoldenCase) -> GoldenCase:
        return with_array(case, layer, wrong)

    edit_golden(paths, lambda golden: edit_case(golden, number, edit))
    return _red(paths)


def golden_input(right: Prepared, folder: Path) -> Verdict:
    """A stored input is another one."""
    paths = _copied(right, folder)

    def edit(case: GoldenCase) -> GoldenCase:
        array = case.inputs[0]
        wrong = one_code_changed(array, tuple(size // 2 for size in array.shape), 3)
        return replace(case, inputs=(wrong,))

    edit_golden(paths, lambda golden: edit_case(golden, 0, edit))
    return _red(paths)


def golden_zeros(right: Prepared, folder: Path, layer: str) -> Verdict:
    """A regeneration has made zeros of a layer."""
    paths = _copied(right, folder)

    def edit(case: GoldenCase) -> GoldenCase:
        return with_array(case, layer, right.session.expected(0)[layer] * 0)

    edit_golden(paths, lambda golden: edit_case(golden, 0, edit))
    return _red(paths)


def golden_without_case(right: Prepared, folder: Path) -> Verdict:
    """A case is gone."""
    paths = _copied(right, folder)
    (paths.golden / "case_edge.safetensors.zst").unlink()
    return _red(paths)


def golden_of_another(right: Prepared, folder: Path) -> Verdict:
    """Cases exchanged: each has the other's tensors."""
    paths = _copied(right, folder)

    def edit(golden: Golden) -> Golden:
        first, second, *rest = golden.cases
        swapped = (replace(first, inputs=second.inputs), replace(second, inputs=first.inputs))
        return replace(golden, cases=(*swapped, *rest))

    edit_golden(paths, edit)
    return _red(paths)


def state_byte(right: Prepared, folder: Path) -> Verdict:
    """A scale of the stored state has another lowest bit."""
    paths = _copied(right, folder)
    flip_byte(paths.golden / "state.safetensors", -4)
    return _red(paths)


# --- evidence that shows nothing


def saturated(right: Prepared, folder: Path, quantizer: str, layer: str) -> Verdict:
    """A scale that was never calibrated: a thirtieth."""
    return _rescaled(right, folder, quantizer, 1 / 30.0, layer)


def constant(right: Prepared, folder: Path, quantizer: str, layer: str) -> Verdict:
    """A scale so large that a layer gives one code only."""
    return _rescaled(right, folder, quantizer, 1e4, layer)


def _rescaled(right: Prepared, folder: Path, quantizer: str, factor: float, layer: str) -> Verdict:
    paths = _copied(right, folder)
    key = f"{quantizer}.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value"

    def edit(tensors: dict[str, Any]) -> None:
        tensors[key] *= np.float32(factor)

    edit_state(paths, edit)
    try:
        regenerate(paths)
    except GoldenError as error:
        return _refused(paths, error, layer)
    return right.session.succeed("golden")


def dt_rank(right: Prepared, folder: Path) -> Verdict:
    """dt_rank is not forwarded: a good network, but another one. Only the published number of parameters says so."""
    del folder
    source = right.session.paths.source.parents[2] / "test_networks" / "test_18_mamba_block.py"
    original = QuantSSM.__init__

    def forgetful(
        self: QuantSSM, d_inner: int, d_state: int, rank: Any, *rest: Any, **more: Any
    ) -> None:
        del rank
        original(self, d_inner, d_state, d_inner // 16, *rest, **more)

    with patch.object(QuantSSM, "__init__", forgetful):
        network = load_network_file(source)
        model = network.create_model()
    found = sum(
        parameter.numel() for name, parameter in model.named_parameters() if "quant" not in name
    )
    dimensions = network.dimensions()
    assert dimensions is not None
    promised = dimensions.parameters
    outcome = Outcome.PASS if found == promised else Outcome.FAIL
    message = f"{found} parameters, published are {promised}"
    return Verdict(network.path.stem, "dimensions", outcome, message, "parameters")


# --- programs


def stale_binary(right: Prepared, folder: Path) -> Verdict:
    """The program of another project lies where this one's should, and is recorded as good."""
    project = right.session.project
    other = changed(project, (Change("main.c", "int main(", "/* another project */\nint main("),))
    with _own_cache(folder):
        current, stale = build(project, right.target), build(other, right.target)
        program = stale.path.read_bytes()
        current.path.write_bytes(program)
        record = {"sha256": sha256(program).hexdigest(), "made": 0.0}
        (current.path.parent / "record.json").write_text(json.dumps(record), encoding="utf-8")
        return right.session.target(right.target)


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """A cache that may be damaged, with the runtime's libraries of the real one."""
    from ares.toolchain import open_cache

    real = open_cache().root
    own = folder / "cache"
    own.mkdir(mode=0o700)
    for library in real.glob("library-*"):
        (own / library.name).symlink_to(library)
    with patch.dict("os.environ", {"ARES_CACHE_DIR": str(own)}):
        yield


# --- the comparator, with a fault of the C that it must not miss


def _with_c(right: Prepared, file: str, old: str, new: str) -> NetworkSubject:
    plant = InC((Change(file, old, new),))
    return with_project(right.session, changed(right.session.project, plant.changes))


UNWRITTEN = (
    "runtime/src/conv2d.c",
    "i < results; i += ARES_TILE_ROWS",
    "i + 4 < results; i += ARES_TILE_ROWS",
)
ONE_CODE = (
    "runtime/src/micro_portable.c",
    "* multiplier + offset, shift",
    "* multiplier + offset + offset / 300, shift",
)


def _prefix(name: str, expected: Any, found: Any) -> Difference | None:
    return first_difference(name, expected.reshape(-1)[:8], found.reshape(-1)[:8])


def _tolerant(name: str, expected: Any, found: Any) -> Difference | None:
    error = np.abs(expected.astype(np.float64) - found.astype(np.float64)).max()
    return None if error <= 3 else first_difference(name, expected, found)


def comparator(right: Prepared, folder: Path, wrong: str, c: str) -> Verdict:
    """The comparison of arrays is replaced by one that misses what is planted in the C: the digests do not."""
    del folder
    functions = {"prefix": _prefix, "tolerant": _tolerant}
    session = _with_c(right, *(UNWRITTEN if c == "unwritten" else ONE_CODE))
    with patch("ares.pipeline.compiled.first_difference", functions[wrong]):
        return first_red(session, right, in_python=False)


def digest_of_prefix(right: Prepared, folder: Path) -> Verdict:
    """The golden's digests are those of a prefix: what the trace shows is compared too."""
    del folder
    from ares.golden.store import tensor_digest

    def wrong(array: Any) -> str:
        return tensor_digest(np.ascontiguousarray(array.reshape(-1)[:8]))

    session = _with_c(right, *UNWRITTEN)
    for computed in ("shows",):
        session.__dict__.pop(computed, None)
    lines = [
        replace(
            case,
            layers=tuple(
                replace(line, digest=wrong(session.expected(k)[line.name])) for line in case.layers
            ),
        )
        for k, case in enumerate(session.golden.cases)
    ]
    session.__dict__["golden"] = replace(session.golden, cases=tuple(lines))
    with (
        patch("ares.pipeline.compiled.tensor_digest", wrong),
        patch("ares.pipeline.subject.tensor_digest", wrong),
    ):
        return first_red(session, right, in_python=False)


def digest_is_constant(right: Prepared, folder: Path) -> Verdict:
    """Python's digest of a trace is always the same: the program's own are not."""
    del folder
    session = with_project(right.session, right.session.project)
    session.__dict__.pop("shows", None)
    with (
        patch("ares.pipeline.subject.trace_digest", lambda data: "0" * 16),
        patch("ares.pipeline.compiled.trace_digest", lambda data: "0" * 16),
        patch("ares.toolchain.run.trace_digest", lambda data: "0" * 16),
    ):
        return first_red(session, right, in_python=False)
