"""Python and C agree, and both are wrong: the first part of `docs/pitfalls.md`, row by row, with the C in kind."""

from tests.planted.families.pooling import CUT, RIGHT
from tests.planted.families.requantiser import LARGE, SMALL
from tests.planted.faults import Change, Edit, Fault, Twin

PORTABLE, QUANTIZE = "runtime/src/micro_portable.c", "runtime/src/quantize_f32.c"
ROUND = "ares.numerics.rescale.round_half_even_shift"
TWICE = """const int64_t total = raised - ((int64_t)1 << (shift - 1));
    const int32_t first = shift > 31 ? 31 : shift - 1;
    if (first > 0) {
        return ares_clamp(ares_round_shift(ares_round_shift(total, first), shift - first), lo, hi);
    }
    int32_t value;
    if (shift < 32) {"""
AFTER = """const float near = quotient > 999.0f ? 999.0f : quotient < -999.0f ? -999.0f : quotient;
    const float shifted = (float)nearest_even(near) + zero_point;"""


def _ties(rule: str) -> tuple[Change, ...]:
    return (
        Change(
            "runtime/inc/numerics.h", "rounded & ~(int64_t)1", f"rounded - {rule.format('rounded')}"
        ),
        Change(
            "runtime/inc/finisher.h",
            "rounded & ~is_tie",
            f"rounded - (is_tie && {rule.format('rounded')})",
        ),
        Change(PORTABLE, SMALL, f"value - {rule.format('value')} : value"),
        Change(PORTABLE, LARGE, f"value -= {rule.format('value')};"),
    )


def _twin(
    name: str,
    what: str,
    place: str,
    *python: tuple[str, str],
    c: tuple[Change, ...] = (),
    extracts: bool = False,
) -> Fault:
    subject, _, layer = place.partition(" ")
    return Fault(name, what, subject, layer, Twin(python, c, extracts))


FAULTS = (
    _twin(
        "twin/softmax-of-integers",
        "the table holds exp(k) for integer k, scores are scaled by 16",
        "luna cross.weights",
        ("ares.extract.softmax.exp_table", "exp_table_of_integers"),
        extracts=True,
    ),
    _twin(
        "twin/softmax-floored",
        "probabilities are cut to 8 bits",
        "coarse softmax",
        ("ares.numerics.softmax._rounded", "softmax_floored"),
        c=(Change("runtime/inc/softmax_row.h", "return code + up;", "return code + 0 * up;"),),
    ),
    _twin(
        "twin/norm-times-scale",
        "LayerNorm multiplies by the scale of its input",
        "vit norm1",
        ("ares.extract._norms.plan_norm", "norm_times_scale"),
        extracts=True,
    ),
    _twin(
        "twin/group-norm-times-scale",
        "GroupNorm multiplies by the scale of its input",
        "luna norm",
        ("ares.extract._norms.plan_norm", "norm_times_scale"),
        extracts=True,
    ),
    _twin(
        "twin/scan-clipped",
        "A is clipped at -1",
        "mamba block.ssm.y",
        ("ares.extract.selective_scan.decay_factors", "decay_clipped"),
        extracts=True,
    ),
    _twin(
        "twin/scan-shifted",
        "dt is shifted by 8 and never restored",
        "mamba block.ssm.y",
        ("ares.extract.selective_scan.decay_factors", "decay_shifted"),
        ("ares.extract.selective_scan.plan_scan", "scan_shifted"),
        extracts=True,
    ),
    _twin(
        "twin/relu-signed",
        "a ReLU's codes are kept as signed",
        "residual stem",
        ("ares.extract._codes.read_quantizer", "signed_quantizer"),
        extracts=True,
    ),
    _twin(
        "twin/unsigned-read-as-signed",
        "u8 codes are read as s8",
        "cnn fc2",
        ("ares.ops.linear_fp32.LinearFp32.reference", "linear_signed"),
        c=(
            Change(
                "runtime/src/linear_fp32.c",
                "tokens.is_signed = p->input_signed;",
                "tokens.is_signed = 1;",
            ),
        ),
    ),
    _twin(
        "twin/bias-truncated",
        "a bias is cut to units of the accumulator",
        "coarse conv",
        ("ares.extract._rescaling.plan_pointwise", "bias_truncated"),
        extracts=True,
    ),
    _twin(
        "twin/bias-rounded",
        "a bias is rounded on its own",
        "coarse conv",
        ("ares.extract._rescaling.plan_pointwise", "bias_rounded"),
        extracts=True,
    ),
    _twin("twin/half-up", "ties go up", "probe average", (ROUND, "half_up_shift"), c=_ties("0")),
    _twin(
        "twin/half-away",
        "ties go away from zero",
        "probe average",
        (ROUND, "half_away_shift"),
        c=_ties("({0} <= 0)"),
    ),
    _twin(
        "twin/two-roundings",
        "high multiply, then shift",
        "coarse conv",
        (ROUND, "shift_twice"),
        c=(Change(PORTABLE, "int32_t value;\n    if (shift < 32) {", TWICE),),
    ),
    _twin(
        "twin/averages-cut",
        "averages of negative sums are cut",
        "probe average",
        ("ares.ops.avg_pool2d.AvgPool2d.reference", "average_cut"),
        c=(Change("runtime/src/avg_pool2d.c", RIGHT, CUT),),
    ),
    _twin(
        "twin/input-half-away",
        "roundf taken for half to even",
        "probe quant_in",
        ("ares.ops.quantize.quantize_f32", "quantize_half_away"),
        c=(
            Change(QUANTIZE, "(is_odd && rest == 0.5f)", "rest == 0.5f"),
            Change(QUANTIZE, "(is_odd && rest == -0.5f)", "rest == -0.5f"),
        ),
    ),
    _twin(
        "twin/input-zero-point-after",
        "the zero point is added after the rounding",
        "probe quant_in",
        ("ares.ops.quantize.quantize_f32", "quantize_then_shift"),
        c=(Change(QUANTIZE, "const float shifted = quotient + zero_point;", AFTER),),
    ),
    Fault(
        "twin/rotary-along-heads",
        "RoPE turns along the heads: all tokens alike",
        "llama",
        "block.attn.q_rotated",
        Twin(
            (),
            (),
            False,
            (
                Edit("block.attn.q_rotated", "cos", "first of", (0,)),
                Edit("block.attn.q_rotated", "sin", "first of", (0,)),
            ),
        ),
    ),
)
