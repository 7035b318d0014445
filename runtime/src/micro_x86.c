/* Which micro-kernels an x86 has: asked of the processor and of its system once, before main. */
#include "../inc/micro_x86.h"

#if defined(ARES_MICRO_X86)

#include <cpuid.h>

static const ares_x86_kernels portable = {.ares_tile = ARES_TILE_IN_C,
                                          .ares_depthwise_tile = ares_depthwise_tile_portable,
                                          .ares_requantize = ares_requantize_portable,
                                          .instruction_set = "portable"};

const ares_x86_kernels *ares_x86_chosen = &portable;

/* Bits of CPUID's answers. */
enum {
    SSE41 = 1u << 19,   /* leaf 1, ecx */
    OSXSAVE = 1u << 27, /* leaf 1, ecx: XGETBV can be asked */
    AVX2 = 1u << 5,     /* leaf 7, ebx */
    AVX512F = 1u << 16,
    AVX512DQ = 1u << 17,
    AVX512BW = 1u << 30,
    AVX512VBMI = 1u << 1, /* leaf 7, ecx */
    AVX512VNNI = 1u << 11
};
static const uint32_t avx512vl = 1u << 31; /* leaf 7, ebx */

/* The registers that the system keeps when it changes from program to program: bits of XCR0. */
enum { XMM_YMM = 0x06, XMM_YMM_ZMM = 0xe6 };

static uint32_t kept_registers(void)
{
    uint32_t low;
    uint32_t high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(uint32_t bits, uint32_t wanted)
{
    return (bits & wanted) == wanted;
}

int ares_x86_can_run(const ares_x86_kernels *kernels)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    uint32_t kept = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) {
        return kernels == &portable;
    }
    if (kernels == &ares_x86_sse41) {
        return has(c, SSE41);
    }
    if (has(c, OSXSAVE)) {
        kept = kept_registers();
    }
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return kernels == &portable;
    }
    if (kernels == &ares_x86_avx2) {
        return has(kept, XMM_YMM) && has(b, AVX2);
    }
    if (kernels == &ares_x86_avx512) {
        return has(kept, XMM_YMM_ZMM) && has(b, AVX512F | AVX512DQ | AVX512BW | avx512vl) &&
               has(c, AVX512VNNI);
    }
    return kernels == &portable;
}

int32_t ares_x86_permutes_bytes;

static int32_t permutes_bytes(void)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && has(c, AVX512VBMI);
}

/* Before main, when nothing else runs: afterwards what is chosen is only read. */
__attribute__((constructor)) static void choose(void)
{
    static const ares_x86_kernels *const best_first[] = {&ares_x86_avx512, &ares_x86_avx2,
                                                         &ares_x86_sse41};
    for (size_t i = 0; i < sizeof best_first / sizeof *best_first; ++i) {
        if (ares_x86_can_run(best_first[i])) {
            ares_x86_chosen = best_first[i];
            ares_x86_permutes_bytes = ares_x86_chosen == &ares_x86_avx512 && permutes_bytes();
            return;
        }
    }
}

#endif
