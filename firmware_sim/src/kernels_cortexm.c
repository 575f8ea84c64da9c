/* Cortex-M forms: the DSP extension (M4, M7, M33) and MVE, "Helium" (M55). */
#include "es_fixed.h"
#include "es_kernels_isa.h"

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>

static void mve_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                    const int8_t *x, int32_t rows, int32_t *sums) {
    int32_t r, c, wide = stride & ~15;
    (void)row_sums;
    const mve_pred16_t eight = vctp8q(8);
    for (r = 0; r + 4 <= rows; r += 4) {
        const int8_t *w0 = weight + r * stride, *w1 = w0 + stride;
        const int8_t *w2 = w1 + stride, *w3 = w2 + stride, *v = x;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (c = 0; c < wide; c += 16, v += 16, w0 += 16, w1 += 16, w2 += 16, w3 += 16) {
            int8x16_t part = vldrbq_s8(v);
            s0 = vmladavaq_s8(s0, vldrbq_s8(w0), part);
            s1 = vmladavaq_s8(s1, vldrbq_s8(w1), part);
            s2 = vmladavaq_s8(s2, vldrbq_s8(w2), part);
            s3 = vmladavaq_s8(s3, vldrbq_s8(w3), part);
        }
        if (c < stride) {
            int8x16_t part = vldrbq_z_s8(v, eight);
            s0 = vmladavaq_s8(s0, vldrbq_z_s8(w0, eight), part);
            s1 = vmladavaq_s8(s1, vldrbq_z_s8(w1, eight), part);
            s2 = vmladavaq_s8(s2, vldrbq_z_s8(w2, eight), part);
            s3 = vmladavaq_s8(s3, vldrbq_z_s8(w3, eight), part);
        }
        sums[r] = s0;
        sums[r + 1] = s1;
        sums[r + 2] = s2;
        sums[r + 3] = s3;
    }
    for (; r < rows; r++) {
        const int8_t *w = weight + r * stride;
        int32_t sum = 0;
        for (c = 0; c < wide; c += 16) {
            sum = vmladavaq_s8(sum, vldrbq_s8(w + c), vldrbq_s8(x + c));
        }
        if (c < stride) {
            sum = vmladavaq_s8(sum, vldrbq_z_s8(w + c, eight), vldrbq_z_s8(x + c, eight));
        }
        sums[r] = sum;
    }
}

static void mve_mix(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                    int32_t *sums) {
    int32_t t, d;
    for (d = 0; d < head_dim; d += 4) {
        int32x4_t sum = vdupq_n_s32(0);
        for (t = 0; t < rows; t++) {
            sum = vmlaq_n_s32(sum, vldrbq_s32(values + t * head_dim + d), weights[t]);
        }
        vstrwq_s32(sums + d, sum);
    }
}

const es_kernels es_kernels_mve = {
    "mve", mve_dot, es_plain_requantize, mve_mix, es_plain_moments, es_plain_norm,
    es_plain_score, es_plain_powers, es_plain_narrow, es_plain_gru, es_plain_lstm,
};

#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)

#include <arm_acle.h>
#include <string.h>

#define COLUMNS 128 /* widened at a time, 256 bytes of stack */

/* Four bytes as one word, and on to the next; these processors read words at any address. */
static inline int32_t next_word(const int8_t **p) {
    int32_t value;
    memcpy(&value, *p, sizeof value);
    *p += sizeof value;
    return value;
}

