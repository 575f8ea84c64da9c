/* The reference form of every kernel: what the others must equal. */
#include "es_fixed.h"
#include "es_kernels_isa.h"

void es_plain_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride, const int8_t *x,
                  int32_t rows, int32_t *sums) {
    int32_t r, c;
    (void)row_sums;
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

int32_t es_plain_moments(const int16_t *x, int32_t count, uint64_t *squares) {
    int32_t i, sum = 0;
    uint64_t total = 0;
    for (i = 0; i < count; i++) {
        sum += x[i];
        total += (uint32_t)(x[i] * x[i]);
    }
    *squares = total;
    return sum;
}

void es_plain_norm(const int16_t *x, int32_t count, es_center center, const int16_t *gain,
                   const int32_t *bias, int32_t shift, int8_t *y) {
    int32_t i, half = 1 << (shift - 1);
    for (i = 0; i < count; i++) {
        int32_t centered = center.times * x[i] - center.sum;
        int32_t unit = es_sat16(es_rescale(centered, center.inverse, center.shift));
        y[i] = es_sat8((unit * gain[i] + bias[i] + half) >> shift);
    }
}

int32_t es_plain_score(int32_t *scores, int32_t count, int32_t multiplier, int32_t shift,
                       const int16_t *bias) {
    int32_t i, largest = ES_NO_SCORE;
    for (i = 0; i < count; i++) {
        int64_t score = es_rescale(scores[i], multiplier, shift);
        score = score >= ES_SCORE_LIMIT   ? ES_SCORE_LIMIT - 1
                : score < -ES_SCORE_LIMIT ? -ES_SCORE_LIMIT
                                          : score;
        scores[i] = (int32_t)score + bias[-i];
        if (scores[i] > largest) largest = scores[i];
    }
    return largest;
}

int32_t es_plain_powers(const int32_t *scores, int32_t count, int32_t largest, int16_t *weights) {
    int32_t i, total = 0;
    for (i = 0; i < count; i++) {
        int32_t below = largest - scores[i];
        below = below > 4095 ? 4095 : below;
        weights[i] = (int16_t)(es_exp2_table[below & 255] >> (below >> 8));
        total += weights[i];
    }
    return total;
}

void es_plain_narrow(const int32_t *sums, int32_t multiplier, int32_t shift, int32_t count,
                     int8_t *y) {
    int32_t i;
    for (i = 0; i < count; i++) y[i] = es_sat8(es_rescale(sums[i], multiplier, shift));
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
    "plain", es_plain_dot, es_plain_requantize, es_plain_mix, es_plain_moments, es_plain_norm,
    es_plain_score, es_plain_powers, es_plain_narrow, es_plain_gru, es_plain_lstm,
};
