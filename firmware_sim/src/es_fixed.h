/* Fixed-point arithmetic: the same rounding as edgeseq_export.integer.fixed. */
#ifndef ES_FIXED_H
#define ES_FIXED_H

#include <stdint.h>

/* Rounding half up needs an arithmetic shift; a compiler without it cannot build this. */
typedef char es_needs_arithmetic_shift[((-5) >> 1) == -3 ? 1 : -1];

extern const int16_t es_sigmoid_table[257];
extern const int16_t es_exp2_table[256];
extern const uint16_t es_log2_table[65];

static inline int64_t es_rescale(int64_t value, int32_t multiplier, int32_t shift) {
    return (value * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
}

static inline int16_t es_sat16(int64_t value) {
    return (int16_t)(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
}

static inline int8_t es_sat8(int64_t value) {
    return (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

/* Q11 to Q0.15; `x` may be anything. */
static inline int32_t es_sigmoid(int32_t x) {
    int32_t at = (x > 16383 ? 16383 : x < -16384 ? -16384 : x) + 16384;
    int32_t low = es_sigmoid_table[at >> 7];
    return low + (((es_sigmoid_table[(at >> 7) + 1] - low) * (at & 127) + 64) >> 7);
}

/* Q11 to Q0.15; |x| below 2^30. */
static inline int32_t es_tanh(int32_t x) {
    return 2 * es_sigmoid(2 * x) - 32768;
}

/* a b in Q15, rounded half up; |a b| below 2^31 - 2^14. */
static inline int32_t es_times(int32_t a, int32_t b) {
    return (a * b + 16384) >> 15;
}

/* Q0.15 to int8 with scale 1/128. */
static inline int8_t es_narrow(int16_t hidden) {
    int32_t rounded = (hidden + 128) >> 8;
    return (int8_t)(rounded > 127 ? 127 : rounded);
}

/* Number of bits of a number above zero. */
static inline int32_t es_bit_length(uint64_t value) {
    int32_t bits = 0, step;
    for (step = 32; step > 0; step >>= 1) {
        if (value >> step) {
            value >>= step;
            bits += step;
        }
    }
    return bits + 1;
}

/* log2 of a number above zero and below 2^63, Q15. */
static inline int32_t es_log2(uint64_t value) {
    int32_t top = es_bit_length(value) - 1;
    int32_t fraction = (int32_t)((top >= 16 ? value >> (top - 16) : value << (16 - top)) & 0xFFFFu);
    int32_t low = es_log2_table[fraction >> 10];
    int32_t rise = es_log2_table[(fraction >> 10) + 1] - low;
    return top * 32768 + low + ((rise * (fraction & 1023) + 512) >> 10);
}

/* The largest whole number whose square is at most `value`. */
static inline uint32_t es_sqrt(uint32_t value) {
    uint32_t root = 0, bit;
    for (bit = 1u << 15; bit > 0; bit >>= 1) {
        uint32_t next = root | bit;
        if (next * next <= value) root = next;
    }
    return root;
}

#endif
