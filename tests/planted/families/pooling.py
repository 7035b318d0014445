"""Maxima and averages."""

from tests.planted.faults import in_c, in_graph, in_plan

MAX, AVERAGE = "max_pool2d.c", "avg_pool2d.c"
RIGHT = "ares_requantize(rescale, c, acc, 1, width, out + c, width);"
TOTAL = "(int64_t)acc[i] * rescale->multiplier[0] + rescale->offset[0] - divisor / 2"
CUT = f"""{RIGHT}
        const int64_t divisor = (int64_t)1 << rescale->shift[0];
        for (int32_t i = 0; i < width; ++i) {{
            out[c + i] = acc[i] < 0 ? ares_code_byte(ares_clamp(({TOTAL}) / divisor, rescale->lo, rescale->hi))
                                    : out[c + i];
        }}"""

FAULTS = (
    in_c(
        "pooling/minimum",
        "the smaller one is kept",
        "cnn pool",
        MAX,
        "ares_load_code(codes, c, is_signed) > ares_load_code(best, c, is_signed)",
        "ares_load_code(codes, c, is_signed) < ares_load_code(best, c, is_signed)",
    ),
    in_c(
        "pooling/starts-at-zero",
        "a maximum starts at 0, also of negative codes",
        "cnn pool",
        MAX,
        "p->input_signed ? INT8_MIN : 0",
        "p->input_signed ? 0 : 0",
    ),
    in_c(
        "pooling/one-row-more",
        "<= for <: a window has a row more",
        "cnn pool",
        MAX,
        "row < down.end;",
        "row <= down.end;",
    ),
    in_c(
        "pooling/row-pitch",
        "rows are as long as columns",
        "cnn pool",
        MAX,
        "row * p->across.in + column",
        "row * p->down.in + column",
    ),
    in_c(
        "pooling/last-row-unwritten",
        "the last row of the output is left as it was",
        "cnn pool",
        MAX,
        "y < p->down.out; ++y",
        "y + 1 < p->down.out; ++y",
    ),
    in_c(
        "pooling/best-unsigned",
        "what is kept is compared as unsigned",
        "cnn pool",
        MAX,
        "ares_load_code(best, c, is_signed)",
        "best[c]",
    ),
    in_c(
        "pooling/reads-beyond",
        "a window may end one behind the input",
        "cnn pool",
        "window.h",
        "if (whole.end > span->in) {\n        whole.end = span->in;",
        "if (whole.end > span->in + 1) {\n        whole.end = span->in;",
    ),
    in_c(
        "pooling/last-channel",
        "the last channel is left as it was",
        "residual pool",
        MAX,
        "keep_larger(out, in + (row * p->across.in + column) * p->channels, p->channels,",
        "keep_larger(out, in + (row * p->across.in + column) * p->channels, p->channels - 1,",
    ),
    in_plan(
        "pooling/signed-taken-for-unsigned",
        "s8 codes compared as u8",
        "cnn pool",
        ("params.input_signed", "set", 0),
    ),
    in_plan(
        "pooling/pads-left-alone",
        "the padding is on the right only",
        "cnn pool",
        ("params.across.pad", "set", 0),
    ),
    in_graph(
        "pooling/kernel",
        "windows of 2 x 3 in place of 3 x 3",
        "cnn pool",
        ("kernel", "set", (2, 3)),
    ),
    in_graph(
        "pooling/stride-is-kernel",
        "a window along one axis begins where it should end",
        "series pool",
        ("kernel", "set", 2),
        ("padding", "set", (1, 0)),
    ),
    in_c(
        "pooling/average-cut",
        "averages of negative sums are cut toward zero",
        "probe average",
        AVERAGE,
        RIGHT,
        CUT,
    ),
    in_c(
        "pooling/average-row-pitch",
        "rows of the input are as wide as those of the output",
        "cnn average",
        AVERAGE,
        "w.row_step = p->across.in * p->channels;",
        "w.row_step = p->across.out * p->channels;",
    ),
    in_c(
        "pooling/average-one-column",
        "a column too few",
        "cnn average",
        AVERAGE,
        "w.columns = across.end > across.first ? across.end - across.first : 0;",
        "w.columns = across.end > across.first ? across.end - across.first - 1 : 0;",
    ),
    in_c(
        "pooling/column-excess",
        "what the flip of signed bytes adds is taken back once, not for each row",
        "cnn average",
        "column_sums.h",
        "is_signed ? 128 * count : 0",
        "is_signed ? 128 : 0",
    ),
    in_c(
        "pooling/column-pairs",
        "odd channels get the sums of even ones",
        "cnn average",
        "column_sums.h",
        "pairs[1] += (word >> 8) & halves;",
        "pairs[1] += word & halves;",
    ),
    in_c(
        "pooling/share-of-the-shortest",
        "every window is divided by the length of the shortest",
        "series shares",
        AVERAGE,
        "return (end - first - counted->shortest) * counted->stride;",
        "return 0 * (end - first);",
    ),
    in_graph(
        "pooling/divisor",
        "an average of 2 x 2 divides by three",
        "probe average",
        ("rescale", "times", "4/3"),
    ),
    in_graph(
        "pooling/global-divisor",
        "a global average divides by rows times rows",
        "residual squeeze",
        ("rescale", "times", "11/9"),
    ),
    in_c(
        "pooling/mean-zero-point",
        "a mean without the zero point",
        "text mean",
        "mean.c",
        "acc[k] = -p->count * p->input_zero_point;",
        "acc[k] = -p->input_zero_point;",
    ),
    in_c(
        "pooling/mean-one-less",
        "the last of what is averaged is left out",
        "text mean",
        "mean.c",
        "ares_add_columns(block + i, p->inner, p->count, width",
        "ares_add_columns(block + i, p->inner, p->count - 1, width",
    ),
    in_c(
        "pooling/mean-block",
        "every block is the first",
        "residual mean",
        "mean.c",
        "block += p->count * p->inner;",
        "block += 0;",
    ),
    in_plan(
        "pooling/mean-axes",
        "a mean over what lies inside in place of outside",
        "llama mean",
        ("params.count", "set", 9),
    ),
    in_graph(
        "pooling/mean-ratio",
        "a mean over 10 tokens divides by 9",
        "llama mean",
        ("rescale", "times", "10/9"),
    ),
    in_plan(
        "pooling/global-zero-point",
        "the global average takes the codes' zero point for 1",
        "residual squeeze",
        ("params.input_zero_point", "set", 1),
    ),
)
