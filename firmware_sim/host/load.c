/* The model of a section: its structs in the caller's room, its arrays where they lie. */
#include <string.h>

#include "es_host.h"

/* Reads a section; without a room it only counts what one would need. */
typedef struct {
    const uint8_t *start, *end; /* the section */
    size_t words, word;         /* how many there are, and the next one */
    const uint8_t *array;       /* the next array */
    uint8_t *room;
    size_t room_bytes, taken;
    es_status status;
} loader;

static int32_t whole(loader *l) {
    int32_t value = 0;
    if (l->word >= l->words) {
        l->status = ES_ERR_MODEL;
        return 0;
    }
    memcpy(&value, l->start + 4 * l->word++, sizeof value);
    return value;
}

static int64_t long_whole(loader *l) {
    uint32_t low = (uint32_t)whole(l), high = (uint32_t)whole(l);
    return (int64_t)((uint64_t)high << 32 | low);
}

/* The next array of `count` elements of `size` bytes; NULL when it is not within the section. */
static const void *array(loader *l, int64_t count, int64_t size) {
    size_t offset = (size_t)(l->array - l->start), left = (size_t)(l->end - l->array);
    size_t padding = (ES_SECTION_ALIGN - offset % ES_SECTION_ALIGN) % ES_SECTION_ALIGN;
    const uint8_t *from = l->array;
    if (count < 1 || padding > left || (uint64_t)count > (left - padding) / (size_t)size) {
        l->status = ES_ERR_MODEL;
        return NULL;
    }
    from += padding;
    l->array = from + (size_t)count * (size_t)size;
    return from;
}

/* Room for `count` structs of `size` bytes; NULL when there is none, or when it is only counted. */
static void *take(loader *l, size_t count, size_t size) {
    size_t bytes = (count * size + (ES_ALIGN - 1)) & ~(size_t)(ES_ALIGN - 1), at = l->taken;
    l->taken += bytes;
    if (!l->room) return NULL;
    if (l->taken > l->room_bytes) {
        l->status = ES_ERR_ARENA;
        return NULL;
    }
    return l->room + at;
}

/* A copy of `value` in the room. */
static const void *keep(loader *l, const void *value, size_t size) {
    void *to = take(l, 1, size);
    if (to) memcpy(to, value, size);
    return to;
}

/* The sums of the rows of `d`, in the room. */
static const int32_t *row_sums(loader *l, const es_dense *d) {
    int32_t *sums, r, c;
    if (l->status) return NULL;
    sums = take(l, (size_t)d->rows, sizeof *sums);
    if (!sums) return NULL;
    for (r = 0; r < d->rows; r++) {
        const int8_t *row = d->weight + (size_t)r * (size_t)d->stride;
        sums[r] = 0;
        for (c = 0; c < d->stride; c++) sums[r] += row[c];
    }
    return sums;
}

static es_dense dense(loader *l) {
    es_dense d;
    d.rows = whole(l);
    d.cols = whole(l);
    d.stride = whole(l);
    d.shift = whole(l);
    /* Both factors are below 2^31, so their product fits. */
    d.weight = array(l, d.rows > 0 && d.stride > 0 ? (int64_t)d.rows * d.stride : 0, 1);
    d.bias = array(l, d.rows, 4);
    d.multiplier = array(l, d.rows, 4);
    d.row_sums = row_sums(l, &d);
    return d;
}

static es_norm norm(loader *l) {
    es_norm n;
    n.dim = whole(l);
    n.shift = whole(l);
    n.eps = long_whole(l);
    n.gain = array(l, n.dim, 2);
    n.bias = array(l, n.dim, 4);
    return n;
}

static es_conv conv(loader *l) {
    es_conv c;
    memset(&c, 0, sizeof c);
    c.width = whole(l);
    if (!c.width) return c;
    c.dim = whole(l);
    c.shift = whole(l);
    c.weight = array(l, c.width > 0 && c.dim > 0 ? (int64_t)c.width * c.dim : 0, 1);
    c.bias = array(l, c.dim, 4);
    c.multiplier = array(l, c.dim, 4);
    return c;
}

static es_block block(loader *l, int32_t heads, int32_t window) {
    es_block b;
    memset(&b, 0, sizeof b);
    b.norm_attention = norm(l);
    b.conv = conv(l);
    b.qkv = dense(l);
    b.score_shift = whole(l);
    b.mix_shift = whole(l);
    b.score_multiplier = array(l, heads, 4);
    b.mix_multiplier = array(l, heads, 4);
    b.distance_bias = array(l, heads > 0 && window > 0 ? heads * ((int64_t)window + 1) : 0, 2);
    b.out = dense(l);
    b.norm_feed = norm(l);
    b.feed_in = dense(l);
    b.feed_out = dense(l);
    return b;
}

