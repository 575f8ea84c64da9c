/* What the layers share: buffers from one planner, and the matrix product. */
#ifndef ES_LAYERS_H
#define ES_LAYERS_H

#include "edgeseq.h"
#include "es_kernels.h"

/* Sums that lie on the stack at a time. */
#define ES_PIECE 64

/* `bytes` filled up to ES_ALIGN. */
static inline size_t es_align(size_t bytes) {
    return (bytes + (ES_ALIGN - 1)) & ~(size_t)(ES_ALIGN - 1);
}

/* Takes the next `count` elements of `size` bytes: returns their offset and moves `*at` on. */
static inline size_t es_take(size_t *at, int32_t count, size_t size) {
    size_t offset = *at;
    *at = offset + es_align((size_t)count * size);
    return offset;
}

/* What one layer needs; `state` bytes lie in the arena's state, `scratch` is shared by all. */
typedef struct {
    size_t state, scratch;
    int32_t in, out; /* width of the vectors coming in and going out */
} es_need;

/* One step of a layer: x and y int8, padded to 8. */
typedef struct {
    const es_kernels *kernels;
    uint8_t *state, *scratch;
} es_place;

es_status es_dense_check(const es_dense *d, int32_t rows, int32_t cols);

/* int16 results [rows]. */
void es_dense_16(const es_kernels *k, const es_dense *d, const int8_t *x, int16_t *y);

/* int8 results [rows]; those below `least` become `least` (0: ReLU, -128: none). */
void es_dense_8(const es_kernels *k, const es_dense *d, const int8_t *x, int8_t least, int8_t *y);

/* Adds the int16 results to y [rows], saturating. */
void es_dense_add(const es_kernels *k, const es_dense *d, const int8_t *x, int16_t *y);

size_t es_logmel_state(const es_logmel *layer); /* bytes of the state */
es_status es_logmel_need(const es_logmel *layer, es_need *need);
void es_logmel_step(const es_logmel *layer, es_place place, const int16_t *pcm, int8_t *y);

size_t es_gru_state(const es_gru *layer);
es_status es_gru_need(const es_gru *layer, es_need *need);
void es_gru_step(const es_gru *layer, es_place place, const int8_t *x, int8_t *y);

size_t es_lstm_state(const es_lstm *layer);
es_status es_lstm_need(const es_lstm *layer, es_need *need);
void es_lstm_step(const es_lstm *layer, es_place place, const int8_t *x, int8_t *y);

size_t es_transformer_state(const es_transformer *layer);
es_status es_transformer_need(const es_transformer *layer, es_need *need);
void es_transformer_step(const es_transformer *layer, es_place place, const int8_t *x, int8_t *y);

/* ES_ERR_STATE when `state` holds positions outside the ring. */
es_status es_transformer_check_state(const es_transformer *layer, const uint8_t *state);

#endif
