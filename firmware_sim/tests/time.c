/* Median and 99th percentile of the time of one step on this machine, for each kernel set that it
 * runs: "<kernels> <p50 ns> <p99 ns>" a line. POSIX. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edgeseq.h"
#include "es_kernels.h"
#include "golden.h"
#include "model_data.h"

#define WARM_UP 500
#define STEPS 20000

static uint64_t arena[(EDGESEQ_ARENA_BYTES + 7) / 8];
static int16_t logits[EDGESEQ_OUTPUT_DIM];
static long times[STEPS];

static int earlier(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static long step_ns(es_engine *engine, int n) {
    struct timespec start, end;
    const int16_t *x = edgeseq_golden_input + n % EDGESEQ_GOLDEN_STEPS * EDGESEQ_INPUT_DIM;
    es_status status;
    clock_gettime(CLOCK_MONOTONIC, &start);
    status = EDGESEQ_TAKES_BYTES
                 ? es_step_byte(engine, (uint8_t)x[0], logits, EDGESEQ_OUTPUT_DIM)
                 : es_step_pcm(engine, x, EDGESEQ_INPUT_DIM, logits, EDGESEQ_OUTPUT_DIM);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (status) exit(1);
    return (end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec;
}

int main(void) {
    const es_kernels *kernels;
    int32_t index;
    es_engine *engine;
    if (es_init(&edgeseq_model, arena, EDGESEQ_ARENA_BYTES, &engine)) return 1;
    for (index = 0; (kernels = es_kernels_at(index)) != NULL; index++) {
        int n;
        if (es_use_kernels(engine, kernels->name)) return 1;
        for (n = 0; n < WARM_UP; n++) (void)step_ns(engine, n);
        for (n = 0; n < STEPS; n++) times[n] = step_ns(engine, n);
        qsort(times, STEPS, sizeof times[0], earlier);
        printf("%s %ld %ld\n", kernels->name, times[STEPS / 2], times[STEPS * 99 / 100]);
    }
    return 0;
}
