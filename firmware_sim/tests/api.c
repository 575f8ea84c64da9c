/* What the public functions promise, on whatever model they are built with. Prints each broken
 * promise; the exit code is their number. */
#include <stdio.h>
#include <string.h>

#include "edgeseq.h"
#include "golden.h"
#include "model_data.h"

#define WORDS ((EDGESEQ_ARENA_BYTES + 7) / 8)
#define GUARD 0xA5
#define MAX_LAYERS 64

static uint64_t first[WORDS + 1], second[WORDS + 1];
static uint8_t state[EDGESEQ_STATE_BYTES + 1], before[EDGESEQ_STATE_BYTES + 1];
static int16_t x[EDGESEQ_INPUT_DIM], y[EDGESEQ_OUTPUT_DIM], z[EDGESEQ_OUTPUT_DIM];
static es_layer layers[MAX_LAYERS];
static int broken;

static void promise(int kept, const char *what) {
    if (!kept) {
        printf("broken: %s\n", what);
        broken++;
    }
}

static es_status step(es_engine *engine, const int16_t *frame, int16_t *logits) {
    return EDGESEQ_TAKES_BYTES
               ? es_step_byte(engine, (uint8_t)frame[0], logits, EDGESEQ_OUTPUT_DIM)
               : es_step_pcm(engine, frame, EDGESEQ_INPUT_DIM, logits, EDGESEQ_OUTPUT_DIM);
}

static const int16_t *golden_frame(int n) {
    return edgeseq_golden_input + n % EDGESEQ_GOLDEN_STEPS * EDGESEQ_INPUT_DIM;
}

static void sizes(void) {
    size_t bytes = 0;
    es_engine *engine = (es_engine *)(void *)first;
    promise(es_arena_size(&edgeseq_model, &bytes) == ES_OK, "es_arena_size works");
    promise(bytes == EDGESEQ_ARENA_BYTES, "the arena is as large as model_data.h says");
    promise(es_init(&edgeseq_model, first, bytes - 1, &engine) == ES_ERR_ARENA, "one byte short");
    promise(engine == NULL, "a failed es_init gives NULL");
    promise(es_init(&edgeseq_model, (char *)first + 1, bytes, &engine) == ES_ERR_ALIGN, "align");
    memset(first, GUARD, sizeof first);
    promise(es_init(&edgeseq_model, first, bytes, &engine) == ES_OK, "exactly enough is enough");
    step(engine, golden_frame(0), y);
    promise(((uint8_t *)first)[bytes] == GUARD, "nothing is written behind the arena");
}

static void nulls(es_engine *engine) {
    size_t bytes;
    es_engine *made;
    promise(es_arena_size(NULL, &bytes) == ES_ERR_NULL, "es_arena_size(NULL model)");
    promise(es_arena_size(&edgeseq_model, NULL) == ES_ERR_NULL, "es_arena_size(NULL bytes)");
    promise(es_init(NULL, second, sizeof second, &made) == ES_ERR_NULL, "es_init(NULL model)");
    promise(es_init(&edgeseq_model, NULL, 1, &made) == ES_ERR_NULL, "es_init(NULL arena)");
    promise(es_init(&edgeseq_model, second, 1, NULL) == ES_ERR_NULL, "es_init(NULL engine)");
    promise(step(NULL, golden_frame(0), y) == ES_ERR_NULL, "step(NULL engine)");
    promise(step(engine, golden_frame(0), NULL) == ES_ERR_NULL, "step(NULL logits)");
    promise(es_step_pcm(engine, NULL, EDGESEQ_INPUT_DIM, y, EDGESEQ_OUTPUT_DIM) == ES_ERR_NULL,
            "step(NULL pcm)");
    promise(es_reset(NULL) == ES_ERR_NULL, "es_reset(NULL)");
    promise(es_state_size(NULL, &bytes) == ES_ERR_NULL, "es_state_size(NULL engine)");
    promise(es_state_size(engine, NULL) == ES_ERR_NULL, "es_state_size(NULL bytes)");
    promise(es_save(NULL, state, 0) == ES_ERR_NULL, "es_save(NULL engine)");
    promise(es_save(engine, NULL, 0) == ES_ERR_NULL, "es_save(NULL state)");
    promise(es_restore(NULL, state, 0) == ES_ERR_NULL, "es_restore(NULL engine)");
    promise(es_restore(engine, NULL, 0) == ES_ERR_NULL, "es_restore(NULL state)");
    promise(es_use_kernels(NULL, "plain") == ES_ERR_NULL, "es_use_kernels(NULL engine)");
    promise(es_use_kernels(engine, NULL) == ES_ERR_NULL, "es_use_kernels(NULL name)");
    promise(es_use_kernels(engine, "abacus") == ES_ERR_KERNELS, "unknown kernels");
    promise(!strcmp(es_kernels_name(NULL), ""), "es_kernels_name(NULL)");
}

