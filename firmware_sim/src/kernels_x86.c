/* SSE4.1 and AVX2. Each function is compiled for its own instruction set, and chosen when it runs. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define SSE4 __attribute__((target("sse4.1")))
#define AVX2 __attribute__((target("avx2")))

/* ---- SSE4.1 ---- */

SSE4 static __m128i load8(const int8_t *p) {
    return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

SSE4 static void sse4_rows(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                           int32_t *sums) {
    int32_t r, c;
    for (r = 0; r < rows; r++, weight += stride) {
        __m128i sum = _mm_setzero_si128();
        for (c = 0; c < stride; c += 8) {
            sum = _mm_add_epi32(sum, _mm_madd_epi16(load8(weight + c), load8(x + c)));
        }
        sum = _mm_hadd_epi32(sum, sum);
        sum = _mm_hadd_epi32(sum, sum);
        sums[r] = _mm_cvtsi128_si32(sum);
    }
}

SSE4 static void sse4_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                          const int8_t *x, int32_t rows, int32_t *sums) {
    (void)row_sums;
    sse4_rows(weight, stride, x, rows, sums);
}

/* Two rows at a time: bytes of both interleaved, so that one madd adds their products. */
SSE4 static void sse4_mix(const int16_t *weights, const int8_t *values, int32_t head_dim,
                          int32_t rows, int32_t *sums) {
    int32_t t, d;
    for (d = 0; d < head_dim; d += 8) {
        __m128i low = _mm_setzero_si128(), high = _mm_setzero_si128();
        for (t = 0; t < rows; t += 2) {
            const int8_t *at = values + t * head_dim + d;
            int32_t both = (int32_t)((uint32_t)weights[t] | (uint32_t)weights[t + 1] << 16);
            __m128i one = load8(at);
            __m128i two = t + 1 < rows ? load8(at + head_dim) : _mm_setzero_si128();
            __m128i pair = _mm_set1_epi32(both);
            low = _mm_add_epi32(low, _mm_madd_epi16(_mm_unpacklo_epi16(one, two), pair));
            high = _mm_add_epi32(high, _mm_madd_epi16(_mm_unpackhi_epi16(one, two), pair));
        }
        _mm_storeu_si128((__m128i *)(void *)(sums + d), low);
        _mm_storeu_si128((__m128i *)(void *)(sums + d + 4), high);
    }
}

const es_kernels es_kernels_sse4 = {
    "sse4", sse4_dot, es_plain_requantize, sse4_mix, es_plain_moments, es_plain_norm,
    es_plain_score, es_plain_powers, es_plain_narrow, es_plain_gru, es_plain_lstm,
};

/* ---- AVX2 ---- */

AVX2 static __m256i load16(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The sums of a, b, c, d. */
AVX2 static __m128i sums_of(__m256i a, __m256i b, __m256i c, __m256i d) {
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

AVX2 static void avx2_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                          const int8_t *x, int32_t rows, int32_t *sums) {
    int32_t r, c, i, wide = stride & ~15;
    (void)row_sums;
    for (r = 0; r + 4 <= rows; r += 4) {
        const int8_t *w = weight + r * stride;
        __m256i sum[4];
        for (i = 0; i < 4; i++) sum[i] = _mm256_setzero_si256();
        for (c = 0; c < wide; c += 16) {
            __m256i part = load16(x + c);
            for (i = 0; i < 4; i++) {
                __m256i row = load16(w + i * stride + c);
                sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(row, part));
            }
        }
        if (c < stride) {
            __m128i part =
                _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(x + c)));
            for (i = 0; i < 4; i++) {
                const void *from = w + i * stride + c;
                __m128i row = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)from));
                __m128i more = _mm_madd_epi16(row, part);
                sum[i] = _mm256_add_epi32(sum[i],
                                          _mm256_inserti128_si256(_mm256_setzero_si256(), more, 0));
            }
        }
        _mm_storeu_si128((__m128i *)(void *)(sums + r), sums_of(sum[0], sum[1], sum[2], sum[3]));
    }
    sse4_rows(weight + r * stride, stride, x, rows - r, sums + r);
}

