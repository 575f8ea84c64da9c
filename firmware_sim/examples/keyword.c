/* The smallest program that streams PCM through the engine: prints each label as it takes the lead.
 *
 * On a board, replace read_pcm by the microphone's driver. Here samples (int16, mono, at
 * EDGESEQ_SAMPLE_RATE) come from the file input.bin; on an emulated board that is the host's file.
 */
#include <stdio.h>
#include <string.h>

#include "edgeseq.h"
#include "golden.h"
#include "model_data.h"

static const char *const labels[] = EDGESEQ_LABELS;
static uint64_t arena[(EDGESEQ_ARENA_BYTES + 7) / 8];
static int16_t pcm[EDGESEQ_INPUT_DIM], logits[EDGESEQ_OUTPUT_DIM];

static int read_pcm(FILE *source) {
    return fread(pcm, sizeof pcm, 1, source) == 1;
}

/* Does this build compute what the exporter computed? */
static int proven(es_engine *engine) {
    int n;
    for (n = 0; n < EDGESEQ_GOLDEN_STEPS; n++) {
        if (es_step_pcm(engine, edgeseq_golden_input + n * EDGESEQ_INPUT_DIM, EDGESEQ_INPUT_DIM,
                        logits, EDGESEQ_OUTPUT_DIM) != ES_OK) {
            return 0;
        }
        if (memcmp(logits, edgeseq_golden_logits + n * EDGESEQ_OUTPUT_DIM, sizeof logits)) return 0;
    }
    return es_reset(engine) == ES_OK;
}

static int best(void) {
    int n, found = 0;
    for (n = 1; n < EDGESEQ_OUTPUT_DIM; n++) {
        if (logits[n] > logits[found]) found = n;
    }
    return found;
}

int main(void) {
    FILE *source = fopen("input.bin", "rb");
    es_engine *engine;
    long frame = 0;
    int before = -1;
    es_status status = es_init(&edgeseq_model, arena, EDGESEQ_ARENA_BYTES, &engine);
    if (status != ES_OK || !source || !proven(engine)) {
        printf("cannot start: %s\n", es_status_text(status));
        return 1;
    }
    for (; read_pcm(source); frame++) {
        int now;
        es_step_pcm(engine, pcm, EDGESEQ_INPUT_DIM, logits, EDGESEQ_OUTPUT_DIM);
        now = best();
        if (now != before) {
            printf("%ld ms %s\n", frame * EDGESEQ_INPUT_DIM * 1000L / EDGESEQ_SAMPLE_RATE,
                   labels[now]);
        }
        before = now;
    }
    fclose(source);
    return 0;
}
