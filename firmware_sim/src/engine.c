/* The planner, the walk over the layers, and the public functions. */
#include <string.h>

#include "edgeseq.h"
#include "es_fixed.h"
#include "es_layers.h"

#define MAX_LAYERS 64

/* Where everything lies in an arena; the same plan gives its size and its use. */
typedef struct {
    size_t state, vectors[2], scratch, bytes;
    size_t state_bytes;
} arena_plan;

struct es_engine {
    const es_model *model;
    const es_kernels *kernels;
    arena_plan plan;
};

/* The arena begins with the engine; a fixed room makes its size the same on every processor. */
#define ENGINE_BYTES 64
typedef char es_engine_fits[sizeof(struct es_engine) <= ENGINE_BYTES ? 1 : -1];

static es_status bytes_need(const es_bytes *layer, es_need *need) {
    if (!layer->table || layer->dim < 1 || layer->dim > 32768) return ES_ERR_MODEL;
    need->state = need->scratch = 0;
    need->in = 1;
    need->out = layer->dim;
    return ES_OK;
}

static es_status head_need(const es_dense *layer, es_need *need) {
    need->state = need->scratch = 0;
    need->in = layer->cols;
    need->out = layer->rows;
    return es_dense_check(layer, layer->rows, layer->cols);
}

static es_status layer_need(const es_layer *layer, es_need *need) {
    if (!layer->params) return ES_ERR_MODEL;
    switch (layer->kind) {
        case ES_LAYER_LOGMEL: return es_logmel_need(layer->params, need);
        case ES_LAYER_BYTES: return bytes_need(layer->params, need);
        case ES_LAYER_GRU: return es_gru_need(layer->params, need);
        case ES_LAYER_LSTM: return es_lstm_need(layer->params, need);
        case ES_LAYER_TRANSFORMER: return es_transformer_need(layer->params, need);
        case ES_LAYER_HEAD: return head_need(layer->params, need);
        default: return ES_ERR_MODEL;
    }
}

static size_t layer_state(const es_layer *layer) {
    switch (layer->kind) {
        case ES_LAYER_LOGMEL: return es_logmel_state(layer->params);
        case ES_LAYER_GRU: return es_gru_state(layer->params);
        case ES_LAYER_LSTM: return es_lstm_state(layer->params);
        case ES_LAYER_TRANSFORMER: return es_transformer_state(layer->params);
        default: return 0;
    }
}

static int is_frontend(int32_t kind) {
    return kind == ES_LAYER_LOGMEL || kind == ES_LAYER_BYTES;
}

static es_status make_plan(const es_model *model, arena_plan *plan) {
    size_t at = ENGINE_BYTES, scratch = 0, state = 0;
    int32_t n, width = model->input_dim, widest = 1;
    if (model->format != ES_MODEL_FORMAT || !model->layer) return ES_ERR_MODEL;
    if (model->layers < 2 || model->layers > MAX_LAYERS) return ES_ERR_MODEL;
    for (n = 0; n < model->layers; n++) {
        const es_layer *layer = &model->layer[n];
        es_need need;
        es_status status = layer_need(layer, &need);
        if (status) return status;
        /* A frontend is first and only there, a head is last and only there. */
        if (is_frontend(layer->kind) != (n == 0)) return ES_ERR_MODEL;
        if ((layer->kind == ES_LAYER_HEAD) != (n == model->layers - 1)) return ES_ERR_MODEL;
        if (need.in != width) return ES_ERR_MODEL;
        width = need.out;
        if (layer->kind != ES_LAYER_HEAD && width > widest) widest = width;
        if (need.scratch > scratch) scratch = need.scratch;
        if (need.state > SIZE_MAX / 2 - state) return ES_ERR_MODEL;
        state += need.state;
    }
    if (width != model->output_dim) return ES_ERR_MODEL;
    plan->state_bytes = state;
    plan->state = at;
    at += state;
    plan->vectors[0] = es_take(&at, widest, sizeof(int8_t));
    plan->vectors[1] = es_take(&at, widest, sizeof(int8_t));
    plan->scratch = at;
    plan->bytes = at + scratch;
    return ES_OK;
}

es_status es_arena_size(const es_model *model, size_t *bytes) {
    arena_plan plan;
    es_status status;
    if (!model || !bytes) return ES_ERR_NULL;
    status = make_plan(model, &plan);
    if (!status) *bytes = plan.bytes;
    return status;
}

es_status es_init(const es_model *model, void *arena, size_t bytes, es_engine **engine) {
    arena_plan plan;
    es_status status;
    es_engine *made = arena;
    if (!engine) return ES_ERR_NULL;
    *engine = NULL;
    if (!model || !arena) return ES_ERR_NULL;
    status = make_plan(model, &plan);
    if (status) return status;
    if ((uintptr_t)arena % ES_ALIGN) return ES_ERR_ALIGN;
    if (bytes < plan.bytes) return ES_ERR_ARENA;
    memset(arena, 0, plan.bytes);
    made->model = model;
    made->kernels = es_kernels_at(0);
    made->plan = plan;
    *engine = made;
    return ES_OK;
}

static uint8_t *at(es_engine *engine, size_t offset) {
    return (uint8_t *)engine + offset;
}

/* Walk the layers behind the frontend, whose vector lies in vectors[0]; `state` is behind its own.
 */
