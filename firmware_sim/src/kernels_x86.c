/* x86 forms. Each function is compiled for its own instruction set, and chosen when it runs. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#define SSE4 __attribute__((target("sse4.1")))
#define AVX2 __attribute__((target("avx2")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2")))

/* ---- SSE4.1 ---- */

SSE4 static __m128i load8(const int8_t *p) {
    return _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

SSE4 static void sse4_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
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
    "sse4", sse4_dot, es_plain_requantize, sse4_mix, es_plain_gru, es_plain_lstm,
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

AVX2 static void avx2_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                          int32_t *sums) {
    int32_t r, c, i, wide = stride & ~15;
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
    sse4_dot(weight + r * stride, stride, x, rows - r, sums + r);
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

/* Four 64-bit products shifted right with sign and clamped to int16, in the low halves. */
AVX2 static __m256i shifted(__m256i product, __m256i half, __m128i count, __m256i bias) {
    const __m256i top = _mm256_set1_epi64x(32767), low = _mm256_set1_epi64x(-32768);
    const __m256i sign = _mm256_set1_epi64x((long long)0x8000000000000000ull);
    /* No arithmetic 64-bit shift here: shift the value plus 2^63, then take 2^(63-s) away. */
    __m256i value = _mm256_xor_si256(_mm256_add_epi64(product, half), sign);
    value = _mm256_sub_epi64(_mm256_srl_epi64(value, count), bias);
    value = _mm256_blendv_epi8(value, top, _mm256_cmpgt_epi64(value, top));
    return _mm256_blendv_epi8(value, low, _mm256_cmpgt_epi64(low, value));
}

AVX2 static void avx2_requantize(const int32_t *sums, const int32_t *bias,
                                 const int32_t *multiplier, int32_t shift, int32_t n, int16_t *y) {
    const __m256i half = _mm256_set1_epi64x((long long)1 << (shift - 1));
    const __m256i away = _mm256_set1_epi64x((long long)(1ull << (63 - shift)));
    const __m128i count = _mm_cvtsi32_si128(shift);
    int32_t i;
    for (i = 0; i + 8 <= n; i += 8) {
        __m256i a = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(sums + i)),
                                     _mm256_loadu_si256((const __m256i *)(const void *)(bias + i)));
        __m256i m = _mm256_loadu_si256((const __m256i *)(const void *)(multiplier + i));
        __m256i even = shifted(_mm256_mul_epi32(a, m), half, count, away);
        __m256i odd = shifted(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(m, 32)),
                              half, count, away);
        __m256i all = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
        __m128i packed =
            _mm_packs_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        _mm_storeu_si128((__m128i *)(void *)(y + i), packed);
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

AVX2 static void store8(int16_t *p, __m256i v) {
    __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((__m128i *)(void *)p, packed);
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

const es_kernels es_kernels_avx2 = {
    "avx2", avx2_dot, avx2_requantize, avx2_mix, avx2_gru, avx2_lstm,
};

/* ---- AVX-512 with VNNI ---- */

VNNI static __m256i halves(__m512i v) {
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/* vpdpbusd multiplies unsigned by signed bytes: weight + 128 is unsigned, and 128 times the sum of
 * x, the same for every row, is taken away at the end. */
VNNI static void vnni_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                          int32_t *sums) {
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    const int32_t whole = stride & ~63;
    const __mmask64 rest = ((__mmask64)1 << (stride & 63)) - 1;
    __m512i total = _mm512_setzero_si512();
    __m512i tail = _mm512_maskz_loadu_epi8(rest, x + whole);
    int32_t r, c, i, offset;
    for (c = 0; c < whole; c += 64)
        total = _mm512_dpbusd_epi32(total, flip, _mm512_loadu_si512(x + c));
    total = _mm512_dpbusd_epi32(total, flip, tail);
    offset = _mm512_reduce_add_epi32(total);
    for (r = 0; r < rows; r += 4) {
        const int8_t *w[4];
        __m512i sum[4];
        for (i = 0; i < 4; i++) {
            /* Behind the last row the last row is read again, and its sum not stored. */
            w[i] = weight + (r + i < rows ? r + i : rows - 1) * stride;
            sum[i] = _mm512_setzero_si512();
        }
        for (c = 0; c < whole; c += 64) {
            __m512i part = _mm512_loadu_si512(x + c);
            for (i = 0; i < 4; i++) {
                __m512i row = _mm512_xor_si512(_mm512_loadu_si512(w[i] + c), flip);
                sum[i] = _mm512_dpbusd_epi32(sum[i], row, part);
            }
        }
        if (rest) {
            for (i = 0; i < 4; i++) {
                __m512i row = _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, w[i] + whole), flip);
                sum[i] = _mm512_dpbusd_epi32(sum[i], row, tail);
            }
        }
        __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(halves(sum[0]), halves(sum[1])),
                                        _mm256_hadd_epi32(halves(sum[2]), halves(sum[3])));
        __m128i four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        four = _mm_sub_epi32(four, _mm_set1_epi32(offset));
        const int32_t left = rows - r;
        _mm_mask_storeu_epi32(sums + r, (__mmask8)(left >= 4 ? 15 : (1 << left) - 1), four);
    }
}

VNNI static void vnni_requantize(const int32_t *sums, const int32_t *bias,
                                 const int32_t *multiplier, int32_t shift, int32_t n, int16_t *y) {
    const __m512i half = _mm512_set1_epi64((long long)1 << (shift - 1));
    const __m128i count = _mm_cvtsi32_si128(shift);
    int32_t i;
    for (i = 0; i < n; i += 8) {
        const __mmask8 mask = (__mmask8)(n - i >= 8 ? 255 : (1 << (n - i)) - 1);
        __m256i a = _mm256_add_epi32(_mm256_maskz_loadu_epi32(mask, sums + i),
                                     _mm256_maskz_loadu_epi32(mask, bias + i));
        __m256i m = _mm256_maskz_loadu_epi32(mask, multiplier + i);
        __m512i wide = _mm512_mul_epi32(_mm512_cvtepi32_epi64(a), _mm512_cvtepi32_epi64(m));
        wide = _mm512_sra_epi64(_mm512_add_epi64(wide, half), count);
        _mm_mask_storeu_epi16(y + i, mask, _mm512_cvtsepi64_epi16(wide));
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

/* Which of the 16 units from `i` on there are. */
static uint16_t units(int32_t hidden, int32_t i) {
    return (uint16_t)(hidden - i >= 16 ? 0xFFFF : (1 << (hidden - i)) - 1);
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
    "vnni", vnni_dot, vnni_requantize, avx2_mix, vnni_gru, vnni_lstm,
};

#else
typedef int es_not_x86; /* a file is not empty in ISO C */
#endif
