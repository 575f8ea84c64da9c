/* The causal Transformer: pre-norm blocks, int8 ring of keys and values, integer softmax. */
#include <string.h>

#include "es_fixed.h"
#include "es_layers.h"

#define NORM_BITS 10
#define MAX_DIM 1024
#define MAX_WINDOW 510

typedef struct {
    size_t residual, normed, convolved, qkv, mixed, wide, scores, weights, sums, bytes;
} buffers;

/* Offsets of one stream's state; block n's tensors follow each other. */
typedef struct {
    size_t filled, next, first, k, v, conv, block;
} tensors;

static buffers plan(const es_transformer *t) {
    buffers b;
    size_t at = 0;
    int32_t inner = t->heads * t->head_dim;
    b.residual = es_take(&at, t->dim, sizeof(int16_t));
    b.normed = es_take(&at, t->dim, sizeof(int8_t));
    b.convolved = es_take(&at, t->dim, sizeof(int8_t));
    b.qkv = es_take(&at, 3 * inner, sizeof(int8_t));
    b.mixed = es_take(&at, inner, sizeof(int8_t));
    b.wide = es_take(&at, t->feed_forward, sizeof(int8_t));
    b.scores = es_take(&at, t->window + 1, sizeof(int32_t));
    b.weights = es_take(&at, t->window + 2, sizeof(int16_t)); /* kernels read them in pairs */
    b.sums = es_take(&at, t->head_dim, sizeof(int32_t));
    b.bytes = at;
    return b;
}

/* Every block has the same tensors; offsets k, v, conv are within a block. */
static tensors plan_state(const es_transformer *t) {
    tensors s;
    size_t at = 0;
    int32_t width = t->block[0].conv.width;
    s.filled = es_take(&at, 1, sizeof(int32_t));
    s.next = es_take(&at, 1, sizeof(int32_t));
    s.first = at;
    at = 0;
    s.k = es_take(&at, t->heads * (t->window + 1) * t->head_dim, sizeof(int8_t));
    s.v = es_take(&at, t->heads * (t->window + 1) * t->head_dim, sizeof(int8_t));
    s.conv = width > 1 ? es_take(&at, (width - 1) * t->dim, sizeof(int8_t)) : at;
    s.block = at;
    return s;
}

static es_status check_norm(const es_norm *n, int32_t dim) {
    if (!n->gain || !n->bias || n->dim != dim || n->shift < 1 || n->shift > 22) return ES_ERR_MODEL;
    return n->eps >= 1 && n->eps <= (int64_t)1 << 60 ? ES_OK : ES_ERR_MODEL;
}

static es_status check_block(const es_transformer *t, const es_block *b) {
    int32_t inner = t->heads * t->head_dim;
    const es_conv *c = &b->conv;
    if (check_norm(&b->norm_attention, t->dim) || check_norm(&b->norm_feed, t->dim)) {
        return ES_ERR_MODEL;
    }
    if (c->width != t->block[0].conv.width || c->width < 0 || c->width == 1 || c->width > 64) {
        return ES_ERR_MODEL;
    }
    if (c->width && (!c->weight || !c->bias || !c->multiplier || c->dim != t->dim || c->shift < 1 ||
                     c->shift > 62)) {
        return ES_ERR_MODEL;
    }
    if (!b->score_multiplier || !b->mix_multiplier || !b->distance_bias) return ES_ERR_MODEL;
    if (b->score_shift < 1 || b->score_shift > 62 || b->mix_shift < 1 || b->mix_shift > 62) {
        return ES_ERR_MODEL;
    }
    if (es_dense_check(&b->qkv, 3 * inner, t->dim) || es_dense_check(&b->out, t->dim, inner) ||
        es_dense_check(&b->feed_in, t->feed_forward, t->dim) ||
        es_dense_check(&b->feed_out, t->dim, t->feed_forward)) {
        return ES_ERR_MODEL;
    }
    return ES_OK;
}

size_t es_transformer_state(const es_transformer *t) {
    tensors s = plan_state(t);
    return s.first + (size_t)t->blocks * s.block;
}

