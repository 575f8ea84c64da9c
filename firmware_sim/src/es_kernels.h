/* The inner loops, each in a plain form and in forms for one instruction set behind the same name.
 * All forms give the same integers. */
#ifndef ES_KERNELS_H
#define ES_KERNELS_H

#include <stdint.h>

typedef struct {
    const char *name;

    /* sums[r] = weight[r][0..stride) . x, for `rows` rows; stride is a multiple of 8. */
    void (*dot)(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows, int32_t *sums);

    /* y[i] = saturate16((sums[i] + bias[i]) * multiplier[i] / 2^shift). */
    void (*requantize)(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                       int32_t shift, int32_t count, int16_t *y);

    /* sums[d] = sum over t of weights[t] * values[t][d]; head_dim is a multiple of 8, weights are
     * at least 0, and weights[rows] may be read. */
    void (*mix)(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                int32_t *sums);

    /* The pointwise part of a GRU: from_x and from_h [3][hidden] in Q11; h Q0.15 is replaced. */
    void (*gru)(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int16_t *h);

    /* The pointwise part of an LSTM: from_x and from_h [4][hidden] in Q11; h Q0.15 and the cell
     * with cell_bits after the point are replaced. */
    void (*lstm)(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                 int16_t *h, int16_t *cell);
} es_kernels;

void es_plain_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                  int32_t *sums);
void es_plain_requantize(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                         int32_t shift, int32_t count, int16_t *y);
void es_plain_mix(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                  int32_t *sums);
void es_plain_gru(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int16_t *h);
void es_plain_lstm(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                   int16_t *h, int16_t *cell);

extern const es_kernels es_kernels_plain;

/* The kernels at `index` (0 the fastest) that this build has and this processor runs; NULL after
 * the last, which is plain. */
const es_kernels *es_kernels_at(int32_t index);

#endif
