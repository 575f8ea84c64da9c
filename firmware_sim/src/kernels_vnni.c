/* AVX-512 with VNNI; chosen when the program runs. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2")))

/* What vpdpbusd multiplies, unsigned by signed bytes: x + 128 by the weights, where the sums of
 * their rows are known, or else the weights + 128 by x. `last` are the columns behind `whole`. */
typedef struct {
    const int8_t *weight, *x;
    const int32_t *row_sums;
    int32_t stride, whole;
    __mmask64 last;
    int32_t offset; /* 128 times the sum of x */
} factors;

VNNI static __m512i multiplied(__m512i sum, __m512i weight, __m512i x, int known) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    return known ? _mm512_dpbusd_epi32(sum, x, weight)
                 : _mm512_dpbusd_epi32(sum, _mm512_xor_si512(weight, flip), x);
}

/* Columns of x as multiplied() wants them; those behind the end are 0 either way. */
VNNI static __m512i part(const factors *p, int64_t c, int known) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    __m512i x = c < p->whole ? _mm512_loadu_si512(p->x + c)
                             : _mm512_maskz_loadu_epi8(p->last, p->x + c);
    if (!known) return x;
    return c < p->whole ? _mm512_xor_si512(x, flip)
                        : _mm512_maskz_mov_epi8(p->last, _mm512_xor_si512(x, flip));
}

/* The sums of a and b, alternating: four of them add up to the sum of each. */
VNNI static __m512i zip32(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

VNNI static __m512i zip64(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* The sums of four rows, of which 16 columns each are still to be added up. */
typedef struct {
    __m512i a, b, c, d;
} quad;

VNNI static inline __attribute__((always_inline)) quad rows4(const factors *p, const int8_t *w,
                                                             int known) {
    const int64_t stride = p->stride, whole = p->whole;
    const int8_t *w1 = w + stride, *w2 = w1 + stride, *w3 = w2 + stride;
    quad q = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
              _mm512_setzero_si512()};
    __m512i a = q.a, b = q.b, c = q.c, d = q.d;
    int64_t at;
    for (at = 0; at < whole; at += 64) {
        __m512i x = part(p, at, known);
        a = multiplied(a, _mm512_loadu_si512(w + at), x, known);
        b = multiplied(b, _mm512_loadu_si512(w1 + at), x, known);
        c = multiplied(c, _mm512_loadu_si512(w2 + at), x, known);
        d = multiplied(d, _mm512_loadu_si512(w3 + at), x, known);
    }
    if (p->last) {
        __m512i x = part(p, at, known);
        a = multiplied(a, _mm512_maskz_loadu_epi8(p->last, w + at), x, known);
        b = multiplied(b, _mm512_maskz_loadu_epi8(p->last, w1 + at), x, known);
        c = multiplied(c, _mm512_maskz_loadu_epi8(p->last, w2 + at), x, known);
        d = multiplied(d, _mm512_maskz_loadu_epi8(p->last, w3 + at), x, known);
    }
    q.a = a, q.b = b, q.c = c, q.d = d;
    return q;
}

/* Each row's sum, in every fourth number of what is still to be added up. */
VNNI static __m512i gathered(quad q) {
    return zip64(zip32(q.a, q.b), zip32(q.c, q.d));
}

/* Rows r to r + 15. */
VNNI static inline __attribute__((always_inline)) void rows16(const factors *p, int32_t r,
                                                              int known, int32_t *sums) {
    const int8_t *w = p->weight + (size_t)r * (size_t)p->stride;
    const int64_t step = 4 * (int64_t)p->stride;
    __m512i s0 = gathered(rows4(p, w, known)), s1 = gathered(rows4(p, w + step, known));
    __m512i s2 = gathered(rows4(p, w + 2 * step, known));
    __m512i s3 = gathered(rows4(p, w + 3 * step, known)), correction;
    s0 = _mm512_add_epi32(_mm512_shuffle_i32x4(s0, s1, 0x44), _mm512_shuffle_i32x4(s0, s1, 0xEE));
    s2 = _mm512_add_epi32(_mm512_shuffle_i32x4(s2, s3, 0x44), _mm512_shuffle_i32x4(s2, s3, 0xEE));
    s0 = _mm512_add_epi32(_mm512_shuffle_i32x4(s0, s2, 0x88), _mm512_shuffle_i32x4(s0, s2, 0xDD));
    correction = known ? _mm512_slli_epi32(_mm512_loadu_si512(p->row_sums + r), 7)
                       : _mm512_set1_epi32(p->offset);
    _mm512_storeu_si512(sums + r, _mm512_sub_epi32(s0, correction));
}

VNNI static inline __attribute__((always_inline)) void row(const factors *p, int32_t r, int known,
                                                           int32_t *sums) {
    const int8_t *w = p->weight + (size_t)r * (size_t)p->stride;
    __m512i sum = _mm512_setzero_si512();
    int32_t c;
    for (c = 0; c < p->whole; c += 64) {
        sum = multiplied(sum, _mm512_loadu_si512(w + c), part(p, c, known), known);
    }
    if (p->last) {
        __m512i rest = _mm512_maskz_loadu_epi8(p->last, w + c);
        sum = multiplied(sum, rest, part(p, c, known), known);
    }
    sums[r] = _mm512_reduce_add_epi32(sum) - (known ? 128 * p->row_sums[r] : p->offset);
}

VNNI static void vnni_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride,
                          const int8_t *x, int32_t rows, int32_t *sums) {
    factors p = {weight, x, row_sums, stride, stride & ~63, 0, 0};
    int32_t r = 0, c;
    p.last = ((__mmask64)1 << (stride & 63)) - 1;
    if (row_sums) {
        for (; r + 16 <= rows; r += 16) rows16(&p, r, 1, sums);
        for (; r < rows; r++) row(&p, r, 1, sums);
    } else {
        const __m512i flip = _mm512_set1_epi8((char)0x80);
        __m512i total = _mm512_setzero_si512();
        for (c = 0; c < p.whole; c += 64) {
            total = _mm512_dpbusd_epi32(total, flip, part(&p, c, 0));
        }
        total = _mm512_dpbusd_epi32(total, flip, part(&p, c, 0));
        p.offset = _mm512_reduce_add_epi32(total);
        for (; r + 16 <= rows; r += 16) rows16(&p, r, 0, sums);
        for (; r < rows; r++) row(&p, r, 0, sums);
    }
}

