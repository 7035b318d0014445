/* The micro-kernels for the vectors of RISC-V (RVV 1.0), of any length: as many lanes as channels are asked for. */
#include "../inc/microkernels.h"

#if defined(ARES_MICRO_RVV)

#include <riscv_vector.h>

/* Numbers of rows and signs are constants of the callers. */
#define INLINE static inline __attribute__((always_inline))

INLINE int16_t code_at(const uint8_t *x, int is_signed)
{
    return is_signed ? (int8_t)*x : *x;
}

/* One code of each row, times its weights of all channels. */
#define ADD_CODES(k)                                                                               \
    do {                                                                                           \
        const vint16m2_t weights =                                                                 \
            __riscv_vsext_vf2_i16m2(__riscv_vget_v_i8m1x4_i8m1(group, k), lanes);                  \
        sums0 = __riscv_vwmacc_vx_i32m4(sums0, code_at(x0 + k, is_signed), weights, lanes);        \
        if (count > 1) {                                                                           \
            sums1 = __riscv_vwmacc_vx_i32m4(sums1, code_at(x1 + k, is_signed), weights, lanes);    \
            sums2 = __riscv_vwmacc_vx_i32m4(sums2, code_at(x2 + k, is_signed), weights, lanes);    \
            sums3 = __riscv_vwmacc_vx_i32m4(sums3, code_at(x3 + k, is_signed), weights, lanes);    \
        }                                                                                          \
    } while (0)

/* One row, or ARES_TILE_ROWS: those that do not exist are the first. Vectors of 128 bits hold the channels of a panel. */
INLINE void tile(const ares_tile_rows *rows, const int8_t *w, int32_t width, int32_t *acc,
                 int32_t count, int is_signed)
{
    const size_t lanes = __riscv_vsetvl_e32m4((size_t)width);
    vint32m4_t sums0 = __riscv_vmv_v_x_i32m4(0, lanes);
    vint32m4_t sums1 = sums0;
    vint32m4_t sums2 = sums0;
    vint32m4_t sums3 = sums0;
    for (int32_t s = 0; s < rows->segments; ++s) {
        const uint8_t *const *const x = &rows->x[s * ARES_TILE_ROWS];
        const uint8_t *x0 = x[0];
        const uint8_t *x1 = x[rows->rows > 1 ? 1 : 0];
        const uint8_t *x2 = x[rows->rows > 2 ? 2 : 0];
        const uint8_t *x3 = x[rows->rows > 3 ? 3 : 0];
        for (int32_t i = 0; i < rows->length; i += 4) {
            const vint8m1x4_t group = __riscv_vlseg4e8_v_i8m1x4(w, lanes);
            ADD_CODES(0);
            ADD_CODES(1);
            ADD_CODES(2);
            ADD_CODES(3);
            w += 4 * width;
            x0 += 4;
            x1 += 4;
            x2 += 4;
            x3 += 4;
        }
    }
    __riscv_vse32_v_i32m4(acc, sums0, lanes);
    if (count > 1 && rows->rows > 1) {
        __riscv_vse32_v_i32m4(acc + ARES_PANEL_WIDTH, sums1, lanes);
    }
    if (count > 1 && rows->rows > 2) {
        __riscv_vse32_v_i32m4(acc + 2 * ARES_PANEL_WIDTH, sums2, lanes);
    }
    if (count > 1 && rows->rows > 3) {
        __riscv_vse32_v_i32m4(acc + 3 * ARES_PANEL_WIDTH, sums3, lanes);
    }
}

void ares_tile_rvv(const ares_tile_rows *rows, const int8_t *panel, int32_t width, int32_t *acc)
{
    if (rows->rows == 1) {
        if (rows->is_signed) {
            tile(rows, panel, width, acc, 1, 1);
        } else {
            tile(rows, panel, width, acc, 1, 0);
        }
    } else if (rows->is_signed) {
        tile(rows, panel, width, acc, ARES_TILE_ROWS, 1);
    } else {
        tile(rows, panel, width, acc, ARES_TILE_ROWS, 0);
    }
}

/* The products of eight bits fit 16, of unsigned codes too. */
INLINE size_t depthwise(const ares_depthwise_taps *taps, int32_t first, int32_t width, int32_t *acc,
                        int is_signed)
{
    const size_t lanes = __riscv_vsetvl_e32m8((size_t)width);
    const int8_t *w = taps->weight + first;
    vint32m8_t sums = __riscv_vmv_v_x_i32m8(0, lanes);
    for (int32_t t = 0; t < taps->taps; ++t) {
        const vuint8m2_t x = __riscv_vle8_v_u8m2(taps->x[t] + first, lanes);
        const vint8m2_t weights = __riscv_vle8_v_i8m2(w, lanes);
        const vint16m4_t products =
            is_signed ? __riscv_vwmul_vv_i16m4(__riscv_vreinterpret_v_u8m2_i8m2(x), weights, lanes)
                      : __riscv_vwmulsu_vv_i16m4(weights, x, lanes);
        sums = __riscv_vwadd_wv_i32m8(sums, products, lanes);
        w += taps->channels;
    }
    __riscv_vse32_v_i32m8(acc, sums, lanes);
    return lanes;
}

