/* GRU and LSTM layers. */
#include "es_fixed.h"
#include "es_layers.h"

typedef struct {
    size_t from_x, from_h, narrow, bytes;
} buffers;

static buffers plan(int32_t hidden, int32_t gates) {
    buffers b;
    size_t at = 0;
    b.from_x = es_take(&at, gates * hidden, sizeof(int16_t));
    b.from_h = es_take(&at, gates * hidden, sizeof(int16_t));
    b.narrow = es_take(&at, hidden, sizeof(int8_t));
    b.bytes = at;
    return b;
}

static es_status check(const es_dense *from_x, const es_dense *from_h, int32_t hidden,
                       int32_t gates) {
    es_status status;
    if (hidden < 1 || hidden > 8192) return ES_ERR_MODEL;
    status = es_dense_check(from_h, gates * hidden, hidden);
    return status ? status : es_dense_check(from_x, gates * hidden, from_x->cols);
}

/* Both products of a layer, into its scratch. */
static void products(const es_dense *from_x, const es_dense *from_h, es_place p, buffers b,
                     const int8_t *x, const int16_t *h, int32_t hidden) {
    int8_t *narrow = (int8_t *)(p.scratch + b.narrow);
    int32_t i;
    for (i = 0; i < hidden; i++) narrow[i] = es_narrow(h[i]);
    es_dense_16(p.kernels, from_x, x, (int16_t *)(void *)(p.scratch + b.from_x));
    es_dense_16(p.kernels, from_h, narrow, (int16_t *)(void *)(p.scratch + b.from_h));
}

size_t es_gru_state(const es_gru *layer) {
    size_t at = 0;
    es_take(&at, layer->hidden, sizeof(int16_t)); /* h */
    return at;
}

es_status es_gru_need(const es_gru *layer, es_need *need) {
    es_status status = check(&layer->from_x, &layer->from_h, layer->hidden, 3);
    if (status) return status;
    need->state = es_gru_state(layer);
    need->scratch = plan(layer->hidden, 3).bytes;
    need->in = layer->from_x.cols;
    need->out = layer->hidden;
    return ES_OK;
}

void es_gru_step(const es_gru *layer, es_place p, const int8_t *x, int8_t *y) {
    int32_t hidden = layer->hidden, i;
    buffers b = plan(hidden, 3);
    int16_t *h = (int16_t *)(void *)p.state;
    products(&layer->from_x, &layer->from_h, p, b, x, h, hidden);
    p.kernels->gru((const int16_t *)(const void *)(p.scratch + b.from_x),
                   (const int16_t *)(const void *)(p.scratch + b.from_h), hidden, h);
    for (i = 0; i < hidden; i++) y[i] = es_narrow(h[i]);
}

size_t es_lstm_state(const es_lstm *layer) {
    size_t at = 0;
    es_take(&at, layer->hidden, sizeof(int16_t)); /* h */
    es_take(&at, layer->hidden, sizeof(int16_t)); /* c */
    return at;
}

es_status es_lstm_need(const es_lstm *layer, es_need *need) {
    es_status status = check(&layer->from_x, &layer->from_h, layer->hidden, 4);
    if (status) return status;
    if (layer->cell_bits < 11 || layer->cell_bits > 14) return ES_ERR_MODEL;
    need->state = es_lstm_state(layer);
    need->scratch = plan(layer->hidden, 4).bytes;
    need->in = layer->from_x.cols;
    need->out = layer->hidden;
    return ES_OK;
}

void es_lstm_step(const es_lstm *layer, es_place p, const int8_t *x, int8_t *y) {
    int32_t hidden = layer->hidden, i;
    buffers b = plan(hidden, 4);
    size_t at = 0;
    int16_t *h = (int16_t *)(void *)(p.state + es_take(&at, hidden, sizeof(int16_t)));
    int16_t *cell = (int16_t *)(void *)(p.state + es_take(&at, hidden, sizeof(int16_t)));
    products(&layer->from_x, &layer->from_h, p, b, x, h, hidden);
    p.kernels->lstm((const int16_t *)(const void *)(p.scratch + b.from_x),
                    (const int16_t *)(const void *)(p.scratch + b.from_h), hidden, layer->cell_bits,
                    h, cell);
    for (i = 0; i < hidden; i++) y[i] = es_narrow(h[i]);
}
