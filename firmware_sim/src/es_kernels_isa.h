/* The forms for instruction sets; which of them exist depends on the target. */
#ifndef ES_KERNELS_ISA_H
#define ES_KERNELS_ISA_H

#include "es_kernels.h"

extern const es_kernels es_kernels_sse4, es_kernels_avx2, es_kernels_vnni;
extern const es_kernels es_kernels_neon, es_kernels_dotprod;
extern const es_kernels es_kernels_dsp, es_kernels_mve;

/* Unit `i` of es_plain_lstm. */
void es_lstm_unit(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                  int32_t i, int16_t *h, int16_t *cell);

/* Unit `i` of es_plain_gru: what is left when a vector does not fit. */
void es_gru_unit(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t i,
                 int16_t *h);

#endif
