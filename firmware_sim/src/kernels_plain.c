/* The reference form of every kernel: what the others must equal. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

void es_plain_dot(const int8_t *weight, int32_t stride, const int8_t *x, int32_t rows,
                  int32_t *sums) {
    int32_t r, c;
    for (r = 0; r < rows; r++, weight += stride) {
        int32_t sum = 0;
        for (c = 0; c < stride; c++) sum += weight[c] * x[c];
        sums[r] = sum;
    }
}

void es_plain_requantize(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                         int32_t shift, int32_t count, int16_t *y) {
    int32_t i;
    for (i = 0; i < count; i++) {
        y[i] = es_sat16(es_rescale((int64_t)sums[i] + bias[i], multiplier[i], shift));
    }
}

void es_plain_mix(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                  int32_t *sums) {
    int32_t t, d;
    for (d = 0; d < head_dim; d++) sums[d] = 0;
    for (t = 0; t < rows; t++, values += head_dim) {
        for (d = 0; d < head_dim; d++) sums[d] += weights[t] * values[d];
    }
}

void es_gru_unit(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t i,
                 int16_t *h) {
    int32_t reset = es_sigmoid(from_x[i] + from_h[i]);
    int32_t update = es_sigmoid(from_x[hidden + i] + from_h[hidden + i]);
    int32_t inner = from_x[2 * hidden + i] + es_times(reset, from_h[2 * hidden + i]);
    int32_t candidate = es_tanh(inner);
    h[i] = (int16_t)(candidate + es_times(update, h[i] - candidate));
}

void es_plain_gru(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int16_t *h) {
    int32_t i;
    for (i = 0; i < hidden; i++) es_gru_unit(from_x, from_h, hidden, i, h);
}

const es_kernels es_kernels_plain = {
    "plain", es_plain_dot, es_plain_requantize, es_plain_mix, es_plain_gru,
};
