/* Ticks of the board's SysTick timer for one int8 product and for one step of the model, on an
 * emulated Cortex-M started with -icount, where time is counted in instructions. Prints
 * "<kernels> <ticks of the product> <ticks of the step>". With COUNT_STEPS the longest of so many
 * steps counts: a Transformer's first ones find an empty cache. */
#include <stdio.h>

#include "edgeseq.h"
#include "es_kernels.h"
#include "golden.h"
#include "model_data.h"

#ifndef COUNT_STEPS
#define COUNT_STEPS 1
#endif
#define ROWS 384
#define COLUMNS 128
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_ON 5u
#define SYSTICK_MASK 0xFFFFFFu

#if EDGESEQ_TAKES_BYTES
#define ONE_STEP(x) es_step_byte(engine, (uint8_t)*(x), logits, EDGESEQ_OUTPUT_DIM)
#else
#define ONE_STEP(x) es_step_pcm(engine, (x), EDGESEQ_INPUT_DIM, logits, EDGESEQ_OUTPUT_DIM)
#endif

static uint64_t arena[(EDGESEQ_ARENA_BYTES + 7) / 8];
static int8_t weight[ROWS * COLUMNS], x[COLUMNS];
static int32_t sums[ROWS];
static int16_t logits[EDGESEQ_OUTPUT_DIM];

static uint32_t now(void) {
    return SYSTICK_VALUE;
}

int main(void) {
    es_engine *engine;
    uint32_t start, product, step, taken;
    int n;
    if (es_init(&edgeseq_model, arena, EDGESEQ_ARENA_BYTES, &engine)) return 1;
    SYSTICK_RELOAD = SYSTICK_MASK;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_ON;
    start = now();
    es_kernels_at(0)->dot(weight, NULL, COLUMNS, x, ROWS, sums);
    product = (start - now()) & SYSTICK_MASK;
    step = 0;
    for (n = 0; n < COUNT_STEPS; n++) {
        start = now();
        if (ONE_STEP(edgeseq_golden_input + (n % EDGESEQ_GOLDEN_STEPS) * EDGESEQ_INPUT_DIM)) {
            return 1;
        }
        taken = (start - now()) & SYSTICK_MASK;
        if (taken > step) step = taken;
    }
    printf("%s %lu %lu\n", es_kernels_name(engine), (unsigned long)product, (unsigned long)step);
    return 0;
}
