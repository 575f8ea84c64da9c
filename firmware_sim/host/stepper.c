/* Steps with floats and byte values: the engine's integers stay inside. */
#include <float.h>
#include <string.h>

#include "es_host.h"
#include "es_kernels.h"

/* Rounding below adds and takes away a number, which must not happen in a wider format. */
typedef char es_needs_plain_floats[FLT_EVAL_METHOD == 0 ? 1 : -1];

#ifndef ES_BUILD
#define ES_BUILD ""
#endif

struct es_stepper {
    es_engine *engine;
    void *x;
    float *y;
    int16_t *pcm, *logits;
    float scale;
    int32_t frames, input_dim, output_dim, takes_bytes;
};

typedef struct {
    size_t arena, x, y, pcm, logits, bytes, arena_bytes;
} plan;

static size_t take(size_t *at, size_t bytes) {
    size_t offset = *at;
    *at = (offset + bytes + (ES_SECTION_ALIGN - 1)) & ~(size_t)(ES_SECTION_ALIGN - 1);
    return offset;
}

/* Where everything lies; the same plan gives the size and the use. */
static es_status make_plan(const es_model *model, int32_t frames, plan *p) {
    size_t at = 0, inputs, outputs, element;
    es_status status;
    if (!model) return ES_ERR_NULL;
    if (frames < 1 || frames > 32768) return ES_ERR_SIZE;
    status = es_arena_size(model, &p->arena_bytes);
    if (status) return status;
    element = model->layer[0].kind == ES_LAYER_BYTES ? sizeof(int64_t) : sizeof(float);
    inputs = (size_t)frames * (size_t)model->input_dim;
    outputs = (size_t)frames * (size_t)model->output_dim;
    (void)take(&at, sizeof(struct es_stepper));
    p->arena = take(&at, p->arena_bytes);
    p->x = take(&at, inputs * element);
    p->y = take(&at, outputs * sizeof(float));
    p->pcm = take(&at, (size_t)model->input_dim * sizeof(int16_t));
    p->logits = take(&at, (size_t)model->output_dim * sizeof(int16_t));
    p->bytes = at;
    return ES_OK;
}

es_status es_stepper_size(const es_model *model, int32_t frames, size_t *bytes) {
    plan p;
    es_status status = bytes ? make_plan(model, frames, &p) : ES_ERR_NULL;
    if (!status) *bytes = p.bytes;
    return status;
}

es_status es_stepper_init(const es_model *model, int32_t frames, void *memory, size_t bytes,
                          es_stepper **stepper) {
    plan p;
    es_stepper *s = memory;
    uint8_t *at = memory;
    es_status status;
    if (!stepper) return ES_ERR_NULL;
    *stepper = NULL;
    if (!memory) return ES_ERR_NULL;
    status = make_plan(model, frames, &p);
    if (status) return status;
    if ((uintptr_t)memory % ES_SECTION_ALIGN) return ES_ERR_ALIGN;
    if (bytes < p.bytes) return ES_ERR_ARENA;
    memset(memory, 0, p.bytes);
    status = es_init(model, at + p.arena, p.arena_bytes, &s->engine);
    if (status) return status;
    s->x = at + p.x;
    s->y = (float *)(void *)(at + p.y);
    s->pcm = (int16_t *)(void *)(at + p.pcm);
    s->logits = (int16_t *)(void *)(at + p.logits);
    s->scale = 1.0f / (float)((int32_t)1 << model->output_fraction);
    s->frames = frames;
    s->input_dim = model->input_dim;
    s->output_dim = model->output_dim;
    s->takes_bytes = model->layer[0].kind == ES_LAYER_BYTES;
    *stepper = s;
    return ES_OK;
}

void *es_stepper_x(es_stepper *stepper) {
    return stepper->x;
}

float *es_stepper_y(es_stepper *stepper) {
    return stepper->y;
}

es_input es_stepper_input(const es_stepper *stepper) {
    es_input input;
    input.frames = stepper->frames;
    input.width = stepper->input_dim;
    input.takes_bytes = stepper->takes_bytes;
    input.element = stepper->takes_bytes ? sizeof(int64_t) : sizeof(float);
    return input;
}

es_engine *es_stepper_engine(es_stepper *stepper) {
    return stepper->engine;
}

/* Floats in [-1, 1] to int16, rounded half to even, clipped; NaN is 0. */
static void narrow(const float *x, int32_t count, int16_t *pcm) {
    /* Adding 1.5 * 2^23 leaves no bit for a fraction, and vectors can do it everywhere. */
    const float push = 12582912.0f;
    int32_t i;
    for (i = 0; i < count; i++) {
        float v = x[i] * 32768.0f;
        v = v == v ? v : 0.0f;
        v = v < 32767.0f ? v : 32767.0f;
        v = v > -32768.0f ? v : -32768.0f;
        pcm[i] = (int16_t)((v + push) - push);
    }
}

static es_status check_bytes(const int64_t *values, int32_t count) {
    int32_t i;
    for (i = 0; i < count; i++) {
        if (values[i] < 0 || values[i] > 255) return ES_ERR_INPUT;
    }
    return ES_OK;
}

es_status es_stepper_step(es_stepper *s, const void *x) {
    size_t inputs = (size_t)s->input_dim, outputs = (size_t)s->output_dim;
    float *y = s->y;
    int32_t t, i;
    if (s->takes_bytes && check_bytes(x, s->frames)) return ES_ERR_INPUT;
    for (t = 0; t < s->frames; t++, y += outputs) {
        es_status status;
        if (s->takes_bytes) {
            const int64_t *value = (const int64_t *)x + t;
            status = es_step_byte(s->engine, (uint8_t)*value, s->logits, outputs);
        } else {
            narrow((const float *)x + (size_t)t * inputs, s->input_dim, s->pcm);
            status = es_step_pcm(s->engine, s->pcm, inputs, s->logits, outputs);
        }
        if (status) return status;
        for (i = 0; i < s->output_dim; i++) y[i] = (float)s->logits[i] * s->scale;
    }
    return ES_OK;
}

const char *es_build(void) {
    return ES_BUILD;
}

const char *es_best_kernels(void) {
    return es_kernels_at(0)->name;
}
