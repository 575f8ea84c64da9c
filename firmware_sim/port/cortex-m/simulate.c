/* The program of `edgeseq simulate`: steps the model with frames of the host, and counts.
 *
 * Reads frames from the host's file "frames" and answers each in "answers" (both may be pipes):
 *     frame   int16 [1 + input_dim]      0 and the input of a step, or 1 and anything: reset
 *     answer  int16 [2 + output_dim]     ticks of the SysTick timer (low half first), logits
 * An answer of 0xFFFFFFFF ticks: more than the timer's 24 bits. Where "frames" ends, so does the
 * program, with a last answer: uint32 deepest stack in bytes, and the name of the kernels in 12
 * bytes. Exit code 1: files; 2: the engine refuses the model; 3: a step failed.
 *
 * Semihosting is called here, not through the C library, so that hardly anything but the engine
 * takes memory, and the stack that is measured is the engine's. */
#include <stdint.h>
#include <string.h>

#include "edgeseq.h"
#include "model_data.h"

#define SYS_OPEN 0x01u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT 0x20026u
#define READ_BINARY 1u
#define WRITE_BINARY 5u

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define SYSTICK_ON 5u
#define SYSTICK_PASSED_ZERO (1u << 16)
#define SYSTICK_MASK 0xFFFFFFu
#define TOO_LONG 0xFFFFFFFFu

#define STEP 0
#define NAME_BYTES 12

extern uint32_t port_stack_bytes(void);
void exit(int code);

static uint64_t arena[(EDGESEQ_ARENA_BYTES + 7) / 8];
static int16_t frame[1 + EDGESEQ_INPUT_DIM], answer[2 + EDGESEQ_OUTPUT_DIM];

static uint32_t semihost(uint32_t operation, const void *words) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = words;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noreturn)) void exit(int code) {
    const uint32_t words[2] = {APPLICATION_EXIT, (uint32_t)code};
    for (;;) semihost(SYS_EXIT_EXTENDED, words);
}

static uint32_t open_file(const char *name, uint32_t mode) {
    const uint32_t words[3] = {(uint32_t)(uintptr_t)name, mode, (uint32_t)strlen(name)};
    return semihost(SYS_OPEN, words);
}

/* Read or write all of `bytes`; 0 at the end of the file. A pipe gives them in parts. */
static int transfer(uint32_t operation, uint32_t file, void *data, uint32_t bytes) {
    uint8_t *at = data;
    while (bytes) {
        const uint32_t words[3] = {file, (uint32_t)(uintptr_t)at, bytes};
        const uint32_t left = semihost(operation, words);
        if (left >= bytes) return 0;
        at += bytes - left;
        bytes = left;
    }
    return 1;
}

static es_status step(es_engine *engine, uint32_t *ticks) {
    uint32_t start, stop;
    es_status status;
    /* Writing sets the counter to 0, and it begins anew with its next tick. */
    SYSTICK_VALUE = 0;
    while (!SYSTICK_VALUE) {
    }
    (void)SYSTICK_CONTROL; /* forgets that zero was passed */
    start = SYSTICK_VALUE;
#if EDGESEQ_TAKES_BYTES
    status = es_step_byte(engine, (uint8_t)frame[1], answer + 2, EDGESEQ_OUTPUT_DIM);
#else
    status = es_step_pcm(engine, frame + 1, EDGESEQ_INPUT_DIM, answer + 2, EDGESEQ_OUTPUT_DIM);
#endif
    stop = SYSTICK_VALUE;
    *ticks = SYSTICK_CONTROL & SYSTICK_PASSED_ZERO ? TOO_LONG : start - stop;
    return status;
}

static int report(uint32_t file, es_engine *engine) {
    char name[NAME_BYTES];
    uint32_t stack = port_stack_bytes();
    memset(name, 0, sizeof name);
    memcpy(name, es_kernels_name(engine), strlen(es_kernels_name(engine)));
    return transfer(SYS_WRITE, file, &stack, sizeof stack) &&
           transfer(SYS_WRITE, file, name, sizeof name);
}

int main(int argc, char **argv) {
    const uint32_t in = open_file("frames", READ_BINARY);
    const uint32_t out = open_file("answers", WRITE_BINARY);
    es_engine *engine;
    (void)argc;
    (void)argv;
    if (in == UINT32_MAX || out == UINT32_MAX) return 1;
    if (es_init(&edgeseq_model, arena, EDGESEQ_ARENA_BYTES, &engine)) return 2;
    SYSTICK_RELOAD = SYSTICK_MASK;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_ON;
    while (transfer(SYS_READ, in, frame, sizeof frame)) {
        uint32_t ticks = 0;
        if (frame[0] == STEP ? step(engine, &ticks) : es_reset(engine)) return 3;
        memcpy(answer, &ticks, sizeof ticks);
        if (!transfer(SYS_WRITE, out, answer, sizeof answer)) return 1;
    }
    return report(out, engine) ? 0 : 1;
}
