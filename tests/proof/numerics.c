/* Arithmetic that kernels share, each function for all values within the limits that stand over it. */
#include "runtime/inc/finisher.h"
#include "runtime/inc/float_probe.h"
#include "runtime/inc/numerics.h"
#include "runtime/inc/real_output.h"
#include "runtime/inc/softmax_row.h"
#include "runtime/inc/wide.h"

#include "__fc_builtin.h"

#define TWO_TO(n) ((int64_t)1 << (n))

static int64_t any(int64_t lo, int64_t hi)
{
    return Frama_C_long_long_interval(lo, hi);
}

static uint64_t any_unsigned(uint64_t lo, uint64_t hi)
{
    return Frama_C_unsigned_long_long_interval(lo, hi);
}

/* N1 to N4, with constants of one channel. */
static void rescale(void)
{
    const int32_t multiplier = (int32_t)any(-INT32_MAX, INT32_MAX);
    const int64_t offset = any(1 - TWO_TO(60), TWO_TO(60) - 1);
    const uint8_t shift = (uint8_t)any(1, 61);
    const ares_rescale constants = {&multiplier, &offset, &shift, NULL, 0, 0, 0, -128, 127};
    const int64_t most = TWO_TO(62) + TWO_TO(60) - 1;
    ares_finisher finisher;
    (void)ares_rescale_finish(&constants, any(-most, most), 0);
    (void)ares_rescale_apply(&constants, (int32_t)any(-INT32_MAX, INT32_MAX), 0);
    if (ares_finisher_of(&finisher, &constants, 0, 0)) {
        (void)ares_finish(&finisher, any(-most, most));
        (void)ares_finish_acc(&finisher, (int32_t)any(-INT32_MAX, INT32_MAX));
    }
    (void)ares_finisher_lift(&constants);
}

int main(void)
{
    const int64_t raised = TWO_TO(62) + TWO_TO(61) - 1;
    const uint32_t mantissa = (uint32_t)any_unsigned(TWO_TO(31), UINT32_MAX);
    const float scale = Frama_C_float_interval(-0x1.fffffep+127f, 0x1.fffffep+127f);
    const float bias = Frama_C_float_interval(-0x1.fffffep+127f, 0x1.fffffep+127f);
    ares_softmax_row row;

    (void)ares_floor_shift(any(INT64_MIN, INT64_MAX), (int32_t)any(0, 62));
    (void)ares_floor_shift_32((int32_t)any(INT32_MIN, INT32_MAX), (int32_t)any(0, 31));
    (void)ares_round_raised(any(-raised, raised), (int32_t)any(1, 62));
    (void)ares_round_shift(any(1 - TWO_TO(62), TWO_TO(62) - 1), (int32_t)any(1, 62));
    rescale();

    (void)ares_multiply_q62(any_unsigned(0, TWO_TO(62)), any_unsigned(0, TWO_TO(62)));
    (void)ares_scale_q62(any(-TWO_TO(62), TWO_TO(62)), any_unsigned(0, TWO_TO(62)));
    (void)ares_wide_round(any(-TWO_TO(61), TWO_TO(61)), (int32_t)any(0, INT32_MAX),
                          (int32_t)any(33, 84), (int32_t)any(-255, 255));

    row = ares_softmax_close(any_unsigned(TWO_TO(50), TWO_TO(62) - 1), mantissa,
                             (int32_t)any(-64, -1));
    (void)ares_softmax_code(&row, mantissa, (int32_t)any(0, 63), (int32_t)any(-128, 255));
    (void)ares_softmax_term(mantissa, (int32_t)any(0, 63));

    (void)ares_real_output((int32_t)any(INT32_MIN, INT32_MAX), &scale, &bias, 0);
    (void)ares_real_output((int32_t)any(INT32_MIN, INT32_MAX), &scale, NULL, 0);
    (void)ares_float_probe();
    (void)ares_float_fault_name((int32_t)any(INT32_MIN, INT32_MAX));
    return 0;
}
