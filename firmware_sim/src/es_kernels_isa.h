/* The forms for instruction sets; which of them exist depends on the target. */
#ifndef ES_KERNELS_ISA_H
#define ES_KERNELS_ISA_H

#include <stddef.h>

#include "es_kernels.h"

extern const es_kernels es_kernels_sse4, es_kernels_avx2, es_kernels_vnni;
extern const es_kernels es_kernels_neon, es_kernels_dotprod;
extern const es_kernels es_kernels_dsp, es_kernels_mve;

/* The plain forms; others call them for what does not fill a vector. */
void es_plain_dot(const int8_t *weight, const int32_t *row_sums, int32_t stride, const int8_t *x,
                  int32_t rows, int32_t *sums);
void es_plain_requantize(const int32_t *sums, const int32_t *bias, const int32_t *multiplier,
                         int32_t shift, int32_t count, int16_t *y);
void es_plain_mix(const int16_t *weights, const int8_t *values, int32_t head_dim, int32_t rows,
                  int32_t *sums);
int32_t es_plain_moments(const int16_t *x, int32_t count, uint64_t *squares);
void es_plain_norm(const int16_t *x, int32_t count, es_center center, const int16_t *gain,
                   const int32_t *bias, int32_t shift, int8_t *y);
int32_t es_plain_score(int32_t *scores, int32_t count, int32_t multiplier, int32_t shift,
                       const int16_t *bias);
int32_t es_plain_powers(const int32_t *scores, int32_t count, int32_t largest, int16_t *weights);
void es_plain_narrow(const int32_t *sums, int32_t multiplier, int32_t shift, int32_t count,
                     int8_t *y);
void es_plain_gru(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int16_t *h);
void es_plain_lstm(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                   int16_t *h, int16_t *cell);

/* The forms of AVX2 that AVX-512 uses as they are. */
int32_t es_avx2_moments(const int16_t *x, int32_t count, uint64_t *squares);

/* Unit `i` of es_plain_lstm. */
void es_lstm_unit(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t cell_bits,
                  int32_t i, int16_t *h, int16_t *cell);

/* Unit `i` of es_plain_gru: what is left when a vector does not fit. */
void es_gru_unit(const int16_t *from_x, const int16_t *from_h, int32_t hidden, int32_t i,
                 int16_t *h);

#endif
