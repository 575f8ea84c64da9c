/* ARM64 forms: NEON, and NEON with the dot product of ARMv8.2. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

#if defined(__aarch64__) && defined(__ARM_NEON)

#include <arm_neon.h>

static void neon_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                     const int8_t *x, int32_t rows, int32_t *sums) {
    int32_t r, c, wide = stride & ~15;
    (void)row_sums;
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

DOTPROD static void dotprod_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                                const int8_t *x, int32_t rows, int32_t *sums) {
    int32_t r, c, i, wide = stride & ~15;
    (void)row_sums;
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
    neon_dot(weight + r * stride, NULL, stride, x, rows - r, sums + r);
}

/* Four numbers times four, shifted and clamped to 32 bits. The rounding shift of NEON is half up,
 * too. */
static int32x4_t rescaled4(int32x4_t a, int32x4_t m, int64x2_t right) {
    int64x2_t low = vrshlq_s64(vmull_s32(vget_low_s32(a), vget_low_s32(m)), right);
    int64x2_t high = vrshlq_s64(vmull_high_s32(a, m), right);
    return vcombine_s32(vqmovn_s64(low), vqmovn_s64(high));
}

static void neon_requantize(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                            int32_t shift, int32_t count, int16_t *y) {
    const int64x2_t right = vdupq_n_s64(-shift);
    int32_t i;
    for (i = 0; i + 4 <= count; i += 4) {
        int32x4_t a = vaddq_s32(vld1q_s32(sums + i), vld1q_s32(bias + i));
        vst1_s16(y + i, vqmovn_s32(rescaled4(a, vld1q_s32(multiplier + i), right)));
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

/* Eight numbers, clamped to int8. */
static void store8(int8_t *y, int32x4_t low, int32x4_t high) {
    vst1_s8(y, vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high))));
}

static int32_t neon_moments(const int16_t *x, int32_t count, uint64_t *squares) {
    int32x4_t sum = vdupq_n_s32(0);
    uint64x2_t wide = vdupq_n_u64(0);
    uint64_t rest;
    int32_t i, total;
    for (i = 0; i + 8 <= count; i += 8) {
        int16x8_t v = vld1q_s16(x + i);
        int32x4_t low = vmull_s16(vget_low_s16(v), vget_low_s16(v)), high = vmull_high_s16(v, v);
        sum = vpadalq_s16(sum, v);
        wide = vpadalq_u32(wide, vreinterpretq_u32_s32(low));
        wide = vpadalq_u32(wide, vreinterpretq_u32_s32(high));
    }
    total = vaddvq_s32(sum) + es_plain_moments(x + i, count - i, &rest);
    *squares = vaddvq_u64(wide) + rest;
    return total;
}

static int32x4_t norm4(int16x4_t x, int16x4_t gain, int32x4_t bias, es_center c, int64x2_t right) {
    int32x4_t centered = vsubq_s32(vmulq_n_s32(vmovl_s16(x), c.times), vdupq_n_s32(c.sum));
    int16x4_t unit = vqmovn_s32(rescaled4(centered, vdupq_n_s32(c.inverse), right));
    return vaddq_s32(vmull_s16(unit, gain), bias);
}

static void neon_norm(const int16_t *x, int32_t count, es_center c, const int16_t *gain,
                      const int32_t *bias, int32_t shift, int8_t *y) {
    const int64x2_t right = vdupq_n_s64(-c.shift);
    const int32x4_t half = vdupq_n_s32(1 << (shift - 1)), last = vdupq_n_s32(-shift);
    int32_t i;
    for (i = 0; i + 8 <= count; i += 8) {
        int32x4_t low = vaddq_s32(vld1q_s32(bias + i), half);
        int32x4_t high = vaddq_s32(vld1q_s32(bias + i + 4), half);
        low = norm4(vld1_s16(x + i), vld1_s16(gain + i), low, c, right);
        high = norm4(vld1_s16(x + i + 4), vld1_s16(gain + i + 4), high, c, right);
        store8(y + i, vshlq_s32(low, last), vshlq_s32(high, last));
    }
    es_plain_norm(x + i, count - i, c, gain + i, bias + i, shift, y + i);
}

static int32_t neon_score(int32_t *scores, int32_t count, int32_t multiplier, int32_t shift,
                          const int16_t *bias) {
    const int64x2_t right = vdupq_n_s64(-shift);
    const int32x4_t top = vdupq_n_s32(ES_SCORE_LIMIT - 1), low = vdupq_n_s32(-ES_SCORE_LIMIT);
    int32x4_t most = vdupq_n_s32(ES_NO_SCORE);
    int32_t i, first, rest;
    for (i = 0; i + 4 <= count; i += 4) {
        int32x4_t v = rescaled4(vld1q_s32(scores + i), vdupq_n_s32(multiplier), right);
        v = vmaxq_s32(vminq_s32(v, top), low);
        /* bias[-i], bias[-i - 1] ... */
        v = vaddq_s32(v, vmovl_s16(vrev64_s16(vld1_s16(bias - i - 3))));
        most = vmaxq_s32(most, v);
        vst1q_s32(scores + i, v);
    }
    first = vmaxvq_s32(most);
    rest = es_plain_score(scores + i, count - i, multiplier, shift, bias - i);
    return first > rest ? first : rest;
}

static void neon_narrow(const int32_t *sums, int32_t multiplier, int32_t shift, int32_t count,
                        int8_t *y) {
    const int64x2_t right = vdupq_n_s64(-shift);
    const int32x4_t m = vdupq_n_s32(multiplier);
    int32_t i;
    for (i = 0; i + 8 <= count; i += 8) {
        store8(y + i, rescaled4(vld1q_s32(sums + i), m, right),
               rescaled4(vld1q_s32(sums + i + 4), m, right));
    }
    es_plain_narrow(sums + i, multiplier, shift, count - i, y + i);
}

const es_kernels es_kernels_neon = {
    "neon", neon_dot, neon_requantize, neon_mix, neon_moments, neon_norm, neon_score,
    es_plain_powers, neon_narrow, es_plain_gru, es_plain_lstm,
};
const es_kernels es_kernels_dotprod = {
    "dotprod", dotprod_dot, neon_requantize, neon_mix, neon_moments, neon_norm, neon_score,
    es_plain_powers, neon_narrow, es_plain_gru, es_plain_lstm,
};

#else
typedef int es_not_arm64; /* a file is not empty in ISO C */
#endif