es_status es_transformer_need(const es_transformer *t, es_need *need) {
    int32_t n;
    if (t->dim < 1 || t->dim > MAX_DIM || t->window < 1 || t->window > MAX_WINDOW) {
        return ES_ERR_MODEL;
    }
    if (t->heads < 1 || t->heads > MAX_DIM || t->head_dim < 8 || t->head_dim > MAX_DIM ||
        t->head_dim % 8 || t->feed_forward < 1 || t->feed_forward > 32768) {
        return ES_ERR_MODEL;
    }
    if (t->blocks < 1 || !t->block || check_norm(&t->norm, t->dim)) return ES_ERR_MODEL;
    if (es_dense_check(&t->enter, t->dim, t->enter.cols)) return ES_ERR_MODEL;
    for (n = 0; n < t->blocks; n++) {
        if (check_block(t, &t->block[n])) return ES_ERR_MODEL;
    }
    if ((size_t)t->blocks > SIZE_MAX / 4 / plan_state(t).block) return ES_ERR_MODEL;
    need->state = es_transformer_state(t);
    need->scratch = plan(t).bytes;
    need->in = t->enter.cols;
    need->out = t->dim;
    return ES_OK;
}

es_status es_transformer_check_state(const es_transformer *t, const uint8_t *state) {
    tensors s = plan_state(t);
    int32_t filled, next;
    memcpy(&filled, state + s.filled, sizeof filled);
    memcpy(&next, state + s.next, sizeof next);
    if (filled < 0 || filled > t->window || next < 0 || next > t->window) return ES_ERR_STATE;
    /* Until the ring is full, its frames lie from slot 0 on. */
    return filled == t->window || next == filled ? ES_OK : ES_ERR_STATE;
}

static void norm(const es_kernels *k, const es_norm *n, const int16_t *x, int8_t *y) {
    uint64_t squares, dim = (uint64_t)n->dim, variance;
    uint32_t scaled;
    int32_t up;
    es_center center;
    center.times = n->dim;
    center.sum = k->moments(x, n->dim, &squares);
    /* The sum of the squares of dim x - sum: at most 2^60. */
    squares = dim * (dim * squares - (uint64_t)((int64_t)center.sum * center.sum));
    variance = squares / dim + (uint64_t)n->eps;
    /* An even shift brings the variance to 31 or 32 bits, so its root has 16. */
    up = 31 - es_bit_length(variance);
    up += up & 1;
    scaled = (uint32_t)(up >= 0 ? variance << up : variance >> -up);
    center.inverse = (int32_t)(0x80000000u / es_sqrt(scaled));
    center.shift = 31 - NORM_BITS - (up >> 1);
    k->norm(x, n->dim, center, n->gain, n->bias, n->shift, y);
}

/* sums[i] += x[i] w[i]; nothing overlaps, so that compilers make vectors of it. */
static void add_products(const int8_t *restrict x, const int8_t *restrict w, int32_t n,
                         int32_t *restrict sums) {
    int32_t i;
    for (i = 0; i < n; i++) sums[i] += x[i] * w[i];
}

/* `past` [width-1][dim] moves on by `x`. */
static void convolve(const es_kernels *k, const es_conv *c, int8_t *past, const int8_t *x,
                     int8_t *y) {
    int32_t sums[ES_PIECE], d, t, i, last = c->width - 1;
    int16_t wide[ES_PIECE];
    for (d = 0; d < c->dim; d += ES_PIECE) {
        int32_t n = c->dim - d < ES_PIECE ? c->dim - d : ES_PIECE;
        const int8_t *weight = c->weight + d;
        memset(sums, 0, sizeof sums);
        for (t = 0; t < last; t++) add_products(past + t * c->dim + d, weight + t * c->dim, n, sums);
        add_products(x + d, weight + last * c->dim, n, sums);
        k->requantize(sums, c->bias + d, c->multiplier + d, c->shift, n, wide);
        for (i = 0; i < n; i++) y[d + i] = es_sat8(wide[i]);
    }
    memmove(past, past + c->dim, (size_t)((last - 1) * c->dim));
    memcpy(past + (last - 1) * c->dim, x, (size_t)c->dim);
}

