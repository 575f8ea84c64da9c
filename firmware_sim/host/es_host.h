/* edgeseq on a computer: the model from a file's section, and steps with numbers as programs there
 * hold them. Nothing here allocates; the caller owns all memory.
 *
 * A section is what `edgeseq export --target native` writes into a .esq file:
 *
 *     word 0      ES_SECTION_MAGIC, which also tells the byte order
 *     word 1      number of words, these two among them
 *     words       ES_MODEL_FORMAT, input_dim, output_dim, output_fraction, number of layers; then
 *                 each layer: its kind and the whole numbers of its struct in edgeseq.h, in order
 *                 (int64: low word first); a convolution of width 0 has no other number
 *     arrays      those of the structs, in order, each at a multiple of ES_SECTION_ALIGN
 *
 * The lengths of the arrays follow from the numbers, and the section ends where the last one does.
 * A section may come from a stranger: every size is checked before it is used.
 */
#ifndef ES_HOST_H
#define ES_HOST_H

#include "edgeseq.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ES_SECTION_MAGIC 0x31707365 /* "esp1" */
#define ES_SECTION_ALIGN 64

/* Bytes of room for the structs of the model in `section`.
 * Errors: NULL, MODEL (also a section that is too short or too long), ALIGN. */
es_status es_load_size(const void *section, size_t bytes, size_t *room);

/* Make the structs in `room`, which must start at a multiple of ES_ALIGN; they point into `section`.
 * Both must outlive the model. Errors: those of es_load_size, ARENA when the room is too small. */
es_status es_load(const void *section, size_t bytes, void *room, size_t room_bytes,
                  const es_model **model);

/* One stream: an engine in its arena, and buffers for the numbers going in and out. */
typedef struct es_stepper es_stepper;

/* Bytes of memory for a stepper that takes `frames` frames at a time. Errors: NULL, MODEL, SIZE. */
es_status es_stepper_size(const es_model *model, int32_t frames, size_t *bytes);

/* Make a stepper in `memory`, which starts at a multiple of ES_SECTION_ALIGN and outlives it.
 * Errors: NULL, MODEL, SIZE, ARENA, ALIGN. */
es_status es_stepper_init(const es_model *model, int32_t frames, void *memory, size_t bytes,
                          es_stepper **stepper);

/* A buffer for an input, which nothing else uses. */
void *es_stepper_x(es_stepper *stepper);

/* What an input is: `frames` times `width` elements of `element` bytes. */
typedef struct {
    int32_t frames, width, takes_bytes;
    size_t element;
} es_input;

es_input es_stepper_input(const es_stepper *stepper);

/* Where the logits of a step are written: float [frames][output_dim]. */
float *es_stepper_y(es_stepper *stepper);

/* The engine, for its state. */
es_engine *es_stepper_engine(es_stepper *stepper);

/* One step on `x`: float [frames][input_dim] in [-1, 1], beyond which it is clipped (NaN counts as
 * 0), or int64 byte values [frames].
 * Errors: INPUT when a byte value is not in 0..255; the state is then unchanged. */
es_status es_stepper_step(es_stepper *stepper, const void *x);

/* What the sources of this build were: the digest that the build gave. */
const char *es_build(void);

/* Name of the kernels that a new engine uses here. */
const char *es_best_kernels(void);

#ifdef __cplusplus
}
#endif

#endif