static void counts(es_engine *engine) {
    es_save(engine, before, EDGESEQ_STATE_BYTES);
    if (EDGESEQ_TAKES_BYTES) {
        promise(es_step_byte(engine, 1, y, EDGESEQ_OUTPUT_DIM - 1) == ES_ERR_SIZE, "few outputs");
        promise(es_step_pcm(engine, x, 1, y, EDGESEQ_OUTPUT_DIM) == ES_ERR_INPUT, "pcm for bytes");
    } else {
        promise(es_step_pcm(engine, x, EDGESEQ_INPUT_DIM - 1, y, EDGESEQ_OUTPUT_DIM) == ES_ERR_SIZE,
                "few samples");
        promise(es_step_pcm(engine, x, EDGESEQ_INPUT_DIM, y, EDGESEQ_OUTPUT_DIM + 1) == ES_ERR_SIZE,
                "many outputs");
        promise(es_step_byte(engine, 1, y, EDGESEQ_OUTPUT_DIM) == ES_ERR_INPUT, "bytes for pcm");
    }
    es_save(engine, state, EDGESEQ_STATE_BYTES);
    promise(!memcmp(state, before, EDGESEQ_STATE_BYTES), "a refused step leaves the state");
    promise(es_save(engine, state, EDGESEQ_STATE_BYTES + 1) == ES_ERR_SIZE, "save size");
    promise(es_restore(engine, state, EDGESEQ_STATE_BYTES - 1) == ES_ERR_SIZE, "restore size");
}

static es_status status_of(es_model model) {
    size_t bytes;
    es_engine *engine;
    es_status status = es_arena_size(&model, &bytes);
    promise(es_init(&model, second, sizeof second, &engine) == status, "size and use agree");
    return status;
}

static void models(void) {
    es_model m = edgeseq_model;
    int32_t last = m.layers - 1;
    m.format++;
    promise(status_of(m) == ES_ERR_MODEL, "another format");
    m = edgeseq_model;
    m.input_dim++;
    promise(status_of(m) == ES_ERR_MODEL, "another input size");
    m = edgeseq_model;
    m.output_dim--;
    promise(status_of(m) == ES_ERR_MODEL, "another output size");
    m = edgeseq_model;
    m.layer = NULL;
    promise(status_of(m) == ES_ERR_MODEL, "no layers");
    m = edgeseq_model;
    m.layers--;
    promise(status_of(m) == ES_ERR_MODEL, "no head");
    m = edgeseq_model;
    m.layers = 0;
    promise(status_of(m) == ES_ERR_MODEL, "zero layers");
    memcpy(layers, edgeseq_model.layer, (size_t)edgeseq_model.layers * sizeof layers[0]);
    m = edgeseq_model;
    m.layer = layers;
    promise(status_of(m) == ES_OK, "a copy of the layers");
    layers[1].kind = 99;
    promise(status_of(m) == ES_ERR_MODEL, "an unknown layer");
    layers[1] = edgeseq_model.layer[1];
    layers[1].params = NULL;
    promise(status_of(m) == ES_ERR_MODEL, "a layer without numbers");
    layers[1] = edgeseq_model.layer[0];
    promise(status_of(m) == ES_ERR_MODEL, "a frontend in the middle");
    layers[1] = edgeseq_model.layer[1];
    {
        es_dense head = *(const es_dense *)edgeseq_model.layer[last].params;
        layers[last].params = &head;
        head.stride = head.cols - 1;
        promise(status_of(m) == ES_ERR_MODEL, "a stride below the columns");
        head = *(const es_dense *)edgeseq_model.layer[last].params;
        head.shift = 63;
        promise(status_of(m) == ES_ERR_MODEL, "a shift out of range");
        head = *(const es_dense *)edgeseq_model.layer[last].params;
        head.weight = NULL;
        promise(status_of(m) == ES_ERR_MODEL, "a product without weights");
        head = *(const es_dense *)edgeseq_model.layer[last].params;
        head.cols += 8;
        head.stride += 8;
        promise(status_of(m) == ES_ERR_MODEL, "a width that the layer before does not give");
    }
}