AVX2 static void avx2_mix(const int16_t *weights, const int8_t *values, int32_t head_dim,
                          int32_t rows, int32_t *sums) {
    int32_t t, d;
    for (d = 0; d < head_dim; d += 8) {
        __m256i sum = _mm256_setzero_si256();
        for (t = 0; t < rows; t += 2) {
            const int8_t *at = values + t * head_dim + d;
            int32_t both = (int32_t)((uint32_t)weights[t] | (uint32_t)weights[t + 1] << 16);
            __m128i one = _mm_loadl_epi64((const __m128i *)(const void *)at);
            __m128i two = t + 1 < rows
                              ? _mm_loadl_epi64((const __m128i *)(const void *)(at + head_dim))
                              : _mm_setzero_si128();
            __m256i pair = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(one, two));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pair, _mm256_set1_epi32(both)));
        }
        _mm256_storeu_si256((__m256i *)(void *)(sums + d), sum);
    }
}

/* How products of 64 bits are shifted right, rounded half up, and clamped to [-limit, limit). */
typedef struct {
    __m256i half, away, top, low;
    __m128i count;
} shifting;

AVX2 static shifting shift_by(int32_t shift, int32_t limit) {
    shifting by = {
        _mm256_set1_epi64x((long long)1 << (shift - 1)),
        _mm256_set1_epi64x((long long)(1ull << (63 - shift))),
        _mm256_set1_epi64x(limit - 1),
        _mm256_set1_epi64x(-(long long)limit),
        _mm_cvtsi32_si128(shift),
    };
    return by;
}

AVX2 static __m256i shifted(__m256i product, const shifting *by) {
    const __m256i sign = _mm256_set1_epi64x((long long)0x8000000000000000ull);
    /* No arithmetic 64-bit shift here: shift the value plus 2^63, then take 2^(63-s) away. */
    __m256i value = _mm256_xor_si256(_mm256_add_epi64(product, by->half), sign);
    value = _mm256_sub_epi64(_mm256_srl_epi64(value, by->count), by->away);
    value = _mm256_blendv_epi8(value, by->top, _mm256_cmpgt_epi64(value, by->top));
    return _mm256_blendv_epi8(value, by->low, _mm256_cmpgt_epi64(by->low, value));
}

/* Eight numbers times eight, shifted and clamped, in 32 bits each. */
AVX2 static __m256i rescaled8(__m256i a, __m256i m, const shifting *by) {
    __m256i even = shifted(_mm256_mul_epi32(a, m), by);
    __m256i odd = shifted(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(m, 32)), by);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}

