#include "../inc/add.h"

#include "../inc/finisher.h"
#include "../inc/micro_elements.h"

/* What the bit of an s8 code is worth that the flip of it moves into the byte. */
static int32_t flip_of(int32_t is_signed)
{
    return is_signed ? 128 : 0;
}

/* A sum without a function: bytes as u8, of s8 codes 128 too much, which the offset takes back. */
static void add_plain(const ares_add_params *p, const ares_finisher *constants, int32_t lift,
                      const uint8_t *in0, const uint8_t *in1, uint8_t *out)
{
    const int32_t done = ares_add_some(p, in0, in1, out);
    const int32_t a0 = p->coefficient0;
    const int32_t a1 = p->coefficient1;
    const int32_t flip0 = flip_of(p->input0_signed);
    const int32_t flip1 = flip_of(p->input1_signed);
    const int32_t count = p->count;
    ares_finisher finisher = *constants;
    finisher.offset -= ((int64_t)a0 * flip0 + (int64_t)a1 * flip1) * (1 << lift);

    for (int32_t i = done; i < count; ++i) {
        const int32_t x0 = (in0[i] ^ flip0) << lift;
        const int32_t x1 = (in1[i] ^ flip1) << lift;
        out[i] = ares_finish(&finisher, (int64_t)a0 * x0 + (int64_t)a1 * x1 + finisher.offset);
    }
}

static void add_any(const ares_add_params *p, const uint8_t *in0, const uint8_t *in1, uint8_t *out)
{
    const int64_t a0 = p->coefficient0;
    const int64_t a1 = p->coefficient1;
    const int64_t offset = p->rescale.offset[0];

    for (int32_t i = 0; i < p->count; ++i) {
        const int64_t sum = a0 * ares_load_code(in0, i, p->input0_signed) +
                            a1 * ares_load_code(in1, i, p->input1_signed);
        out[i] = ares_code_byte(ares_rescale_finish(&p->rescale, sum + offset, 0));
    }
}

ares_status ares_add(const void *params, const void *const *inputs, void *const *outputs,
                     void *scratch)
{
    const ares_add_params *const p = (const ares_add_params *)params;
    const uint8_t *in0 = (const uint8_t *)inputs[0];
    const uint8_t *const in1 = (const uint8_t *)inputs[1];
    uint8_t *out = (uint8_t *)outputs[0];
    const int32_t lift = ares_finisher_lift(&p->rescale);
    ares_finisher finisher;
    const int is_plain = ares_finisher_of(&finisher, &p->rescale, 0, lift);
    (void)scratch;

    for (int32_t r = 0; r < p->repeats; ++r) {
        if (is_plain) {
            add_plain(p, &finisher, lift, in0, in1, out);
        } else {
            add_any(p, in0, in1, out);
        }
        in0 += p->count;
        out += p->count;
    }
    return ARES_OK;
}
