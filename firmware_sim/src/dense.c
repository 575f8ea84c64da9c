/* Matrix products in pieces of a few rows, so that their sums fit on a small stack. */
#include "es_fixed.h"
#include "es_layers.h"

#define PIECE 64

es_status es_dense_check(const es_dense *d, int32_t rows, int32_t cols) {
    if (!d->weight || !d->bias || !d->multiplier) return ES_ERR_MODEL;
    if (d->rows != rows || d->cols != cols || rows < 1 || cols < 1) return ES_ERR_MODEL;
    /* Vectors are filled up to a multiple of 8 and no further. */
    if (d->stride < cols || d->stride - cols > 7 || d->stride % 8 || d->stride > 32768) {
        return ES_ERR_MODEL;
    }
    return d->shift >= 1 && d->shift <= 62 ? ES_OK : ES_ERR_MODEL;
}

/* Rows [at, at+n) of the product as int16. */
static void piece(const es_kernels *k, const es_dense *d, const int8_t *x, int32_t at, int32_t n,
                  int16_t *y) {
    int32_t sums[PIECE];
    k->dot(d->weight + (size_t)at * (size_t)d->stride, d->stride, x, n, sums);
    k->requantize(sums, d->bias + at, d->multiplier + at, d->shift, n, y);
}

static int32_t piece_rows(const es_dense *d, int32_t at) {
    return d->rows - at < PIECE ? d->rows - at : PIECE;
}

void es_dense_16(const es_kernels *k, const es_dense *d, const int8_t *x, int16_t *y) {
    int32_t at;
    for (at = 0; at < d->rows; at += PIECE) piece(k, d, x, at, piece_rows(d, at), y + at);
}

void es_dense_8(const es_kernels *k, const es_dense *d, const int8_t *x, int8_t least, int8_t *y) {
    int16_t wide[PIECE];
    int32_t at, i;
    for (at = 0; at < d->rows; at += PIECE) {
        int32_t n = piece_rows(d, at);
        piece(k, d, x, at, n, wide);
        for (i = 0; i < n; i++) {
            int16_t value = wide[i] < least ? least : wide[i];
            y[at + i] = (int8_t)(value > 127 ? 127 : value);
        }
    }
}

void es_dense_add(const es_kernels *k, const es_dense *d, const int8_t *x, int16_t *y) {
    int16_t more[PIECE];
    int32_t at, i;
    for (at = 0; at < d->rows; at += PIECE) {
        int32_t n = piece_rows(d, at);
        piece(k, d, x, at, n, more);
        for (i = 0; i < n; i++) {
            int32_t sum = y[at + i] + more[i];
            y[at + i] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
        }
    }
}