AVX2 static __m256i load8_words(const int32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 static void store8(int16_t *p, __m256i v) {
    __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((__m128i *)(void *)p, packed);
}

AVX2 static void avx2_requantize(const int32_t *sums, const int32_t *bias,
                                 const int32_t *multiplier, int32_t shift, int32_t n, int16_t *y) {
    const shifting by = shift_by(shift, 32768);
    int32_t i;
    for (i = 0; i + 8 <= n; i += 8) {
        __m256i a = _mm256_add_epi32(load8_words(sums + i), load8_words(bias + i));
        store8(y + i, rescaled8(a, load8_words(multiplier + i), &by));
    }
    es_plain_requantize(sums + i, bias + i, multiplier + i, shift, n - i, y + i);
}

AVX2 static __m256i avx2_sigmoid(__m256i x) {
    __m256i at =
        _mm256_min_epi32(_mm256_max_epi32(x, _mm256_set1_epi32(-16384)), _mm256_set1_epi32(16383));
    at = _mm256_add_epi32(at, _mm256_set1_epi32(16384));
    /* Entry and next entry in one 32-bit read. */
    __m256i both = _mm256_i32gather_epi32((const int *)(const void *)es_sigmoid_table,
                                          _mm256_srai_epi32(at, 7), 2);
    __m256i low = _mm256_srai_epi32(_mm256_slli_epi32(both, 16), 16);
    __m256i rise = _mm256_sub_epi32(_mm256_srai_epi32(both, 16), low);
    __m256i part = _mm256_and_si256(at, _mm256_set1_epi32(127));
    part = _mm256_add_epi32(_mm256_mullo_epi32(rise, part), _mm256_set1_epi32(64));
    return _mm256_add_epi32(low, _mm256_srai_epi32(part, 7));
}

AVX2 static __m256i avx2_times(__m256i a, __m256i b) {
    __m256i product = _mm256_add_epi32(_mm256_mullo_epi32(a, b), _mm256_set1_epi32(16384));
    return _mm256_srai_epi32(product, 15);
}

AVX2 static __m256i widen8(const int16_t *p) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

AVX2 static __m256i avx2_tanh(__m256i x) {
    __m256i twice = _mm256_slli_epi32(avx2_sigmoid(_mm256_slli_epi32(x, 1)), 1);
    return _mm256_sub_epi32(twice, _mm256_set1_epi32(32768));
}

AVX2 static __m256i gate8(const int16_t *x, const int16_t *h) {
    return _mm256_add_epi32(widen8(x), widen8(h));
}

AVX2 static void avx2_gru(const int16_t *from_x, const int16_t *from_h, int32_t hidden,
                          int16_t *h) {
    int32_t i;
    for (i = 0; i + 8 <= hidden; i += 8) {
        const int16_t *px = from_x + i, *ph = from_h + i;
        __m256i reset = avx2_sigmoid(gate8(px, ph));
        __m256i update = avx2_sigmoid(gate8(px + hidden, ph + hidden));
        __m256i inner =
            _mm256_add_epi32(widen8(px + 2 * hidden), avx2_times(reset, widen8(ph + 2 * hidden)));
        __m256i candidate = avx2_tanh(inner);
        __m256i gap = _mm256_sub_epi32(widen8(h + i), candidate);
        store8(h + i, _mm256_add_epi32(candidate, avx2_times(update, gap)));
    }
    for (; i < hidden; i++) es_gru_unit(from_x, from_h, hidden, i, h);
}

AVX2 static void avx2_lstm(const int16_t *from_x, const int16_t *from_h, int32_t hidden,
                           int32_t cell_bits, int16_t *h, int16_t *cell) {
    const __m128i new_shift = _mm_cvtsi32_si128(30 - cell_bits);
    const __m256i new_half = _mm256_set1_epi32(1 << (29 - cell_bits));
    const __m128i extra = _mm_cvtsi32_si128(cell_bits - 11);
    const __m256i extra_half = _mm256_set1_epi32((1 << (cell_bits - 11)) >> 1);
    const __m256i top = _mm256_set1_epi32(32767), low = _mm256_set1_epi32(-32768);
    int32_t i;
    for (i = 0; i + 8 <= hidden; i += 8) {
        const int16_t *px = from_x + i, *ph = from_h + i;
        __m256i enter = avx2_sigmoid(gate8(px, ph));
        __m256i forget = avx2_sigmoid(gate8(px + hidden, ph + hidden));
        __m256i candidate = avx2_tanh(gate8(px + 2 * hidden, ph + 2 * hidden));
        __m256i output = avx2_sigmoid(gate8(px + 3 * hidden, ph + 3 * hidden));
        __m256i fresh = _mm256_add_epi32(_mm256_mullo_epi32(enter, candidate), new_half);
        __m256i c = _mm256_add_epi32(avx2_times(forget, widen8(cell + i)),
                                     _mm256_sra_epi32(fresh, new_shift));
        c = _mm256_min_epi32(_mm256_max_epi32(c, low), top);
        __m256i inner = avx2_tanh(_mm256_sra_epi32(_mm256_add_epi32(c, extra_half), extra));
        store8(cell + i, c);
        store8(h + i, avx2_times(output, inner));
    }
    for (; i < hidden; i++) es_lstm_unit(from_x, from_h, hidden, cell_bits, i, h, cell);
}

/* The sum of eight. */
AVX2 static int32_t total8(__m256i v) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_srli_epi64(half, 32)));
}

AVX2 int32_t es_avx2_moments(const int16_t *x, int32_t n, uint64_t *squares) {
    const __m256i one = _mm256_set1_epi16(1), zero = _mm256_setzero_si256();
    __m256i sum = zero, wide = zero;
    uint64_t four[4], rest;
    int32_t i, total;
    for (i = 0; i + 16 <= n; i += 16) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        /* Up to 2^31, which is read without a sign. */
        __m256i pairs = _mm256_madd_epi16(v, v);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(v, one));
        wide = _mm256_add_epi64(wide, _mm256_unpacklo_epi32(pairs, zero));
        wide = _mm256_add_epi64(wide, _mm256_unpackhi_epi32(pairs, zero));
    }
    _mm256_storeu_si256((__m256i *)(void *)four, wide);
    total = total8(sum) + es_plain_moments(x + i, n - i, &rest);
    *squares = four[0] + four[1] + four[2] + four[3] + rest;
    return total;
}

AVX2 static void store8_bytes(int8_t *y, __m256i v) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)(void *)y, _mm_packs_epi16(words, words));
}

