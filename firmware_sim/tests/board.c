/* What `edgeseq simulate` relies on, on an emulated board started with -icount: prints the deepest
 * stack in bytes before and after a function with LOCAL_BYTES of variables has run, and the ticks of
 * the SysTick timer for LOOPS turns of a loop of two instructions. */
#include <stdint.h>
#include <stdio.h>

#ifndef LOCAL_BYTES
#define LOCAL_BYTES 5000
#endif
#ifndef LOOPS
#define LOOPS 100000
#endif
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)

extern uint32_t port_stack_bytes(void);

static __attribute__((noinline)) int deep(void) {
    volatile uint8_t local[LOCAL_BYTES];
    unsigned i;
    for (i = 0; i < LOCAL_BYTES; i++) local[i] = (uint8_t)i;
    return local[LOCAL_BYTES / 2];
}

static uint32_t timed(void) {
    uint32_t start, left = LOOPS;
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5u;
    while (!SYSTICK_VALUE) {
    }
    start = SYSTICK_VALUE;
    __asm volatile("1: subs %0, %0, #1\n\tbne 1b" : "+r"(left) : : "cc");
    return start - SYSTICK_VALUE;
}

int main(void) {
    const uint32_t ticks = timed(), before = port_stack_bytes();
    const int value = deep();
    const uint32_t after = port_stack_bytes();
    printf("%lu %lu %lu %d\n", (unsigned long)before, (unsigned long)after, (unsigned long)ticks,
           value);
    return 0;
}