static void walk(es_engine *engine, uint8_t *state, int16_t *logits) {
    const es_model *model = engine->model;
    es_place place;
    int32_t n;
    place.kernels = engine->kernels;
    place.state = state;
    place.scratch = at(engine, engine->plan.scratch);
    for (n = 1; n < model->layers; n++) {
        const es_layer *layer = &model->layer[n];
        const int8_t *x = (const int8_t *)at(engine, engine->plan.vectors[(n + 1) & 1]);
        int8_t *y = (int8_t *)at(engine, engine->plan.vectors[n & 1]);
        if (layer->kind == ES_LAYER_GRU) es_gru_step(layer->params, place, x, y);
        if (layer->kind == ES_LAYER_LSTM) es_lstm_step(layer->params, place, x, y);
        if (layer->kind == ES_LAYER_TRANSFORMER) es_transformer_step(layer->params, place, x, y);
        if (layer->kind == ES_LAYER_HEAD) es_dense_16(place.kernels, layer->params, x, logits);
        place.state += layer_state(layer);
    }
}

static es_status check_step(const es_engine *engine, int32_t kind, size_t inputs,
                            const int16_t *logits, size_t outputs) {
    if (!engine || !logits) return ES_ERR_NULL;
    if (engine->model->layer[0].kind != kind) return ES_ERR_INPUT;
    if (inputs != (size_t)engine->model->input_dim) return ES_ERR_SIZE;
    return outputs == (size_t)engine->model->output_dim ? ES_OK : ES_ERR_SIZE;
}

es_status es_step_pcm(es_engine *engine, const int16_t *pcm, size_t samples, int16_t *logits,
                      size_t outputs) {
    es_status status =
        pcm ? check_step(engine, ES_LAYER_LOGMEL, samples, logits, outputs) : ES_ERR_NULL;
    const es_logmel *layer;
    es_place place;
    if (status) return status;
    layer = engine->model->layer[0].params;
    place.kernels = engine->kernels;
    place.state = at(engine, engine->plan.state);
    place.scratch = at(engine, engine->plan.scratch);
    es_logmel_step(layer, place, pcm, (int8_t *)at(engine, engine->plan.vectors[0]));
    walk(engine, place.state + es_logmel_state(layer), logits);
    return ES_OK;
}

es_status es_step_byte(es_engine *engine, uint8_t value, int16_t *logits, size_t outputs) {
    es_status status = check_step(engine, ES_LAYER_BYTES, 1, logits, outputs);
    const es_bytes *layer;
    if (status) return status;
    layer = engine->model->layer[0].params;
    memcpy(at(engine, engine->plan.vectors[0]), layer->table + value * layer->dim,
           (size_t)layer->dim);
    walk(engine, at(engine, engine->plan.state), logits);
    return ES_OK;
}

es_status es_reset(es_engine *engine) {
    if (!engine) return ES_ERR_NULL;
    memset(at(engine, engine->plan.state), 0, engine->plan.state_bytes);
    return ES_OK;
}

es_status es_state_size(const es_engine *engine, size_t *bytes) {
    if (!engine || !bytes) return ES_ERR_NULL;
    *bytes = engine->plan.state_bytes;
    return ES_OK;
}

es_status es_save(const es_engine *engine, void *state, size_t bytes) {
    if (!engine || !state) return ES_ERR_NULL;
    if (bytes != engine->plan.state_bytes) return ES_ERR_SIZE;
    memcpy(state, (const uint8_t *)engine + engine->plan.state, bytes);
    return ES_OK;
}

es_status es_restore(es_engine *engine, const void *state, size_t bytes) {
    const uint8_t *part = state;
    int32_t n;
    if (!engine || !state) return ES_ERR_NULL;
    if (bytes != engine->plan.state_bytes) return ES_ERR_SIZE;
    for (n = 0; n < engine->model->layers; n++) {
        const es_layer *layer = &engine->model->layer[n];
        if (layer->kind == ES_LAYER_TRANSFORMER) {
            es_status status = es_transformer_check_state(layer->params, part);
            if (status) return status;
        }
        part += layer_state(layer);
    }
    memcpy(at(engine, engine->plan.state), state, bytes);
    return ES_OK;
}

es_status es_use_kernels(es_engine *engine, const char *name) {
    const es_kernels *kernels;
    int32_t index;
    if (!engine || !name) return ES_ERR_NULL;
    for (index = 0; (kernels = es_kernels_at(index)) != NULL; index++) {
        if (!strcmp(kernels->name, name)) {
            engine->kernels = kernels;
            return ES_OK;
        }
    }
    return ES_ERR_KERNELS;
}

const char *es_kernels_name(const es_engine *engine) {
    return engine ? engine->kernels->name : "";
}

const char *es_status_text(es_status status) {
    switch (status) {
        case ES_OK: return "done";
        case ES_ERR_NULL: return "a pointer is NULL";
        case ES_ERR_MODEL: return "the model is of another format or contradicts itself";
        case ES_ERR_ARENA: return "the arena is too small: see es_arena_size";
        case ES_ERR_ALIGN: return "the arena is not aligned to 8 bytes";
        case ES_ERR_SIZE: return "a count is not what the model takes or gives";
        case ES_ERR_INPUT: return "PCM for a byte model, or a byte for an audio model";
        case ES_ERR_STATE: return "the saved state is damaged";
        case ES_ERR_KERNELS: return "no such kernels on this processor";
    }
    return "unknown status";
}