/* Products with the keys (in `scores`) to softmax weights; returns their sum. Slots up to `newest`
 * hold the latest frames, those behind it, in a full ring, older ones. */
static int32_t softmax(const es_kernels *k, int32_t *scores, int16_t *weights, int32_t rows,
                       int32_t multiplier, int32_t shift, const int16_t *bias, int32_t newest) {
    int32_t total, here = newest + 1, behind = rows - here;
    int32_t largest = k->score(scores, here, multiplier, shift, bias + newest);
    if (behind > 0) {
        int32_t older = k->score(scores + here, behind, multiplier, shift, bias + rows - 1);
        largest = older > largest ? older : largest;
    }
    total = k->powers(scores, rows, largest, weights);
    weights[rows] = 0;
    return total;
}

static void attend(const es_transformer *t, const es_block *b, es_place p, buffers u, int8_t *k,
                   int8_t *v, int32_t newest, int32_t filled) {
    int32_t head, size = t->head_dim, slots = t->window + 1;
    const int8_t *qkv = (const int8_t *)(p.scratch + u.qkv);
    int8_t *mixed = (int8_t *)(p.scratch + u.mixed);
    int32_t *scores = (int32_t *)(void *)(p.scratch + u.scores);
    int32_t *sums = (int32_t *)(void *)(p.scratch + u.sums);
    int16_t *weights = (int16_t *)(void *)(p.scratch + u.weights);
    for (head = 0; head < t->heads; head++, k += slots * size, v += slots * size) {
        const int8_t *query = qkv + head * size;
        int32_t total, factor;
        memcpy(k + newest * size, query + t->heads * size, (size_t)size);
        memcpy(v + newest * size, query + 2 * t->heads * size, (size_t)size);
        p.kernels->dot(k, NULL, size, query, filled + 1, scores);
        total = softmax(p.kernels, scores, weights, filled + 1, b->score_multiplier[head],
                        b->score_shift, b->distance_bias + head * slots, newest);
        p.kernels->mix(weights, v, size, filled + 1, sums);
        factor = (int32_t)es_rescale(((int64_t)1 << 45) / total, b->mix_multiplier[head], 31);
        p.kernels->narrow(sums, factor, b->mix_shift, size, mixed + head * size);
    }
}

void es_transformer_step(const es_transformer *t, es_place p, const int8_t *x, int8_t *y) {
    buffers u = plan(t);
    tensors s = plan_state(t);
    int16_t *residual = (int16_t *)(void *)(p.scratch + u.residual);
    int8_t *normed = (int8_t *)(p.scratch + u.normed);
    int8_t *wide = (int8_t *)(p.scratch + u.wide);
    int32_t *filled = (int32_t *)(void *)(p.state + s.filled);
    int32_t *next = (int32_t *)(void *)(p.state + s.next);
    uint8_t *own = p.state + s.first;
    int32_t n;
    es_dense_16(p.kernels, &t->enter, x, residual);
    for (n = 0; n < t->blocks; n++, own += s.block) {
        const es_block *b = &t->block[n];
        int8_t *to_attention = normed;
        norm(p.kernels, &b->norm_attention, residual, normed);
        if (b->conv.width) {
            to_attention = (int8_t *)(p.scratch + u.convolved);
            convolve(p.kernels, &b->conv, (int8_t *)(own + s.conv), normed, to_attention);
        }
        es_dense_8(p.kernels, &b->qkv, to_attention, -128, (int8_t *)(p.scratch + u.qkv));
        attend(t, b, p, u, (int8_t *)(own + s.k), (int8_t *)(own + s.v), *next, *filled);
        es_dense_add(p.kernels, &b->out, (const int8_t *)(p.scratch + u.mixed), residual);
        norm(p.kernels, &b->norm_feed, residual, normed);
        es_dense_8(p.kernels, &b->feed_in, normed, 0, wide);
        es_dense_add(p.kernels, &b->feed_out, wide, residual);
    }
    norm(p.kernels, &t->norm, residual, y);
    *next = *next == t->window ? 0 : *next + 1;
    if (*filled < t->window) ++*filled;
}
