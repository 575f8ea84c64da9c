/* Start-up of an emulated Cortex-M board with semihosting: files and stdout are the host's.
 *
 * With PORT_BARE the program brings an exit of its own and needs no console of the C library.
 * The free memory above the program is painted, so that port_stack_bytes can tell how deep the
 * stack has been. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t port_stack_top, port_data_from, port_data_start, port_data_end, port_bss_start,
    port_bss_end, end;
extern void initialise_monitor_handles(void);
extern int main(int argc, char **argv);
void _init(void);
void _fini(void);
void port_reset(void);
void port_fault(void);
uint32_t port_stack_bytes(void);

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)

/* No four equal bytes: a loop that writes those may become a call of memset, whose own frame lies
 * in what is painted. */
#define PAINT 0x5AC3E127u

void _init(void) {
}

void _fini(void) {
}

/* Deepest stack so far in bytes, from the top of the memory; too deep where the C library has
 * allocated memory. */
uint32_t port_stack_bytes(void) {
    const volatile uint32_t *at = &end;
    while (at < &port_stack_top && *at == PAINT) at++;
    return (uint32_t)((uintptr_t)&port_stack_top - (uintptr_t)at);
}

void port_reset(void) {
    const uint32_t *from = &port_data_from;
    uint32_t *to;
    volatile uint32_t *paint = &end;
    uintptr_t stack;
    for (to = &port_data_start; to < &port_data_end;) *to++ = *from++;
    for (to = &port_bss_start; to < &port_bss_end;) *to++ = 0;
    __asm volatile("mov %0, sp" : "=r"(stack));
    while ((uintptr_t)paint < stack) *paint++ = PAINT;
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    COPROCESSOR_ACCESS |= 0xFu << 20;
#endif
#ifndef PORT_BARE
    initialise_monitor_handles();
#endif
    exit(main(0, NULL));
}

/* A fault ends the run with a code of its own instead of hanging it. */
void port_fault(void) {
    exit(99);
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const handler vectors[16] = {
    (handler)&port_stack_top,
    port_reset,
    port_fault,
    port_fault,
    port_fault,
    port_fault,
    port_fault,
};