void ares_depthwise_tile_rvv(const ares_depthwise_taps *taps, int32_t first, int32_t width,
                             int32_t *acc)
{
    while (width > 0) {
        const int32_t lanes = (int32_t)(taps->is_signed ? depthwise(taps, first, width, acc, 1)
                                                        : depthwise(taps, first, width, acc, 0));
        first += lanes;
        acc += lanes;
        width -= lanes;
    }
}

/* The rounding of these instructions is N1 itself, and adds no half: the half that is in the offset is taken out. */
INLINE vint64m4_t without_half(vint64m4_t offset, vuint8mf2_t shift, size_t lanes)
{
    const vuint64m4_t bits = __riscv_vsub_vx_u64m4(__riscv_vzext_vf8_u64m4(shift, lanes), 1, lanes);
    const vint64m4_t one = __riscv_vmv_v_x_i64m4(1, lanes);
    return __riscv_vsub_vv_i64m4(offset, __riscv_vsll_vv_i64m4(one, bits, lanes), lanes);
}

/* Constants (N3) of channels from n on: an array, or one for all. */
#define CONSTANTS(load, copy, array, n, lanes)                                                     \
    (rescale->channel_stride == 0 ? copy((array)[0], lanes) : load((array) + (n), lanes))

/* ares_step_of of limited values, with loads of lanes from anywhere. */
INLINE vuint8mf2_t codes_of(const ares_steps *steps, vint32m2_t values, size_t lanes)
{
    const vuint32m2_t distance =
        __riscv_vreinterpret_v_i32m2_u32m2(__riscv_vsub_vx_i32m2(values, steps->below, lanes));
    const vuint32m2_t bucket = __riscv_vsrl_vx_u32m2(distance, (size_t)steps->bits, lanes);
    const vuint8mf2_t start = __riscv_vluxei32_v_u8mf2(steps->starts, bucket, lanes);
    vuint32m2_t place = __riscv_vzext_vf4_u32m2(start, lanes);
    for (int32_t n = steps->half; n > 0; n >>= 1) {
        const vuint32m2_t at = __riscv_vsll_vx_u32m2(place, 2, lanes);
        const vint32m2_t threshold =
            __riscv_vluxei32_v_i32m2(steps->thresholds + (n - 1), at, lanes);
        const vbool16_t is_passed = __riscv_vmsle_vv_i32m2_b16(threshold, values, lanes);
        place = __riscv_vadd_vx_u32m2_mu(is_passed, place, place, (uint32_t)n, lanes);
    }
    return __riscv_vluxei32_v_u8mf2(steps->codes, place, lanes);
}

INLINE vuint8mf2_t bytes_of(vint32m2_t codes, size_t lanes)
{
    const vint16m1_t half = __riscv_vncvt_x_x_w_i16m1(codes, lanes);
    return __riscv_vreinterpret_v_i8mf2_u8mf2(__riscv_vncvt_x_x_w_i8mf2(half, lanes));
}

/* What fits no word saturates, which limits see no difference of: it is beyond them, as its nearest word is. */
void ares_requantize_rvv(const ares_rescale *rescale, int32_t first, const int32_t *acc,
                         int32_t rows, int32_t width, uint8_t *out, int32_t out_step)
{
    const ares_steps *const steps = rescale->num_thresholds > 0 ? rescale->steps : NULL;
    if (steps != NULL && rescale->step_stride != 0) {
        ares_requantize_portable(rescale, first, acc, rows, width, out, out_step);
        return;
    }
    while (width > 0) {
        const size_t lanes = __riscv_vsetvl_e32m2((size_t)width);
        const vuint8mf2_t bits =
            CONSTANTS(__riscv_vle8_v_u8mf2, __riscv_vmv_v_x_u8mf2, rescale->shift, first, lanes);
        const vuint32m2_t shift = __riscv_vzext_vf4_u32m2(bits, lanes);
        const vint32m2_t multiplier = CONSTANTS(__riscv_vle32_v_i32m2, __riscv_vmv_v_x_i32m2,
                                                rescale->multiplier, first, lanes);
        const vint64m4_t offset = without_half(
            CONSTANTS(__riscv_vle64_v_i64m4, __riscv_vmv_v_x_i64m4, rescale->offset, first, lanes),
            bits, lanes);
        for (int32_t r = 0; r < rows; ++r) {
            const vint32m2_t sums = __riscv_vle32_v_i32m2(acc + r * ARES_PANEL_WIDTH, lanes);
            const vint64m4_t total = __riscv_vwmacc_vv_i64m4(offset, sums, multiplier, lanes);
            vint32m2_t value = __riscv_vnclip_wv_i32m2(total, shift, __RISCV_VXRM_RNE, lanes);
            value = __riscv_vmin_vx_i32m2(value, rescale->hi, lanes);
            value = __riscv_vmax_vx_i32m2(value, rescale->lo, lanes);
            __riscv_vse8_v_u8mf2(
                out + r * out_step,
                steps != NULL ? codes_of(steps, value, lanes) : bytes_of(value, lanes), lanes);
        }
        first += (int32_t)lanes;
        acc += lanes;
        out += lanes;
        width -= (int32_t)lanes;
    }
}

#endif