AVX2 static void avx2_norm(const int16_t *x, int32_t n, es_center c, const int16_t *gain,
                           const int32_t *bias, int32_t shift, int8_t *y) {
    const shifting by = shift_by(c.shift, 32768);
    const __m256i inverse = _mm256_set1_epi32(c.inverse), sum = _mm256_set1_epi32(c.sum);
    const __m256i times = _mm256_set1_epi32(c.times), half = _mm256_set1_epi32(1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    int32_t i;
    for (i = 0; i + 8 <= n; i += 8) {
        __m256i centered = _mm256_sub_epi32(_mm256_mullo_epi32(widen8(x + i), times), sum);
        __m256i unit = rescaled8(centered, inverse, &by);
        __m256i out = _mm256_mullo_epi32(unit, widen8(gain + i));
        out = _mm256_add_epi32(_mm256_add_epi32(out, load8_words(bias + i)), half);
        store8_bytes(y + i, _mm256_sra_epi32(out, count));
    }
    es_plain_norm(x + i, n - i, c, gain + i, bias + i, shift, y + i);
}

AVX2 static void avx2_narrow(const int32_t *sums, int32_t multiplier, int32_t shift, int32_t n,
                             int8_t *y) {
    const shifting by = shift_by(shift, 32768);
    const __m256i m = _mm256_set1_epi32(multiplier);
    int32_t i;
    for (i = 0; i + 8 <= n; i += 8) store8_bytes(y + i, rescaled8(load8_words(sums + i), m, &by));
    es_plain_narrow(sums + i, multiplier, shift, n - i, y + i);
}

/* p[0], p[-1] ... p[-7]. */
AVX2 static __m256i backward8(const int16_t *p) {
    const __m128i turn = _mm_set_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    __m128i words = _mm_loadu_si128((const __m128i *)(const void *)(p - 7));
    return _mm256_cvtepi16_epi32(_mm_shuffle_epi8(words, turn));
}

AVX2 static int32_t largest8(__m256i v) {
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_max_epi32(half, _mm_unpackhi_epi64(half, half));
    return _mm_cvtsi128_si32(_mm_max_epi32(half, _mm_srli_epi64(half, 32)));
}

AVX2 static int32_t avx2_score(int32_t *scores, int32_t n, int32_t multiplier, int32_t shift,
                               const int16_t *bias) {
    const shifting by = shift_by(shift, ES_SCORE_LIMIT);
    const __m256i m = _mm256_set1_epi32(multiplier);
    __m256i most = _mm256_set1_epi32(ES_NO_SCORE);
    int32_t i, first, rest;
    for (i = 0; i + 8 <= n; i += 8) {
        __m256i v = rescaled8(load8_words(scores + i), m, &by);
        v = _mm256_add_epi32(v, backward8(bias - i));
        most = _mm256_max_epi32(most, v);
        _mm256_storeu_si256((__m256i *)(void *)(scores + i), v);
    }
    first = largest8(most);
    rest = es_plain_score(scores + i, n - i, multiplier, shift, bias - i);
    return first > rest ? first : rest;
}

AVX2 static int32_t avx2_powers(const int32_t *scores, int32_t n, int32_t largest,
                                int16_t *weights) {
    const __m256i top = _mm256_set1_epi32(largest), most = _mm256_set1_epi32(4095);
    const __m256i last = _mm256_set1_epi32(254), odd = _mm256_set1_epi32(255);
    __m256i total = _mm256_setzero_si256();
    int32_t i;
    for (i = 0; i + 8 <= n; i += 8) {
        __m256i below = _mm256_min_epi32(_mm256_sub_epi32(top, load8_words(scores + i)), most);
        __m256i at = _mm256_and_si256(below, odd), value;
        /* Entry and next entry in one read; the last entry is the next of the one before. */
        __m256i both = _mm256_i32gather_epi32((const int *)(const void *)es_exp2_table,
                                              _mm256_min_epi32(at, last), 2);
        value = _mm256_blendv_epi8(_mm256_and_si256(both, _mm256_set1_epi32(0xFFFF)),
                                   _mm256_srli_epi32(both, 16), _mm256_cmpeq_epi32(at, odd));
        value = _mm256_srlv_epi32(value, _mm256_srai_epi32(below, 8));
        total = _mm256_add_epi32(total, value);
        store8(weights + i, value);
    }
    return total8(total) + es_plain_powers(scores + i, n - i, largest, weights + i);
}

const es_kernels es_kernels_avx2 = {
    "avx2", avx2_dot, avx2_requantize, avx2_mix, es_avx2_moments, avx2_norm,
    avx2_score, avx2_powers, avx2_narrow, avx2_gru, avx2_lstm,
};

#else
typedef int es_not_x86; /* a file is not empty in ISO C */
#endif
