/* ARM64 forms: NEON, and NEON with the dot product of ARMv8.2. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

static void neon_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                     int32_t *sums) {
    int32_t r, c, wide = stride & ~15;
    for (r = 0; r < rows; r++, weight += stride) {
        int32x4_t sum = vdupq_n_s32(0);
        for (c = 0; c < wide; c += 16) {
            int8x16_t w = vld1q_s8(weight + c), v = vld1q_s8(x + c);
            /* Added pairwise to 32 bits at once: two products of -128 pass 16 bits. */
            sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(w), vget_low_s8(v)));
            sum = vpadalq_s16(sum, vmull_high_s8(w, v));
        }
        if (c < stride) sum = vpadalq_s16(sum, vmull_s8(vld1_s8(weight + c), vld1_s8(x + c)));
        sums[r] = vaddvq_s32(sum);
    }
}

#define DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))

DOTPROD static int8x16_t first8(const int8_t *p) {
    return vcombine_s8(vld1_s8(p), vdup_n_s8(0));
}

DOTPROD static void dotprod_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                                int32_t *sums) {
    int32_t r, c, i, wide = stride & ~15;
    for (r = 0; r + 4 <= rows; r += 4) {
        const int8_t *w = weight + r * stride;
        int32x4_t sum[4];
        for (i = 0; i < 4; i++) sum[i] = vdupq_n_s32(0);
        for (c = 0; c < wide; c += 16) {
            int8x16_t v = vld1q_s8(x + c);
            for (i = 0; i < 4; i++) sum[i] = vdotq_s32(sum[i], vld1q_s8(w + i * stride + c), v);
        }
        if (c < stride) {
            int8x16_t v = first8(x + c);
            for (i = 0; i < 4; i++) sum[i] = vdotq_s32(sum[i], first8(w + i * stride + c), v);
        }
        vst1q_s32(sums + r, vpaddq_s32(vpaddq_s32(sum[0], sum[1]), vpaddq_s32(sum[2], sum[3])));
    }
    neon_dot(weight + r * stride, stride, x, rows - r, sums + r);
}

/* The rounding shift of NEON is half up, too. */
static void neon_requantize(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                            int32_t shift, int32_t count, int16_t *y) {
    const int64x2_t right = vdupq_n_s64(-shift);
    int32_t i;
    for (i = 0; i + 4 <= count; i += 4) {
        int32x4_t a = vaddq_s32(vld1q_s32(sums + i), vld1q_s32(bias + i));
        int32x4_t m = vld1q_s32(multiplier + i);
        int64x2_t low = vrshlq_s64(vmull_s32(vget_low_s32(a), vget_low_s32(m)), right);
        int64x2_t high = vrshlq_s64(vmull_high_s32(a, m), right);
        vst1_s16(y + i, vqmovn_s32(vcombine_s32(vqmovn_s64(low), vqmovn_s64(high))));
    }
    es_plain_requantize(sums + i, bias + i, multiplier + i, shift, count - i, y + i);
}

static void neon_mix(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                     int32_t *sums) {
    int32_t t, d;
    for (d = 0; d < head_dim; d += 8) {
        int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);
        for (t = 0; t < rows; t++) {
            int16x8_t v = vmovl_s8(vld1_s8(values + t * head_dim + d));
            low = vmlal_n_s16(low, vget_low_s16(v), weights[t]);
            high = vmlal_n_s16(high, vget_high_s16(v), weights[t]);
        }
        vst1q_s32(sums + d, low);
        vst1q_s32(sums + d + 4, high);
    }
}

const es_kernels es_kernels_neon = {
    "neon", neon_dot, neon_requantize, neon_mix, es_plain_gru, es_plain_lstm,
};
const es_kernels es_kernels_dotprod = {
    "dotprod", dotprod_dot, neon_requantize, neon_mix, es_plain_gru, es_plain_lstm,
};

#else
typedef int es_not_arm64; /* a file is not empty in ISO C */
#endif