/* Two rows at a time: bytes of both interleaved, so that one madd adds their products. */
VNNI static void vnni_mix(const int16_t *weights, const int8_t *values, int32_t head_dim,
                          int32_t rows, int32_t *sums) {
    int32_t t, d;
    for (d = 0; d < head_dim; d += 16) {
        const __mmask16 m = (__mmask16)(head_dim - d >= 16 ? 0xFFFF : 0xFF);
        __m512i sum = _mm512_setzero_si512();
        for (t = 0; t < rows; t += 2) {
            const int8_t *at = values + t * head_dim + d;
            int32_t both = (int32_t)((uint32_t)weights[t] | (uint32_t)weights[t + 1] << 16);
            __m128i one = _mm_maskz_loadu_epi8(m, at);
            __m128i two = t + 1 < rows ? _mm_maskz_loadu_epi8(m, at + head_dim)
                                       : _mm_setzero_si128();
            __m256i pair = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_unpacklo_epi8(one, two)), _mm_unpackhi_epi8(one, two), 1);
            sum = _mm512_add_epi32(
                sum, _mm512_madd_epi16(_mm512_cvtepi8_epi16(pair), _mm512_set1_epi32(both)));
        }
        _mm512_mask_storeu_epi32(sums + d, m, sum);
    }
}

