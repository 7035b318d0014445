"""The vectors are what the script writes; C agrees with them on every target; and notices when it should not."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from ares.resources import runtime_dir
from ares.toolchain import Target, default_targets
from tests.numerics import make_vectors
from tests.numerics.vector_files import FOLDER
from tests.slow import slow_but

CHECK = Path(__file__).parent / "vector_check.c"
KERNELS = ("lookup.c", "quantize_f32.c", "linear_fp32.c", "micro*.c")
# On the host: the check reads the files of vectors where they lie.
STRICT = ("-std=c11", "-ffp-contract=off")
PORTABLE = ("-DARES_PORTABLE",)
TARGETS = tuple(target for target in default_targets() if not target.machine.runner)


def _run(
    target: Target, flags: Sequence[str], runtime: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Build vector_check.c against a copy of the runtime and run it over the vectors."""
    program = folder / "vector_check"
    sources = [
        str(CHECK),
        *(str(path) for name in KERNELS for path in sorted((runtime / "src").glob(name))),
    ]
    command = [*target.compiler, *flags, f"-I{runtime / 'inc'}", *sources, "-o", str(program)]
    # The kernels need no libm; one planted fault does.
    subprocess.run([*command, *target.link_flags, "-lm"], check=True, cwd=folder)
    return subprocess.run(
        target.machine.command(program, [str(FOLDER)]),
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", make_vectors.FILES)
def test_files_are_what_the_script_writes(name: str) -> None:
    assert (FOLDER / name).read_bytes() == make_vectors.content(name).encode("ascii")


def test_no_other_files() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(make_vectors.FILES)


@pytest.mark.parametrize("target", slow_but([0], TARGETS), ids=lambda target: target.name)
def test_c_agrees_with_the_vectors(target: Target, tmp_path: Path) -> None:
    missing = target.missing()
    if missing:
        pytest.skip(f"{target.name}: {missing}")
    result = _run(target, target.flags, runtime_dir(), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.splitlines()) == len(make_vectors.FILES)


def test_c_agrees_without_a_wider_type(tmp_path: Path) -> None:
    """The other way of every product that a 128-bit type or an instruction set would make."""
    result = _run(_installed(), (*STRICT, *PORTABLE), runtime_dir(), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def _installed() -> Target:
    target = next((target for target in TARGETS if target.missing() is None), None)
    if target is None:
        pytest.skip("no C compiler is installed, not even ziglang")
    return target


# (what is wrong, file of the runtime, the right text, the wrong one, the file of vectors that shows it)
FAULTS = [
    (
        "half up",
        "inc/numerics.h",
        "is_tie ? rounded & ~(int64_t)1 : rounded",
        "rounded",
        "round_shift.txt",
    ),
    ("half down", "inc/numerics.h", "rounded & ~(int64_t)1 :", "rounded - 1 :", "round_shift.txt"),
    (
        "half to odd",
        "inc/numerics.h",
        "rounded & ~(int64_t)1 :",
        "((rounded - 1) | 1) :",
        "round_shift.txt",
    ),
    ("floor", "inc/numerics.h", "value + ((int64_t)1 << (bits - 1))", "value", "round_shift.txt"),
    (
        "toward zero",
        "inc/numerics.h",
        "return value >> bits;",
        "return value / ((int64_t)1 << bits);",
        "round_shift.txt",
    ),
    ("u8 as s8", "inc/dot.h", "return is_signed ?", "return 1 ?", "dot.txt"),
    ("s8 as u8", "inc/dot.h", "return is_signed ?", "return 0 ?", "dot.txt"),
    ("no zero point, tail", "inc/dot.h", "(int32_t)x[i] - zero_point", "(int32_t)x[i]", "dot.txt"),
    ("no zero point, block", "inc/dot.h", "(xs[k] - zero_point)", "xs[k]", "dot.txt"),
    ("8-bit difference", "inc/dot.h", "(int32_t)(int16_t)(xs", "(int32_t)(int8_t)(xs", "dot.txt"),
    ("no offset", "inc/numerics.h", "product + rescale->offset[c]", "product", "rescale.txt"),
    ("32-bit product", "inc/numerics.h", "(int64_t)accumulator *", "accumulator *", "rescale.txt"),
    ("no lower clamp", "inc/numerics.h", "value < lo ? lo : ", "", "rescale.txt"),
    ("no upper clamp", "inc/numerics.h", "value > hi ? hi : ", "", "rescale.txt"),
    ("one multiplier", "inc/numerics.h", "multiplier[c];", "multiplier[0];", "channels.txt"),
    (
        "unsigned multiplier",
        "inc/numerics.h",
        "(int64_t)accumulator * rescale->multiplier[c]",
        "(int64_t)accumulator * (uint32_t)rescale->multiplier[c]",
        "rescale.txt",
    ),
    (
        "first channel's shift",
        "inc/numerics.h",
        "shift[channel * rescale->channel_stride]",
        "shift[0]",
        "channels.txt",
    ),
    (
        "first channel's steps",
        "inc/numerics.h",
        "steps + channel * rescale->step_stride",
        "steps + 0",
        "channels.txt",
    ),
    (
        "step after",
        "inc/numerics.h",
        "place + n - 1] <= value",
        "place + n - 1] < value",
        "steps.txt",
    ),
    ("one comparison", "inc/numerics.h", "n > 0; n >>= 1", "n > 0; n = 0", "steps.txt"),
    (
        "bucket by a rounded distance",
        "inc/numerics.h",
        "distance >> steps->bits",
        "(distance + 1) >> steps->bits",
        "steps.txt",
    ),
    (
        "the first step limited away",
        "inc/numerics.h",
        "value, steps->below, steps->last",
        "value, steps->below + 1, steps->last",
        "steps.txt",
    ),
    (
        "the last step limited away",
        "inc/numerics.h",
        "value, steps->below, steps->last",
        "value, steps->below, steps->last - 1",
        "steps.txt",
    ),
    (
        "32-bit steps",
        "inc/numerics.h",
        "ares_clamp(value, steps->below",
        "ares_clamp((int32_t)value, steps->below",
        "steps.txt",
    ),
    (
        "zero point after",
        "src/quantize_f32.c",
        "quotient + zero_point",
        "quotient",
        "quantize_f32.txt",
    ),
    (
        "reciprocal",
        "src/quantize_f32.c",
        "x / p->scale",
        "x * (1.0f / p->scale)",
        "quantize_f32.txt",
    ),
    ("c - x", "src/quantize_f32.c", "result = c - x", "result = x - c", "quantize_f32.txt"),
    (
        "divisor's reciprocal",
        "src/quantize_f32.c",
        "result = x / c",
        "result = x * (1.0f / c)",
        "quantize_f32.txt",
    ),
    (
        "constants in a row",
        "src/quantize_f32.c",
        "i / step->inner % step->count",
        "i % step->count",
        "quantize_f32.txt",
    ),
    ("one constant", "src/quantize_f32.c", "% step->count", "* 0", "quantize_f32.txt"),
    ("sign of zero", "src/quantize_f32.c", "x >= 0.0f", "x > 0.0f", "quantize_f32.txt"),
    (
        "steps backwards",
        "src/quantize_f32.c",
        "p->steps[step]",
        "p->steps[p->num_steps - 1 - step]",
        "quantize_f32.txt",
    ),
    ("half away", "src/quantize_f32.c", "(whole & 1) != 0", "1", "quantize_f32.txt"),
    ("NaN low", "src/quantize_f32.c", "p->lo : p->zero_point", "p->lo : p->lo", "quantize_f32.txt"),
    (
        "s8 index",
        "src/lookup.c",
        # Whatever an instruction set of the host makes of it.
        """ares_lookup_some(p->table, in, p->elements, out); i < p->elements; ++i) {
        out[i] = p->table[in[i]];""",
        """0; i < p->elements; ++i) {
        out[i] = p->table[in[i] & 0x7f];""",
        "lookup.txt",
    ),
    (
        "fused",
        "inc/real_output.h",
        "value + bias[o]",
        "__builtin_fmaf(ares_nearest_float(acc), scale[o], bias[o])",
        "binary32.txt",
    ),
    (
        "double",
        "inc/real_output.h",
        "float value = ares_nearest_float(acc)",
        "double value = acc",
        "binary32.txt",
    ),
]


# Of N15: (what is wrong, the right text in inc/wide.h, the wrong one, whether in halves).
WIDE_FAULTS = [
    ("a tie downwards", "(UINT64_C(1) << 63)) >> 64", "(UINT64_C(1) << 63) - 1) >> 64", False),
    ("not rounded", "product + (UINT64_C(1) << 63)", "product", False),
    (
        "a tie downwards, halves",
        "(UINT64_C(1) << 29)) >> 30",
        "(UINT64_C(1) << 29) - 1) >> 30",
        True,
    ),
    ("not rounded, halves", "middle + (UINT64_C(1) << 29)", "middle", True),
    ("no carry", "(((uint64_t)low * factor_low) >> 32)", "0", True),
    ("one cross product", "(uint64_t)low * factor_high +", "", True),
    ("a sum of 32 bits", "const uint64_t middle = ", "const uint64_t middle = (uint32_t)", True),
    ("a state's tie upwards", "(size, factor) ^ sign) - sign", "(size, factor) ^ sign) + 0", False),
    ("a signed low half", "(uint64_t)value & UINT64_C(0xffffffff)", "(int32_t)value", False),
    ("what is beyond forgotten", "((uint64_t)low & UINT64_C(0xffffffff)) != 0 ||", "", False),
    ("ties up", "remainder == half && beyond", "remainder == half", False),
    ("ties to odd", "(quotient & 1) != 0", "(quotient & 1) == 0", False),
    ("no addend", "addend * ((int64_t)1 << bits)", "0", False),
    ("low half forgotten", "multiplier + (low >> 32) +", "multiplier +", False),
]


@pytest.mark.parametrize(
    ("what", "right", "wrong", "in_halves"),
    slow_but([0, 2, 4, 9], WIDE_FAULTS),
)
def test_planted_faults_of_wide_products_show(
    what: str, right: str, wrong: str, in_halves: bool, tmp_path: Path
) -> None:
    flags = PORTABLE if in_halves else ()
    _assert_shown(what, "inc/wide.h", right, wrong, "wide.txt", flags, tmp_path)


@pytest.mark.parametrize(
    ("what", "file", "right", "wrong", "shown"), FAULTS, ids=[f[0] for f in FAULTS]
)
def test_planted_faults_show(
    what: str, file: str, right: str, wrong: str, shown: str, tmp_path: Path
) -> None:
    _assert_shown(what, file, right, wrong, shown, (), tmp_path)


def _assert_shown(
    what: str,
    file: str,
    right: str,
    wrong: str,
    shown: str,
    flags: Sequence[str],
    tmp_path: Path,
) -> None:
    target = _installed()
    runtime = tmp_path / "runtime"
    for folder in ("inc", "src"):
        (runtime / folder).mkdir(parents=True)
        for path in (runtime_dir() / folder).iterdir():
            text = path.read_text(encoding="utf-8")
            if f"{folder}/{path.name}" == file:
                assert right in text, f"{what}: {file} no longer holds {right!r}"
                text = text.replace(right, wrong)
            (runtime / folder / path.name).write_text(text, encoding="utf-8")
    # The faulty code may well earn warnings; what counts is that the numbers show it.
    result = _run(target, (*STRICT, "-w", *flags), runtime, tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith(f"{shown}:"), result.stdout
