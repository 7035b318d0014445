/* A network of every kind of layer and tensor, with kernels that may fail, and an observer that may stop it. */
#include "runtime/inc/executor.h"

#include "__fc_builtin.h"

static ares_status move(const void *params, const void *const *inputs, void *const *outputs,
                        void *scratch)
{
    const int32_t count = *(const int32_t *)params;
    (void)scratch;
    for (int32_t i = 0; i < count; ++i) {
        ((uint8_t *)outputs[0])[i] = ((const uint8_t *)inputs[0])[i];
    }
    return Frama_C_interval(0, 1) ? ARES_ERROR_INPUT : ARES_OK;
}

static ares_status look(void *context, uint32_t layer_index, const ares_layer *layer,
                        const ares_tensor *tensor, const void *data)
{
    (void)layer_index;
    (void)layer;
    *(uint8_t *)context = tensor->dtype == ARES_S16 ? 0 : ((const uint8_t *)data)[0];
    return Frama_C_interval(0, 1) ? ARES_STOPPED : ARES_OK;
}

static const uint8_t constant[4] = {1, 2, 3, 4};
static const int32_t four = 4;
static const ares_tensor tensors[] = {
    {"in", 0, 4, ARES_SPACE_INPUT, ARES_U8, NULL},
    {"constant", 0, 4, ARES_SPACE_CONSTANT, ARES_S8, constant},
    {"middle", 16, 1, ARES_SPACE_ARENA, ARES_F32, NULL},
    {"last", 0, 2, ARES_SPACE_ARENA, ARES_S16, NULL},
    {"made", 1, 4, ARES_SPACE_OUTPUT, ARES_S8, NULL},
    {"more", 32, 1, ARES_SPACE_ARENA, ARES_S32, NULL},
};
static const uint16_t index_of[] = {0, 1, 2, 3, 4, 5};
static const ares_layer stages[] = {
    {OP_RELU, "a", move, &four, &index_of[0], &index_of[2], 1, 1, 1, 64, 0, NULL, 0},
    {OP_RELU, "b", move, &four, &index_of[2], &index_of[3], 1, 1, 0, 64, 0, NULL, 0},
};
static const ares_layer layers[] = {
    {OP_MHSA, "both", NULL, NULL, &index_of[0], &index_of[3], 1, 1, 0, 0, 0, stages, 2},
    {OP_RESHAPE, "c", NULL, NULL, &index_of[3], &index_of[3], 1, 1, 1, 0, 0, NULL, 0},
    {OP_RELU, "d", move, &four, &index_of[1], &index_of[4], 1, 1, 1, 64, 0, NULL, 0},
    {OP_RELU, "e", move, &four, &index_of[4], &index_of[5], 1, 1, 1, 64, 0, NULL, 0},
};
static const uint16_t made[] = {3, 4, 5};
static const ares_network network = {"net", tensors, layers, made, 4, 3, 6};

int main(void)
{
    uint8_t in[4];
    uint8_t arena[64];
    uint8_t out0[4];
    uint8_t out1[4];
    uint8_t out2[4];
    uint8_t seen;
    const void *const inputs[] = {in};
    void *const outputs[] = {out0, out1, out2};
    Frama_C_make_unknown((char *)in, sizeof in);
    ares_observer observer = Frama_C_interval(0, 1) ? look : NULL;
    void *const memory = Frama_C_interval(0, 1) ? arena : NULL;
    if (ares_execute(&network, inputs, outputs, memory, observer, &seen) != ARES_OK) {
        return 1;
    }
    /*@ assert \initialized(&out0[0 .. 3]) && \initialized(&out1[0 .. 3]); */
    /*@ assert \initialized(&out2[0 .. 3]); */
    return 0;
}