/* Eight products of 64 bits, shifted right and rounded half up. */
VNNI static __m512i shifted8(__m256i a, __m256i m, __m512i half, __m128i count) {
    __m512i wide = _mm512_mul_epi32(_mm512_cvtepi32_epi64(a), _mm512_cvtepi32_epi64(m));
    return _mm512_sra_epi64(_mm512_add_epi64(wide, half), count);
}

/* Which of the 16 units from `i` on there are. */
static uint16_t units(int32_t hidden, int32_t i) {
    return (uint16_t)(hidden - i >= 16 ? 0xFFFF : (1 << (hidden - i)) - 1);
}

static __mmask8 eight(int32_t n, int32_t i) {
    return (__mmask8)(n - i >= 8 ? 255 : (1 << (n - i)) - 1);
}

VNNI static void vnni_requantize(const int32_t *sums, const int32_t *bias,
                                 const int32_t *multiplier, int32_t shift, int32_t n, int16_t *y) {
    const __m512i half = _mm512_set1_epi64((long long)1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    int32_t i;
    for (i = 0; i < n; i += 8) {
        const __mmask8 mask = eight(n, i);
        __m256i a = _mm256_add_epi32(_mm256_maskz_loadu_epi32(mask, sums + i),
                                     _mm256_maskz_loadu_epi32(mask, bias + i));
        __m256i m = _mm256_maskz_loadu_epi32(mask, multiplier + i);
        _mm_mask_storeu_epi16(y + i, mask, _mm512_cvtsepi64_epi16(shifted8(a, m, half, count)));
    }
}

VNNI static void vnni_norm(const int16_t *x, int32_t n, es_center c, const int16_t *gain,
                           const int32_t *bias, int32_t shift, int8_t *y) {
    const __m512i half = _mm512_set1_epi64((long long)1 << (c.shift - 1));
    const __m256i inverse = _mm256_set1_epi32(c.inverse), sum = _mm256_set1_epi32(c.sum);
    const __m256i times = _mm256_set1_epi32(c.times), round = _mm256_set1_epi32(1 << (shift - 1));
    const __m128i first = _mm_cvtsi32_si128(c.shift), last = _mm_cvtsi32_si128(shift);
    int32_t i;
    for (i = 0; i < n; i += 8) {
        const __mmask8 mask = eight(n, i);
        __m256i v = _mm256_cvtepi16_epi32(_mm_maskz_loadu_epi16(mask, x + i));
        __m256i g = _mm256_cvtepi16_epi32(_mm_maskz_loadu_epi16(mask, gain + i));
        __m256i b = _mm256_add_epi32(_mm256_maskz_loadu_epi32(mask, bias + i), round);
        v = _mm256_sub_epi32(_mm256_mullo_epi32(v, times), sum);
        v = _mm256_cvtepi16_epi32(_mm512_cvtsepi64_epi16(shifted8(v, inverse, half, first)));
        v = _mm256_sra_epi32(_mm256_add_epi32(_mm256_mullo_epi32(v, g), b), last);
        _mm_mask_storeu_epi8(y + i, mask, _mm256_cvtsepi32_epi8(v));
    }
}

VNNI static int32_t vnni_score(int32_t *scores, int32_t n, int32_t multiplier, int32_t shift,
                               const int16_t *bias) {
    const __m512i half = _mm512_set1_epi64((long long)1 << (shift - 1));
    const __m512i top = _mm512_set1_epi64(ES_SCORE_LIMIT - 1);
    const __m512i low = _mm512_set1_epi64(-ES_SCORE_LIMIT);
    const __m256i m = _mm256_set1_epi32(multiplier);
    const __m128i count = _mm_cvtsi32_si128(shift);
    const __m128i turn = _mm_set_epi16(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i most = _mm256_set1_epi32(ES_NO_SCORE);
    int32_t i;
    for (i = 0; i < n; i += 8) {
        const __mmask8 mask = eight(n, i);
        /* The first that are wanted lie at the end of the eight that are read. */
        const __mmask8 end = (__mmask8)(n - i >= 8 ? 255 : 255 << (8 - (n - i)));
        __m128i words = _mm_maskz_loadu_epi16(end, bias - i - 7);
        __m512i wide = shifted8(_mm256_maskz_loadu_epi32(mask, scores + i), m, half, count);
        __m256i v = _mm512_cvtepi64_epi32(_mm512_max_epi64(_mm512_min_epi64(wide, top), low));
        v = _mm256_add_epi32(v, _mm256_cvtepi16_epi32(_mm_permutexvar_epi16(turn, words)));
        most = _mm256_mask_max_epi32(most, mask, most, v);
        _mm256_mask_storeu_epi32(scores + i, mask, v);
    }
    return _mm512_reduce_max_epi32(_mm512_inserti64x4(_mm512_castsi256_si512(most), most, 1));
}

VNNI static int32_t vnni_powers(const int32_t *scores, int32_t n, int32_t largest,
                                int16_t *weights) {
    const __m512i top = _mm512_set1_epi32(largest), most = _mm512_set1_epi32(4095);
    const __m512i last = _mm512_set1_epi32(254), odd = _mm512_set1_epi32(255);
    __m512i total = _mm512_setzero_si512();
    int32_t i;
    for (i = 0; i < n; i += 16) {
        const __mmask16 mask = units(n, i);
        __m512i below = _mm512_sub_epi32(top, _mm512_maskz_loadu_epi32(mask, scores + i));
        __m512i at, both, value;
        below = _mm512_min_epi32(_mm512_maskz_mov_epi32(mask, below), most);
        at = _mm512_and_si512(below, odd);
        /* Entry and next entry in one read; the last entry is the next of the one before. */
        both = _mm512_i32gather_epi32(_mm512_min_epi32(at, last), es_exp2_table, 2);
        value = _mm512_and_si512(both, _mm512_set1_epi32(0xFFFF));
        value = _mm512_mask_srli_epi32(value, _mm512_cmpeq_epi32_mask(at, odd), both, 16);
        value = _mm512_maskz_srlv_epi32(mask, value, _mm512_srai_epi32(below, 8));
        total = _mm512_add_epi32(total, value);
        _mm256_mask_storeu_epi16(weights + i, mask, _mm512_cvtepi32_epi16(value));
    }
    return _mm512_reduce_add_epi32(total);
}

VNNI static void vnni_narrow(const int32_t *sums, int32_t multiplier, int32_t shift, int32_t n,
                             int8_t *y) {
    const __m512i half = _mm512_set1_epi64((long long)1 << (shift - 1));
    const __m256i m = _mm256_set1_epi32(multiplier);
    const __m128i count = _mm_cvtsi32_si128(shift);
    int32_t i;
    for (i = 0; i < n; i += 8) {
        const __mmask8 mask = eight(n, i);
        __m512i v = shifted8(_mm256_maskz_loadu_epi32(mask, sums + i), m, half, count);
        _mm_mask_storeu_epi8(y + i, mask, _mm512_cvtsepi64_epi8(v));
    }
}

VNNI static __m512i vnni_sigmoid(__m512i x) {
    __m512i at =
        _mm512_min_epi32(_mm512_max_epi32(x, _mm512_set1_epi32(-16384)), _mm512_set1_epi32(16383));
    at = _mm512_add_epi32(at, _mm512_set1_epi32(16384));
    __m512i both = _mm512_i32gather_epi32(_mm512_srai_epi32(at, 7), es_sigmoid_table, 2);
    __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(both, 16), 16);
    __m512i rise = _mm512_sub_epi32(_mm512_srai_epi32(both, 16), low);
    __m512i part = _mm512_and_si512(at, _mm512_set1_epi32(127));
    part = _mm512_add_epi32(_mm512_mullo_epi32(rise, part), _mm512_set1_epi32(64));
    return _mm512_add_epi32(low, _mm512_srai_epi32(part, 7));
}

VNNI static __m512i vnni_times(__m512i a, __m512i b) {
    __m512i product = _mm512_add_epi32(_mm512_mullo_epi32(a, b), _mm512_set1_epi32(16384));
    return _mm512_srai_epi32(product, 15);
}

VNNI static __m512i widen16(const int16_t *p, __mmask16 mask) {
    return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(mask, p));
}

