"""An operation is one slice: its files share a stem, nothing is missing, nothing is left over.

See `docs/adding-an-operation.md`: adding one costs new files and no edits to lists, which `test_costs.py` does.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from ares.documents.pages import op_types
from ares.documents.registry import outdated
from ares.extract._registry import load_detectors, module_detector
from ares.ops import COMPOSITES, operations

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "runtime"

# What lies beside the slices, and why.
OTHER_TESTS = {
    "test_moves": "layout arithmetic that flatten, permute, reshape and squeeze share",
    "test_panels": "what the planner packs for the micro-kernels",
}
OTHER_SOURCES = {
    "codes_product": "the products of attention_scores, attention_context and matmul_softmax",
    "convolution": "the patches of conv2d, conv_sum and conv_fp32",
    "executor": "walks the layer table",
    "float_probe": "checks the compiler's binary32 arithmetic when a program starts",
    "micro_elements": "asks the instruction set to do many elements at once",
    "micro_floats": "asks it to do many elements of binary32",
    "micro_rows": "asks it to do rows, groups or channels at once",
    "micro_x86": "chooses among the instruction sets of x86 when a program starts",
    "microkernels": "chooses the instruction set",
}
OTHER_HEADERS = {
    **OTHER_SOURCES,
    "bilinear": "the sums of upsample_bilinear2d and upsample_bilinear_fp32, inline",
    "column_sums": "sums over positions of avg_pool2d, mean and average_fp32, inline",
    "dot": "the inner product of transposed convolutions, inline",
    "finisher": "the rounding of one channel for loops over elements, inline",
    "layer_descriptors": "the tables of a network",
    "micro_add": "sums of two codes in words, inline",
    "micro_avx512": "from sums to codes with AVX-512, inline",
    "micro_rows_avx512": "lanes and tables of bytes with AVX-512, inline",
    "micro_steps": "the steps of limited values, for instruction sets without a search, inline",
    "micro_steps_avx512": "tables of shared steps for AVX-512, and who makes them",
    "numerics": "the clauses of docs/numerics.md, inline",
    "real_output": "binary32 results of linear_fp32 and conv_fp32, inline",
    "softmax_row": "what all softmaxes do with the exponentials of a row, inline",
    "status": "what a run answers, in every version",
    "symbols": "the names that the linker sees",
    "token_rows": "the rows of linear, linear_fp32 and products of codes, inline",
    "transposed": "the sums of conv_transpose2d and conv_transpose_fp32, inline",
    "wide": "products of more than 64 bits, inline",
    "window": "where the taps of a convolution or pooling lie, inline",
}

# The specification's table, as the user gave it: extracted layer type and OpType of every row.
SPECIFIED = {
    ("QuantIdentity", "OP_REQUANTIZE"),
    ("QuantConv2d", "OP_CONV2D"),
    ("QuantLinear", "OP_LINEAR_INT8"),
    ("QuantLinear", "OP_LINEAR_FP32"),
    ("QuantReLU", "OP_RELU"),
    ("GELU", "OP_GELU"),
    ("SiLU", "OP_SILU"),
    ("MaxPool2d", "OP_MAXPOOL"),
    ("AvgPool2d", "OP_AVGPOOL"),
    ("GlobalAvgPool", "OP_GLOBAL_AVGPOOL"),
    ("AdaptiveAvgPool1d", "OP_AVGPOOL"),
    ("LayerNorm", "OP_LAYERNORM"),
    ("RMSNorm", "OP_RMSNORM"),
    ("GroupNorm", "OP_GROUPNORM"),
    ("Add", "OP_ADD"),
    ("Concatenate", "OP_CONCAT"),
    ("Mean", "OP_MEAN"),
    ("Flatten", "OP_FLATTEN"),
    ("Squeeze", "OP_SQUEEZE"),
    ("Reshape", "OP_RESHAPE"),
    ("Permute", "OP_TRANSPOSE_2D"),
    ("ZeroPad2d", "OP_ZEROPAD2D"),
    ("Embedding", "OP_EMBEDDING"),
    ("RFFT", "OP_RFFT"),
    ("MultiheadSelfAttention", "OP_MHSA"),
    ("CrossAttention", "OP_CROSS_ATTENTION"),
    ("AlternatingAttention", "OP_ALTERNATING_ATTENTION"),
    ("Conv1dDepthwise", "OP_CONV1D_DEPTHWISE"),
    ("SSM", "OP_SSM"),
    ("MambaBlock", "OP_MAMBA_BLOCK"),
    ("MambaWrapper", "OP_MAMBA_WRAPPER"),
    ("PatchEmbed", "OP_PATCH_EMBED"),
}


def _stems(paths: Iterable[Path]) -> set[str]:
    return {path.stem for path in paths if not path.name.startswith("_")}


OPERATIONS = _stems((ROOT / "ares" / "ops").glob("*.py"))
KERNELS = {operation.KERNEL for operation in operations().values() if operation.KERNEL}


def test_the_registry_is_the_folder() -> None:
    assert set(operations()) == OPERATIONS
    assert list(operations()) == sorted(OPERATIONS)


def test_every_operation_has_a_detector() -> None:
    assert _stems((ROOT / "ares" / "extract").glob("*.py")) == OPERATIONS
    assert set(load_detectors()) == OPERATIONS


def test_every_operation_has_a_test() -> None:
    tests = _stems((ROOT / "tests" / "ops").glob("test_*.py"))
    assert tests == {f"test_{stem}" for stem in OPERATIONS} | set(OTHER_TESTS)


def test_every_kernel_has_its_files() -> None:
    sources = _stems((RUNTIME / "src").glob("*.c"))
    assert sources - _instruction_sets() == KERNELS | set(OTHER_SOURCES)
    assert _stems((RUNTIME / "inc").glob("*.h")) == KERNELS | set(OTHER_HEADERS)


def _instruction_sets() -> set[str]:
    """Sources with the micro-kernels of one instruction set, declared in microkernels.h or micro_x86.h."""
    found = _stems((RUNTIME / "src").glob("micro_*.c")) - set(OTHER_SOURCES)
    assert "micro_portable" in found
    for stem in found - {"micro_portable"}:
        text = (RUNTIME / "src" / f"{stem}.c").read_text()
        assert re.search(
            r'^#include "../inc/micro\w+\.h"\n+#if defined\(ARES_MICRO_\w+\)$', text, re.MULTILINE
        )
        assert text.endswith("#endif\n")
    return found


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_kernel_is_called_like_its_files(kernel: str) -> None:
    declaration = re.compile(rf"\bares_status ares_{kernel}\(")
    for path in (RUNTIME / "inc" / f"{kernel}.h", RUNTIME / "src" / f"{kernel}.c"):
        assert declaration.search(path.read_text()), f"{path} does not have ares_{kernel}"


@pytest.mark.parametrize("stem", sorted(OPERATIONS))
def test_an_operation_says_what_it_is(stem: str) -> None:
    """The class is named after the file; what users write exists, and a layer of theirs finds a detector."""
    operation = operations()[stem]
    assert operation.__name__.lower() == stem.replace("_", "")
    assert operation.stem() == stem
    assert operation.__doc__
    assert sys.modules[operation.__module__].__doc__
    package, _, name = operation.PYTHON_CLASS.rpartition(".")
    written = getattr(importlib.import_module(package), name)
    if package != "ares.nn":
        assert module_detector(object.__new__(written)) is not None


def test_the_specifications_rows_are_there() -> None:
    found = {(operation.LAYER_TYPE, operation.OP_TYPE) for operation in operations().values()}
    found |= {(kind.layer_type, kind.op_type) for kind in COMPOSITES}
    assert found >= SPECIFIED, SPECIFIED - found
    table = (ROOT / "docs" / "supported_operations.md").read_text()
    for layer_type, op_type in SPECIFIED:
        assert re.search(rf"^\| `{layer_type}` \| .*\| `{op_type}` \|", table, re.MULTILINE)


def test_the_specifications_table_has_31_layer_types() -> None:
    assert len({layer_type for layer_type, _ in SPECIFIED}) == 31


def test_the_enumeration_is_the_registry() -> None:
    text = (ROOT / op_types.PATH).read_text()
    assert op_types.content(ROOT, text) == text
    assert op_types.PATH not in outdated(ROOT)
    names = re.findall(r"^    (OP_\w+),$", text, re.MULTILINE)
    expected = {operation.OP_TYPE for operation in operations().values()}
    assert names == sorted(expected | {kind.op_type for kind in COMPOSITES})
