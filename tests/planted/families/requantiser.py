"""One rounding, one clamp, one zero point: what is got wrong on the way from an accumulator to a code."""

from tests.planted.faults import (
    Change,
    Fault,
    InC,
    in_c,
    in_c_twice,
    in_graph,
    in_lowering,
    in_plan,
)

PORTABLE = "micro_portable.c"
SMALL, LARGE = "value & ~1 : value", "value &= ~1;"


def _ties(name: str, what: str, rule: str) -> Fault:
    """Another rule for ties, in every kernel that rounds."""
    changes = (
        Change(
            "runtime/inc/numerics.h", "rounded & ~(int64_t)1", f"rounded - {rule.format('rounded')}"
        ),
        Change(f"runtime/src/{PORTABLE}", SMALL, f"value - {rule.format('value')} : value"),
        Change(f"runtime/src/{PORTABLE}", LARGE, f"value -= {rule.format('value')};"),
    )
    return Fault(name, what, "probe", "average", InC(changes))


FAULTS = (
    _ties("requantiser/half-up", "ties go up", "0"),
    _ties("requantiser/half-down", "ties go down", "1"),
    _ties("requantiser/half-away", "ties go away from zero, as C's round has it", "({0} <= 0)"),
    in_c(
        "requantiser/finisher-half-up",
        "a sum's ties go up",
        "probe add",
        "finisher.h",
        "rounded & ~is_tie",
        "rounded",
    ),
    in_c(
        "requantiser/finisher-mask",
        "the mask of the bits below the point is that point itself",
        "probe add",
        "finisher.h",
        "((uint32_t)1 << bits) - 1u",
        "((uint32_t)1 << bits)",
    ),
    in_c(
        "requantiser/logical-shift",
        "a shift that does not keep the sign",
        "cnn conv1",
        PORTABLE,
        "value = ares_floor_shift_32(high, shift - 32);",
        "value = (int32_t)((uint32_t)high >> (shift - 32));",
    ),
    in_c(
        "requantiser/shift-off-by-one",
        "the shift of the high word is one less",
        "cnn conv1",
        PORTABLE,
        "value = ares_floor_shift_32(high, shift - 32);",
        "value = ares_floor_shift_32(high, shift > 32 ? shift - 33 : 0);",
    ),
    in_c(
        "requantiser/product-of-32-bits",
        "accumulator times multiplier in 32 bits",
        "cnn conv1",
        PORTABLE,
        "(int64_t)*from * multiplier",
        "(int32_t)((uint32_t)*from * (uint32_t)multiplier)",
    ),
    in_c(
        "requantiser/one-channel-for-all",
        "all channels have the first one's constants",
        "cnn conv1",
        PORTABLE,
        "c += stride;",
        "c += 0;",
    ),
    in_c(
        "requantiser/panel-from-channel-0",
        "the constants of a panel are those of the first panel",
        "cnn conv1",
        PORTABLE,
        "int32_t c = first * stride;",
        "int32_t c = 0;",
    ),
    in_c(
        "requantiser/no-offset",
        "bias and zero point are left out",
        "cnn conv1",
        PORTABLE,
        "* multiplier + offset, shift",
        "* multiplier, shift",
    ),
    in_c(
        "requantiser/wraps-above",
        "no upper clamp: what is too large wraps in the byte",
        "coarse conv",
        PORTABLE,
        "return value < lo ? lo : value > hi ? hi : value;",
        "return value < lo ? lo : value;",
    ),
    in_c(
        "requantiser/no-relu",
        "no lower clamp: what a ReLU cuts wraps in the byte",
        "residual stem",
        PORTABLE,
        "return value < lo ? lo : value > hi ? hi : value;",
        "return value > hi ? hi : value;",
    ),
    in_c(
        "requantiser/clamps-late",
        "the code is made a byte before it is clamped",
        "residual stem",
        PORTABLE,
        "return value < lo ? lo : value > hi ? hi : value;",
        "const int32_t byte = (int8_t)value; return byte < lo ? lo : byte > hi ? hi : byte;",
    ),
    in_c(
        "requantiser/divides-toward-zero",
        "C's division in place of a shift that rounds down",
        "maps transposed",
        "numerics.h",
        "const int64_t rounded = ares_floor_shift(raised, bits);",
        "const int64_t rounded = raised / ((int64_t)1 << bits);",
    ),
    in_c(
        "requantiser/wide-floor",
        "the product of 92 bits is cut, not rounded",
        "llama block.attn.q_rotated",
        "wide.h",
        "return quotient + (remainder > half || (remainder == half && beyond));",
        "return quotient + 0 * (half > remainder) * beyond;",
    ),
    in_c(
        "requantiser/wide-without-addend",
        "the zero point is left out of the wide product",
        "llama block.attn.q_rotated",
        "wide.h",
        "+ addend * ((int64_t)1 << bits);",
        "+ (addend + 1) * ((int64_t)1 << bits);",
    ),
    # Of the vit's layers the context is the first with steps: its ratio is that of two small numbers (N5).
    in_c(
        "requantiser/step-beside",
        "the threshold behind the one that counts is asked",
        "vit attention.context",
        "numerics.h",
        "thresholds[place + n - 1] <= value",
        "thresholds[place + n] <= value",
    ),
    in_c(
        "requantiser/codes-of-7-bits",
        "a byte keeps seven bits",
        "cnn quant_in",
        "numerics.h",
        "(uint32_t)code & 0xffu",
        "(uint32_t)code & 0x7fu",
    ),
    in_plan(
        "requantiser/no-half",
        "1 << (shift - 1) is not in the offset: floor",
        "cnn conv2",
        ("params.rescale.offset", "without half", "params.rescale.shift"),
    ),
    in_plan(
        "requantiser/clip-of-s8",
        "codes of u8 are clipped at 127",
        "cnn conv2",
        ("params.rescale.hi", "set", 127),
    ),
    in_plan(
        "requantiser/lo-of-s8",
        "codes of u8 may be negative, and wrap",
        "cnn conv2",
        ("params.rescale.lo", "set", -128),
    ),
    in_plan(
        "requantiser/offset-of-32-bits",
        "offsets are cut to 32 bits",
        "cnn conv2",
        ("params.rescale.offset", "cut", 32),
    ),
    in_plan(
        "requantiser/shift-of-neighbour",
        "each channel has the shift of the one before",
        "cnn pointwise",
        ("params.rescale.multiplier", "rolled"),
    ),
    in_plan(
        "requantiser/multiplier-of-11-bits",
        "multipliers in half precision",
        "cnn conv1",
        ("params.rescale.multiplier", "short", 20),
    ),
    in_lowering(
        "requantiser/input-zero-point-forgotten",
        "the zero point of the input is taken for 0",
        "cnn conv1",
        ("@tensor quant_in", "zero_point", "set", 0),
    ),
    in_lowering(
        "requantiser/output-zero-point-forgotten",
        "the zero point of the output is left out",
        "maps pixels",
        ("rescale.offset", "without zero point", 126, "rescale.shift"),
    ),
    in_lowering(
        "requantiser/scale-of-a-neighbour",
        "the scale of another tensor",
        "cnn pointwise",
        ("rescale", "times scale", "dilated", "pointwise"),
    ),
    in_graph(
        "requantiser/ratio-off-by-a-thousandth",
        "a scale is off by a thousandth",
        "cnn dilated",
        ("rescale", "times", "1001/1000"),
    ),
    in_graph(
        "requantiser/per-tensor",
        "a scale per channel is read as one per tensor",
        "cnn conv1",
        ("rescale.multiplier", "first"),
    ),
    in_graph(
        "requantiser/narrow-range", "codes end at -127", "coarse conv", ("rescale.lo", "set", -127)
    ),
    in_c_twice(
        "requantiser/sqrt-half",
        "the inverse root is that of the value without its doublings",
        "luna norm",
        "norm.c",
        ("*doublings += bits / 2;", "*doublings += bits;"),
    ),
)

# Not seen on these subjects: a cut of 2^-16 moves a code of 100 by 0.002, and of 6,480 codes none lies so near a tie.
# Seen by a unit case: "sums beside ties" of `tests/ops/conv2d_cases.py`.
ESCAPES = (
    in_plan(
        "requantiser/multiplier-short",
        "multipliers of 15 bits in place of 31",
        "cnn conv1",
        ("params.rescale.multiplier", "short", 16),
    ),
)