VNNI static __m512i vnni_tanh(__m512i x) {
    __m512i twice = _mm512_slli_epi32(vnni_sigmoid(_mm512_slli_epi32(x, 1)), 1);
    return _mm512_sub_epi32(twice, _mm512_set1_epi32(32768));
}

VNNI static __m512i gate16(const int16_t *x, const int16_t *h, __mmask16 mask) {
    return _mm512_add_epi32(widen16(x, mask), widen16(h, mask));
}

VNNI static void vnni_gru(const int16_t *from_x, const int16_t *from_h, int32_t hidden,
                          int16_t *h) {
    int32_t i;
    for (i = 0; i < hidden; i += 16) {
        const __mmask16 m = units(hidden, i);
        const int16_t *px = from_x + i, *ph = from_h + i;
        __m512i reset = vnni_sigmoid(gate16(px, ph, m));
        __m512i update = vnni_sigmoid(gate16(px + hidden, ph + hidden, m));
        __m512i inner = _mm512_add_epi32(widen16(px + 2 * hidden, m),
                                         vnni_times(reset, widen16(ph + 2 * hidden, m)));
        __m512i candidate = vnni_tanh(inner);
        __m512i gap = _mm512_sub_epi32(widen16(h + i, m), candidate);
        __m512i after = _mm512_add_epi32(candidate, vnni_times(update, gap));
        _mm256_mask_storeu_epi16(h + i, m, _mm512_cvtepi32_epi16(after));
    }
}