static const void *transformer(loader *l) {
    es_transformer t;
    es_block *blocks;
    int32_t n;
    memset(&t, 0, sizeof t);
    t.dim = whole(l);
    t.heads = whole(l);
    t.head_dim = whole(l);
    t.window = whole(l);
    t.feed_forward = whole(l);
    t.blocks = whole(l);
    t.enter = dense(l);
    /* A block has more than one word, so this bounds the loop and the room by the section. */
    if (t.blocks < 1 || (size_t)t.blocks > l->words) l->status = ES_ERR_MODEL;
    if (l->status) return NULL;
    blocks = take(l, (size_t)t.blocks, sizeof *blocks);
    for (n = 0; n < t.blocks && !l->status; n++) {
        es_block b = block(l, t.heads, t.window);
        if (blocks) blocks[n] = b;
    }
    t.block = blocks;
    t.norm = norm(l);
    return keep(l, &t, sizeof t);
}

static const void *logmel(loader *l) {
    es_logmel m;
    int64_t weights = 0;
    int32_t band;
    memset(&m, 0, sizeof m);
    m.window = whole(l);
    m.hop = whole(l);
    m.mels = whole(l);
    m.bins = whole(l);
    m.shift = whole(l);
    m.floor = long_whole(l);
    m.hann = array(l, m.window, 2);
    m.twiddles = array(l, m.window, 4);
    m.first = array(l, m.mels, 2);
    m.count = array(l, m.mels, 2);
    if (l->status) return NULL;
    for (band = 0; band < m.mels; band++) weights += m.count[band];
    m.filters = array(l, weights, 2);
    m.center = array(l, m.mels, 4);
    m.multiplier = array(l, m.mels, 4);
    return keep(l, &m, sizeof m);
}

static const void *params(loader *l, int32_t kind) {
    es_bytes bytes;
    es_gru gru;
    es_lstm lstm;
    es_dense head;
    switch (kind) {
        case ES_LAYER_LOGMEL: return logmel(l);
        case ES_LAYER_BYTES:
            bytes.dim = whole(l);
            bytes.table = array(l, (int64_t)256 * bytes.dim, 1);
            return keep(l, &bytes, sizeof bytes);
        case ES_LAYER_GRU:
            gru.hidden = whole(l);
            gru.from_x = dense(l);
            gru.from_h = dense(l);
            return keep(l, &gru, sizeof gru);
        case ES_LAYER_LSTM:
            lstm.hidden = whole(l);
            lstm.cell_bits = whole(l);
            lstm.from_x = dense(l);
            lstm.from_h = dense(l);
            return keep(l, &lstm, sizeof lstm);
        case ES_LAYER_TRANSFORMER: return transformer(l);
        case ES_LAYER_HEAD:
            head = dense(l);
            return keep(l, &head, sizeof head);
        default: l->status = ES_ERR_MODEL; return NULL;
    }
}

static const es_model *model(loader *l) {
    es_model *made = take(l, 1, sizeof *made), m;
    es_layer *layers;
    int32_t n;
    m.format = whole(l);
    m.input_dim = whole(l);
    m.output_dim = whole(l);
    m.output_fraction = whole(l);
    m.layers = whole(l);
    if (m.layers < 1 || (size_t)m.layers > l->words) l->status = ES_ERR_MODEL;
    if (m.output_fraction < 0 || m.output_fraction > 30) l->status = ES_ERR_MODEL;
    if (l->status) return NULL;
    layers = take(l, (size_t)m.layers, sizeof *layers);
    for (n = 0; n < m.layers && !l->status; n++) {
        es_layer layer;
        layer.kind = whole(l);
        layer.params = params(l, layer.kind);
        if (layers) layers[n] = layer;
    }
    m.layer = layers;
    if (made) *made = m;
    /* Nothing may be left: neither numbers nor bytes. */
    if (!l->status && (l->word != l->words || l->array != l->end)) l->status = ES_ERR_MODEL;
    return made;
}

static es_status start(loader *l, const void *section, size_t bytes) {
    uint32_t head[2];
    memset(l, 0, sizeof *l);
    if (!section) return ES_ERR_NULL;
    if ((uintptr_t)section % ES_SECTION_ALIGN) return ES_ERR_ALIGN;
    if (bytes < sizeof head) return ES_ERR_MODEL;
    memcpy(head, section, sizeof head);
    if (head[0] != ES_SECTION_MAGIC || head[1] < 2 || head[1] > bytes / 4) return ES_ERR_MODEL;
    l->start = section;
    l->end = l->start + bytes;
    l->words = head[1];
    l->word = 2;
    l->array = l->start + 4 * l->words;
    return ES_OK;
}

es_status es_load_size(const void *section, size_t bytes, size_t *room) {
    loader l;
    es_status status;
    if (!room) return ES_ERR_NULL;
    status = start(&l, section, bytes);
    if (status) return status;
    (void)model(&l);
    if (!l.status) *room = l.taken;
    return l.status;
}

es_status es_load(const void *section, size_t bytes, void *room, size_t room_bytes,
                  const es_model **out) {
    loader l;
    const es_model *made;
    size_t arena;
    es_status status;
    if (!out) return ES_ERR_NULL;
    *out = NULL;
    if (!room) return ES_ERR_NULL;
    if ((uintptr_t)room % ES_ALIGN) return ES_ERR_ALIGN;
    status = start(&l, section, bytes);
    if (status) return status;
    l.room = room;
    l.room_bytes = room_bytes;
    made = model(&l);
    if (l.status) return l.status;
    /* The planner checks that the sizes fit each other. */
    status = es_arena_size(made, &arena);
    if (!status) *out = made;
    return status;
}
