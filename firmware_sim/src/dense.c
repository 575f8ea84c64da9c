/* Matrix products in pieces of a few rows, so that their sums fit on a small stack. */
#include "es_fixed.h"
#include "es_layers.h"

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
    int32_t sums[ES_PIECE];
    k->dot(d->weight + (size_t)at * (size_t)d->stride, d->row_sums ? d->row_sums + at : NULL,
           d->stride, x, n, sums);
    k->requantize(sums, d->bias + at, d->multiplier + at, d->shift, n, y);
}

static int32_t piece_rows(const es_dense *d, int32_t at) {
    return d->rows - at < ES_PIECE ? d->rows - at : ES_PIECE;
}

void es_dense_16(const es_kernels *k, const es_dense *d, const int8_t *x, int16_t *y) {
    int32_t at;
    for (at = 0; at < d->rows; at += ES_PIECE) piece(k, d, x, at, piece_rows(d, at), y + at);
}

/* Nothing overlaps in these two, so that compilers make vectors of them. */
static void clamp(const int16_t *restrict x, int32_t n, int8_t least, int8_t *restrict y) {
    int32_t i;
    for (i = 0; i < n; i++) {
        int16_t value = x[i] < least ? least : x[i];
        y[i] = (int8_t)(value > 127 ? 127 : value);
    }
}

static void add(const int16_t *restrict x, int32_t n, int16_t *restrict y) {
    int32_t i;
    for (i = 0; i < n; i++) {
        int32_t sum = y[i] + x[i];
        y[i] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
    }
}

void es_dense_8(const es_kernels *k, const es_dense *d, const int8_t *x, int8_t least, int8_t *y) {
    int16_t wide[ES_PIECE];
    int32_t at;
    for (at = 0; at < d->rows; at += ES_PIECE) {
        int32_t n = piece_rows(d, at);
        piece(k, d, x, at, n, wide);
        clamp(wide, n, least, y + at);
    }
}

void es_dense_add(const es_kernels *k, const es_dense *d, const int8_t *x, int16_t *y) {
    int16_t more[ES_PIECE];
    int32_t at;
    for (at = 0; at < d->rows; at += ES_PIECE) {
        int32_t n = piece_rows(d, at);
        piece(k, d, x, at, n, more);
        add(more, n, y + at);
    }
}