static void streams(es_engine *a) {
    es_engine *b;
    int n;
    es_reset(a);
    promise(es_init(&edgeseq_model, second, sizeof second, &b) == ES_OK, "a second engine");
    for (n = 0; n < EDGESEQ_GOLDEN_STEPS; n++) {
        promise(step(a, golden_frame(n), y) == ES_OK, "a step works");
        promise(!memcmp(y, edgeseq_golden_logits + n * EDGESEQ_OUTPUT_DIM, sizeof y), "the golden");
    }
    promise(es_save(a, state, EDGESEQ_STATE_BYTES) == ES_OK, "save");
    step(b, golden_frame(1), z); /* another stream between */
    step(a, golden_frame(2), y);
    promise(es_restore(b, state, EDGESEQ_STATE_BYTES) == ES_OK, "restore");
    step(b, golden_frame(2), z);
    promise(!memcmp(y, z, sizeof y), "a restored stream goes on as the saved one");
    es_save(a, state, EDGESEQ_STATE_BYTES);
    es_save(b, before, EDGESEQ_STATE_BYTES);
    promise(!memcmp(state, before, EDGESEQ_STATE_BYTES), "and has the same state");
    promise(es_reset(b) == ES_OK, "reset");
    step(b, golden_frame(0), z);
    promise(!memcmp(z, edgeseq_golden_logits, sizeof z), "reset equals fresh");
}

/* A ring position behind the ring must be refused, not followed. */
static void damage(es_engine *engine) {
    size_t offset = 0;
    int32_t wrong = 1 << 20;
    const es_layer *layer = edgeseq_model.layer;
    if (layer[1].kind != ES_LAYER_TRANSFORMER) return;
    if (layer[0].kind == ES_LAYER_LOGMEL) {
        const es_logmel *logmel = layer[0].params;
        offset = (size_t)((logmel->window - logmel->hop) * 2 + 7) / 8 * 8;
    }
    es_save(engine, before, EDGESEQ_STATE_BYTES);
    for (; wrong >= -1; wrong -= (1 << 20) + 1) {
        int part;
        for (part = 0; part < 2; part++) {
            memcpy(state, before, EDGESEQ_STATE_BYTES);
            memcpy(state + offset + 8 * part, &wrong, sizeof wrong);
            promise(es_restore(engine, state, EDGESEQ_STATE_BYTES) == ES_ERR_STATE, "bad ring");
        }
    }
    es_save(engine, state, EDGESEQ_STATE_BYTES);
    promise(!memcmp(state, before, EDGESEQ_STATE_BYTES), "a refused state changes nothing");
}

int main(void) {
    es_engine *engine;
    sizes();
    if (es_init(&edgeseq_model, first, EDGESEQ_ARENA_BYTES, &engine)) return 100;
    nulls(engine);
    counts(engine);
    models();
    streams(engine);
    damage(engine);
    promise(strcmp(es_status_text(ES_ERR_ARENA), es_status_text(ES_OK)) != 0, "status texts");
    printf("%d broken\n", broken);
    return broken;
}