/* Bytes 1 and 3, sign-extended, in one instruction; compilers write two. */
static inline int16x2_t upper(int32_t bytes) {
    int16x2_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* Adds four products: bytes 0 and 2, then 1 and 3. */
static inline int32_t four(int32_t sum, int32_t weight, int16x2_t even, int16x2_t odd) {
    return __smlad(upper(weight), odd, __smlad(__sxtb16(weight), even, sum));
}

/* One row's four columns: %[t] is its word, even and odd the widened x. */
#define ROW(sum)                         \
    "sxtb16 %[u], %[t]\n\t"              \
    "smlad " sum ", %[u], %[even], " sum \
    "\n\t"                               \
    "sxtb16 %[t], %[t], ror #8\n\t"      \
    "smlad " sum ", %[t], %[odd], " sum "\n\t"

#define FOUR_COLUMNS \
    "ldrd %[even], %[odd], [%[v]], #8\n\t"                                                        \
    "ldr %[t], [%[w], %[stride]]\n\t" ROW("%[s1]") "ldr %[t], [%[w], %[stride], lsl #1]\n\t" ROW( \
        "%[s2]") "ldr %[t], [%[w]], #4\n\t" ROW("%[s0]") "ldr %[t], [%[last]], #4\n\t" ROW("%["   \
                                                                                           "s3]")

/* Four rows of `columns` columns (a multiple of 8). In assembly, since compilers load ahead and run
 * out of registers: 46 instructions for 32 products, where theirs take 60 and more. */
/* It needs nearly every register: not inlined, and optimised in a debug build as well. */
__attribute__((noinline, optimize("O2", "omit-frame-pointer"))) static void dsp_rows(
    const int8_t *weight, int32_t stride, const int16x2_t *wide, int32_t columns, int32_t *sums) {
    const int8_t *last = weight + 3 * stride;
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3], even, odd, t, u;
    __asm__ volatile("1:\n\t" FOUR_COLUMNS FOUR_COLUMNS
                     "subs %[left], %[left], #8\n\t"
                     "bne 1b\n\t"
                     : [w] "+&r"(weight), [last] "+&r"(last), [v] "+&r"(wide), [s0] "+&r"(s0),
                       [s1] "+&r"(s1), [s2] "+&r"(s2), [s3] "+&r"(s3), [even] "=&r"(even),
                       [odd] "=&r"(odd), [t] "=&r"(t), [u] "=&r"(u), [left] "+&r"(columns)
                     : [stride] "r"(stride)
                     : "cc", "memory");
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* Adds the products of `columns` columns (a multiple of 8, at most COLUMNS) to every sum. */
static void dsp_columns(const int8_t *weight, int32_t stride, const int8_t *x, int32_t columns,
                        int32_t rows, int32_t *sums) {
    int16x2_t wide[COLUMNS / 2];
    const int16x2_t *end = wide + columns / 2;
    int32_t r, c;
    for (c = 0; c < columns; c += 4) {
        int32_t part = next_word(&x);
        wide[c / 2] = __sxtb16(part);
        wide[c / 2 + 1] = upper(part);
    }
    for (r = 0; r + 4 <= rows; r += 4) {
        dsp_rows(weight + r * stride, stride, wide, columns, sums + r);
    }
    for (; r < rows; r++) {
        const int8_t *w = weight + r * stride;
        const int16x2_t *v;
        int32_t sum = sums[r];
        for (v = wide; v < end; v += 2) sum = four(sum, next_word(&w), v[0], v[1]);
        sums[r] = sum;
    }
}

static void dsp_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                    const int8_t *x, int32_t rows, int32_t *sums) {
    int32_t r, c;
    (void)row_sums;
    for (r = 0; r < rows; r++) sums[r] = 0;
    for (c = 0; c < stride; c += COLUMNS) {
        int32_t columns = stride - c < COLUMNS ? stride - c : COLUMNS;
        dsp_columns(weight + c, stride, x + c, columns, rows, sums);
    }
}

const es_kernels es_kernels_dsp = {
    "dsp", dsp_dot, es_plain_requantize, es_plain_mix, es_plain_moments, es_plain_norm,
    es_plain_score, es_plain_powers, es_plain_narrow, es_plain_gru, es_plain_lstm,
};

#else
typedef int es_not_cortexm; /* a file is not empty in ISO C */
#endif
