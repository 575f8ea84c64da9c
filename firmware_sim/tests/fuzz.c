/* Random states and inputs: whatever es_restore accepts, steps stay within their number ranges (the
 * sanitizers watch) and every kernel set gives the same.
 *
 *     fuzz [ROUNDS [SEED]]        prints how many states were accepted; exit code 1 on a difference
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgeseq.h"
#include "es_kernels.h"
#include "model_data.h"

#define STEPS 6

static uint64_t arena[(EDGESEQ_ARENA_BYTES + 7) / 8];
static uint8_t start[EDGESEQ_STATE_BYTES + 1], first[EDGESEQ_STATE_BYTES + 1],
    other[EDGESEQ_STATE_BYTES + 1];
static int16_t x[STEPS][EDGESEQ_INPUT_DIM], y[2][STEPS][EDGESEQ_OUTPUT_DIM];
static uint32_t seed;

static uint32_t draw(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* Bytes of one round: all of them random, or runs of the extremes. */
static void fill(void *to, size_t bytes, uint32_t kind) {
    static const uint8_t ends[] = {0x00, 0x7F, 0x80, 0xFF};
    uint8_t *p = to;
    size_t i;
    for (i = 0; i < bytes; i++) {
        p[i] = kind == 0 ? (uint8_t)draw() : ends[kind == 1 ? draw() & 3 : (i / 2 + kind) & 3];
    }
}

/* Positions of the ring in a state: random bytes would be refused nearly always. */
static void ring(uint8_t *state) {
    const es_layer *layer = edgeseq_model.layer;
    size_t offset = 0;
    int32_t filled, next;
    if (layer[1].kind != ES_LAYER_TRANSFORMER) return;
    if (layer[0].kind == ES_LAYER_LOGMEL) {
        const es_logmel *logmel = layer[0].params;
        offset = (size_t)((logmel->window - logmel->hop) * 2 + 7) / 8 * 8;
    }
    filled = next =
        (int32_t)(draw() % (uint32_t)(((const es_transformer *)layer[1].params)->window + 2)) - 1;
    memcpy(state + offset, &filled, sizeof filled);
    memcpy(state + offset + ES_ALIGN, &next, sizeof next);
}

static void run(es_engine *engine, int16_t (*logits)[EDGESEQ_OUTPUT_DIM], uint8_t *state) {
    int n;
    es_status status = es_restore(engine, start, EDGESEQ_STATE_BYTES);
    for (n = 0; n < STEPS && !status; n++) {
        status = EDGESEQ_TAKES_BYTES
                     ? es_step_byte(engine, (uint8_t)x[n][0], logits[n], EDGESEQ_OUTPUT_DIM)
                     : es_step_pcm(engine, x[n], EDGESEQ_INPUT_DIM, logits[n], EDGESEQ_OUTPUT_DIM);
    }
    if (status || es_save(engine, state, EDGESEQ_STATE_BYTES)) exit(2);
}

int main(int argc, char **argv) {
    long rounds = argc > 1 ? atol(argv[1]) : 200, round, accepted = 0;
    es_engine *engine;
    seed = argc > 2 ? (uint32_t)atol(argv[2]) : 1;
    if (es_init(&edgeseq_model, arena, EDGESEQ_ARENA_BYTES, &engine)) return 2;
    for (round = 0; round < rounds; round++) {
        const es_kernels *kernels;
        int32_t index;
        fill(start, EDGESEQ_STATE_BYTES, draw() % 4);
        fill(x, sizeof x, draw() % 4);
        ring(start);
        if (es_restore(engine, start, EDGESEQ_STATE_BYTES)) continue;
        accepted++;
        for (index = 0; (kernels = es_kernels_at(index)) != NULL; index++) {
            if (es_use_kernels(engine, kernels->name)) return 2;
            run(engine, y[index > 0], index ? other : first);
            if (index &&
                (memcmp(y[0], y[1], sizeof y[0]) || memcmp(first, other, EDGESEQ_STATE_BYTES))) {
                printf("round %ld: %s differs\n", round, kernels->name);
                return 1;
            }
        }
    }
    printf("%ld\n", accepted);
    return 0;
}
