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

void es_lstm_unit(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                  int32_t i, int16_t *h, int16_t *cell) {
    const int16_t *gx = from_x + i, *gh = from_h + i;
    int32_t new_shift = 30 - cell_bits, extra = cell_bits - 11;
    int32_t enter = es_sigmoid(gx[0] + gh[0]);
    int32_t forget = es_sigmoid(gx[hidden] + gh[hidden]);
    int32_t candidate = es_tanh(gx[2 * hidden] + gh[2 * hidden]);
    int32_t output = es_sigmoid(gx[3 * hidden] + gh[3 * hidden]);
    int32_t fresh = (enter * candidate + (1 << (new_shift - 1))) >> new_shift;
    int16_t c = es_sat16(es_times(forget, cell[i]) + fresh);
    /* Half up, and no shift at all where the cell has as many bits as the table's input. */
    int32_t argument = (c + ((1 << extra) >> 1)) >> extra;
    cell[i] = c;
    h[i] = (int16_t)es_times(output, es_tanh(argument));
}

void es_plain_lstm(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                   int16_t *h, int16_t *cell) {
    int32_t i;
    for (i = 0; i < hidden; i++) es_lstm_unit(from_x, from_h, hidden, cell_bits, i, h, cell);
}

const es_kernels es_kernels_plain = {
    "plain", es_plain_dot, es_plain_requantize, es_plain_mix, es_plain_gru, es_plain_lstm,
};