VNNI static void vnni_lstm(const int16_t *from_x, const int16_t *from_h, int32_t hidden,
                           int32_t cell_bits, int16_t *h, int16_t *cell) {
    const __m128i new_shift = _mm_cvtsi32_si128(30 - cell_bits);
    const __m512i new_half = _mm512_set1_epi32(1 << (29 - cell_bits));
    const __m128i extra = _mm_cvtsi32_si128(cell_bits - 11);
    const __m512i extra_half = _mm512_set1_epi32((1 << (cell_bits - 11)) >> 1);
    const __m512i top = _mm512_set1_epi32(32767), low = _mm512_set1_epi32(-32768);
    int32_t i;
    for (i = 0; i < hidden; i += 16) {
        const __mmask16 m = units(hidden, i);
        const int16_t *px = from_x + i, *ph = from_h + i;
        __m512i enter = vnni_sigmoid(gate16(px, ph, m));
        __m512i forget = vnni_sigmoid(gate16(px + hidden, ph + hidden, m));
        __m512i candidate = vnni_tanh(gate16(px + 2 * hidden, ph + 2 * hidden, m));
        __m512i output = vnni_sigmoid(gate16(px + 3 * hidden, ph + 3 * hidden, m));
        __m512i fresh = _mm512_add_epi32(_mm512_mullo_epi32(enter, candidate), new_half);
        __m512i c = _mm512_add_epi32(vnni_times(forget, widen16(cell + i, m)),
                                     _mm512_sra_epi32(fresh, new_shift));
        c = _mm512_min_epi32(_mm512_max_epi32(c, low), top);
        __m512i inner = vnni_tanh(_mm512_sra_epi32(_mm512_add_epi32(c, extra_half), extra));
        _mm256_mask_storeu_epi16(cell + i, m, _mm512_cvtepi32_epi16(c));
        _mm256_mask_storeu_epi16(h + i, m, _mm512_cvtepi32_epi16(vnni_times(output, inner)));
    }
}

const es_kernels es_kernels_vnni = {
    "vnni", vnni_dot, vnni_requantize, vnni_mix, es_avx2_moments, vnni_norm,
    vnni_score, vnni_powers, vnni_narrow, vnni_gru, vnni_lstm,
};

#else
typedef int es_not_vnni; /* a file is not empty in ISO C */
#endif
