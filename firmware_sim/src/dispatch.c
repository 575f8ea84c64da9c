/* Which kernels this build has and this processor runs, the fastest first. */
#include <stddef.h>

#include "es_kernels_isa.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#define HWCAP_DOTPROD (1ul << 20)
#endif

/* Write the usable kernels to `list` (room for 4); returns how many. */
static int32_t usable(const es_kernels **list) {
    int32_t n = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        list[n++] = &es_kernels_vnni;
    }
    if (__builtin_cpu_supports("avx2")) list[n++] = &es_kernels_avx2;
    if (__builtin_cpu_supports("sse4.1")) list[n++] = &es_kernels_sse4;
#elif defined(__aarch64__) && defined(__ARM_NEON)
#if defined(__linux__)
    if (getauxval(AT_HWCAP) & HWCAP_DOTPROD) list[n++] = &es_kernels_dotprod;
#elif defined(__ARM_FEATURE_DOTPROD)
    list[n++] = &es_kernels_dotprod;
#endif
    list[n++] = &es_kernels_neon;
#elif defined(__ARM_FEATURE_MVE)
    list[n++] = &es_kernels_mve;
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
    list[n++] = &es_kernels_dsp;
#endif
    list[n++] = &es_kernels_plain;
    return n;
}

const es_kernels *es_kernels_at(int32_t index) {
    const es_kernels *list[4];
    return index >= 0 && index < usable(list) ? list[index] : NULL;
}
