/*
 * What a generated network is made of: a constant table of layers that the executor walks.
 *
 * A layer is one call of one kernel. The generated file holds the table; everything else is in this library.
 * The OpType enumeration is written by tools/generate_docs.py from ares/ops and checked by a test.
 */
#ifndef ARES_LAYER_DESCRIPTORS_H
#define ARES_LAYER_DESCRIPTORS_H

#include "symbols.h"
#include "status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum OpType {
    /* begin generated */
    OP_ACTIVATION,
    OP_ADD,
    OP_ALTERNATING_ATTENTION,
    OP_ATTENTION_CONTEXT,
    OP_ATTENTION_SCORES,
    OP_AVGPOOL,
    OP_AVGPOOL_FP32,
    OP_BATCHNORM,
    OP_CONCAT,
    OP_CONSTANT,
    OP_CONV1D,
    OP_CONV1D_DEPTHWISE,
    OP_CONV2D,
    OP_CONV_FP32,
    OP_CONV_SUM,
    OP_CONV_TRANSPOSE1D,
    OP_CONV_TRANSPOSE2D,
    OP_CONV_TRANSPOSE_FP32,
    OP_CROSS_ATTENTION,
    OP_EMBEDDING,
    OP_FLATTEN,
    OP_FLIP,
    OP_GELU,
    OP_GLOBAL_AVGPOOL,
    OP_GROUPNORM,
    OP_LAYERNORM,
    OP_LINEAR_FP32,
    OP_LINEAR_INT8,
    OP_MAMBA_BLOCK,
    OP_MAMBA_WRAPPER,
    OP_MATMUL,
    OP_MATMUL_SOFTMAX,
    OP_MAXPOOL,
    OP_MEAN,
    OP_MHSA,
    OP_MUL,
    OP_MULTIHEAD_ATTENTION,
    OP_PAD2D,
    OP_PATCH_EMBED,
    OP_RELU,
    OP_REQUANTIZE,
    OP_RESHAPE,
    OP_RFFT,
    OP_RMSNORM,
    OP_ROTARY,
    OP_SELECTIVE_SCAN,
    OP_SILU,
    OP_SLICE,
    OP_SOFTMAX,
    OP_SQUEEZE,
    OP_SSM,
    OP_TRANSPOSE_2D,
    OP_UPSAMPLE_BILINEAR2D,
    OP_UPSAMPLE_BILINEAR_FP32,
    OP_UPSAMPLE_NEAREST2D,
    OP_ZEROPAD2D,
    /* end generated */
} OpType;

/*
 * Every kernel has this one signature, so that the table can reach it by pointer and the linker drops
 * the kernels that no table names.
 *   params   the kernel's own ares_<op>_params
 *   inputs   one pointer per input tensor, outputs one per output tensor; they do not overlap, except that an
 *            output may equal an input where the kernel's header allows it. In the arena they are aligned to 16;
 *            constants, and what lies in the caller's buffers, as their element type and no more
 *   scratch  as many bytes as the generated table reserves for the call, aligned to 16; NULL when none
 */
typedef ares_status (*ares_kernel)(const void *params, const void *const *inputs,
                                   void *const *outputs, void *scratch);

/* Element types of tensors. */
typedef enum ares_dtype { ARES_S8, ARES_U8, ARES_S16, ARES_S32, ARES_F32 } ares_dtype;

/* Where a tensor lives while the network runs. */
typedef enum ares_space {
    ARES_SPACE_ARENA,    /* position = byte offset into the arena */
    ARES_SPACE_INPUT,    /* position = index of the network's input */
    ARES_SPACE_CONSTANT, /* data points to it */
    ARES_SPACE_OUTPUT,   /* position = index of the network's output, made in the caller's buffer */
} ares_space;

/* A tensor: elements in memory order (channels last), at a fixed place. */
typedef struct ares_tensor {
    const char *name;
    uint32_t position;
    uint32_t elements;
    ares_space space;
    ares_dtype dtype;
    const void *data;
} ares_tensor;

/*
 * One layer. kernel is NULL where nothing runs: where only the reading of the bytes changes (a reshape), for a
 * constant, for a padding that the layers behind it do themselves (it has no operands either), and for a composite
 * (attention, Mamba), which has stages instead. Stages have no stages of their own.
 */
typedef struct ares_layer {
    OpType op;
    const char *name;
    ares_kernel kernel;
    const void *params;
    const uint16_t *inputs;  /* indices of tensors */
    const uint16_t *outputs; /* indices of tensors */
    uint8_t num_inputs;
    uint8_t num_outputs;
    uint8_t observed; /* 0 for a copy that only changes the memory order of an operand */
    uint32_t scratch; /* byte offset into the arena */
    uint32_t scratch_bytes;
    const struct ares_layer *stages;
    uint32_t num_stages;
} ares_layer;

/* A network: tables only. */
typedef struct ares_network {
    const char *name;
    const ares_tensor *tensors;
    const ares_layer *layers;
    const uint16_t *outputs; /* copied to the caller's buffers unless made there */
    uint32_t num_layers;
    uint32_t num_outputs;
    uint32_t num_tensors;
} ares_network;

/* Bytes to which the arena, and so each tensor in it, is aligned. */
#define ARES_ARENA_ALIGNMENT 16

/* Largest number of operands of one layer. */
#define ARES_MAX_OPERANDS 32

#endif
