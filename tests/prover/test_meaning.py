"""Which operations have a meaning of their own, and what the meaning of a weight's place is."""

import io

import numpy as np
import pytest

from ares.ops import operations
from ares.prover.certificate import certificate_of
from ares.prover.meaning import MEANINGS
from tests.prover.small import SmallSubject

# A new operation is judged by samples until it has a row in MEANINGS; then it leaves this list.
BY_SAMPLES = {
    *("group_norm", "layer_norm", "matmul_softmax", "rfft", "rms_norm", "rotary"),
    *("selective_scan", "softmax", "upsample_bilinear2d", "upsample_bilinear_fp32"),
}


def test_what_is_judged_by_samples_is_listed() -> None:
    kinds = tuple(kind for kind, _ in MEANINGS)
    assert {stem for stem, op in operations().items() if not issubclass(op, kinds)} == BY_SAMPLES


@pytest.mark.parametrize("name", ["conv", "deep", "gelu"])
def test_every_weight_has_one_place(name: str) -> None:
    certificate = certificate_of(SmallSubject())
    (layer,) = (layer for layer in certificate.layers if layer["name"] == name)
    step = certificate.layers.index(layer)
    with np.load(io.BytesIO(certificate.files["certificate.npz"])) as arrays:
        weight, pack = arrays[f"{step}.weight"], arrays[f"{step}.pack"]
    assert sorted(pack[pack >= 0].tolist()) == list(range(weight.size))


def test_the_same_certificate_has_the_same_bytes() -> None:
    first, second = (certificate_of(SmallSubject()) for _ in range(2))
    assert first.files == second.files
