/* The inner loops, each in a plain form and in forms for one instruction set behind the same name.
 * All forms give the same integers. */
#ifndef ES_KERNELS_H
#define ES_KERNELS_H

#include <stdint.h>

/* (times x - sum) inverse / 2^shift: a number less the mean of all, over their deviation. */
typedef struct {
    int32_t times, sum, inverse, shift;
} es_center;

/* Scores are clamped to 24 bits, and none is as low as this. */
#define ES_SCORE_LIMIT (1 << 23)
#define ES_NO_SCORE (-(1 << 30))

typedef struct {
    const char *name;

    /* sums[r] = weight[r][0..stride) . x, for `rows` rows; stride is a multiple of 8. row_sums[r],
     * the sum of a row's weights, saves some kernels work; it may be NULL. */
    void (*dot)(const int8_t *weight, const int32_t *row_sums, int32_t stride, const int8_t *x,
                int32_t rows, int32_t *sums);

    /* y[i] = saturate16((sums[i] + bias[i]) * multiplier[i] / 2^shift). */
    void (*requantize)(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                       int32_t shift, int32_t count, int16_t *y);

    /* sums[d] = sum over t of weights[t] * values[t][d]; head_dim is a multiple of 8, weights are
     * at least 0, and weights[rows] may be read. */
    void (*mix)(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                int32_t *sums);

    /* The sum of x [count] and, in `squares`, that of its squares; count is at most 32768. */
    int32_t (*moments)(const int16_t *x, int32_t count, uint64_t *squares);

    /* y[i] = saturate8((u gain[i] + bias[i]) / 2^shift), u = saturate16 of x[i] centered. */
    void (*norm)(const int16_t *x, int32_t count, es_center center, const int16_t *gain,
                 const int32_t *bias, int32_t shift, int8_t *y);

    /* scores[i] becomes clamp24(scores[i] multiplier / 2^shift) + bias[-i]; returns the largest. */
    int32_t (*score)(int32_t *scores, int32_t count, int32_t multiplier, int32_t shift,
                     const int16_t *bias);

    /* weights[i] = 2^(scores[i] - largest) in Q0.15, the exponent in Q8; returns their sum. */
    int32_t (*powers)(const int32_t *scores, int32_t count, int32_t largest, int16_t *weights);

    /* y[i] = saturate8(sums[i] multiplier / 2^shift). */
    void (*narrow)(const int32_t *sums, int32_t multiplier, int32_t shift, int32_t count,
                   int8_t *y);

    /* The pointwise part of a GRU: from_x and from_h [3][hidden] in Q11; h Q0.15 is replaced. */
    void (*gru)(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int16_t *h);

    /* The pointwise part of an LSTM: from_x and from_h [4][hidden] in Q11; h Q0.15 and the cell
     * with cell_bits after the point are replaced. */
    void (*lstm)(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                 int16_t *h, int16_t *cell);
} es_kernels;

extern const es_kernels es_kernels_plain;

/* The kernels at `index` (0 the fastest) that this build has and this processor runs; NULL after
 * the last, which is plain. */
const es_kernels *es_kernels_at(int32_t index);

#endif
