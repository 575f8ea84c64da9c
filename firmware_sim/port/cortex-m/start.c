/* Start-up of an emulated Cortex-M board with semihosting: files and stdout are the host's. */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t port_stack_top, port_data_from, port_data_start, port_data_end, port_bss_start,
    port_bss_end;
extern void initialise_monitor_handles(void);
extern int main(int argc, char **argv);
void _init(void);
void _fini(void);
void port_reset(void);
void port_fault(void);

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)

void _init(void) {
}

void _fini(void) {
}

void port_reset(void) {
    const uint32_t *from = &port_data_from;
    uint32_t *to;
    for (to = &port_data_start; to < &port_data_end;) *to++ = *from++;
    for (to = &port_bss_start; to < &port_bss_end;) *to++ = 0;
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    COPROCESSOR_ACCESS |= 0xFu << 20;
#endif
    initialise_monitor_handles();
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
