/* edgeseq: a streaming sequence model as an integer program in a fixed arena.
 *
 * The caller owns all memory. Nothing here allocates, recurses, uses floating point or writes to a
 * global; weights are const and may lie in flash. Two engines in two arenas never disturb each
 * other. Every result equals the numpy definition (edgeseq_export.integer) bit for bit, whatever
 * kernels run.
 *
 *     size_t bytes;
 *     es_engine *engine;
 *     static uint64_t arena[EDGESEQ_ARENA_BYTES / 8];        // from model_data.h
 *     es_init(&edgeseq_model, arena, sizeof arena, &engine);
 *     while (microphone(pcm)) {
 *         es_step_pcm(engine, pcm, EDGESEQ_INPUT_DIM, logits, EDGESEQ_OUTPUT_DIM);
 *     }
 *
 * Needs two's complement and an arithmetic shift right of negative numbers, which the build checks.
 */
#ifndef EDGESEQ_H
#define EDGESEQ_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number of the struct layout below; es_init refuses a model of another. */
#define ES_MODEL_FORMAT 1

/* An arena starts at a multiple of this, and so does every tensor of a saved state. */
#define ES_ALIGN 8

typedef enum {
    ES_OK = 0,
    ES_ERR_NULL = -1,   /* a pointer is NULL */
    ES_ERR_MODEL = -2,  /* the model is of another format, or its sizes contradict each other */
    ES_ERR_ARENA = -3,  /* the arena is smaller than es_arena_size says */
    ES_ERR_ALIGN = -4,  /* the arena does not start at a multiple of ES_ALIGN */
    ES_ERR_SIZE = -5,   /* a count is not what the model takes or gives */
    ES_ERR_INPUT = -6,  /* PCM given to a byte model, or a byte to an audio model */
    ES_ERR_STATE = -7,  /* a saved state holds positions outside its ring */
    ES_ERR_KERNELS = -8 /* no kernels of this name here, or the processor cannot run them */
} es_status;

/* ---- The model: const data that `edgeseq export --target firmware` writes ---- */

/* y = saturate((weight x + bias) * multiplier / 2^shift), rounded half up.
 * weight int8 [rows][stride], columns from `cols` on are zero; stride is `cols` filled up to a
 * multiple of 8. */
typedef struct {
    int32_t rows, cols, stride, shift;
    const int8_t *weight;
    const int32_t *bias;       /* [rows] */
    const int32_t *multiplier; /* [rows] */
    const int32_t *row_sums;   /* [rows], of the weights, or NULL: what a computer adds up on load */
} es_dense;

/* Log-mel frontend: int16 PCM [hop] to int8 [mels]. */
typedef struct {
    int32_t window, hop, mels, bins, shift;
    int64_t floor;             /* added to each band's power */
    const int16_t *hann;       /* [window], Q15 */
    const int32_t *twiddles;   /* [window/2][2], Q30 cos and -sin of 2 pi k / window */
    const uint16_t *first;     /* [mels], first bin of each band */
    const uint16_t *count;     /* [mels], bins of each band */
    const uint16_t *filters;   /* the bands' weights one after the other, Q15 */
    const int32_t *center;     /* [mels], log2 in Q15 */
    const int32_t *multiplier; /* [mels] */
} es_logmel;

/* int8 vectors of the 256 byte values, [256][dim]. */
typedef struct {
    int32_t dim;
    const int8_t *table;
} es_bytes;

/* Rows of both products: reset, update, candidate; results in Q11. */
typedef struct {
    int32_t hidden;
    es_dense from_x, from_h;
} es_gru;

/* Rows of both products: input, forget, candidate, output; the cell has cell_bits after the point.
 */
typedef struct {
    int32_t hidden, cell_bits;
    es_dense from_x, from_h;
} es_lstm;

/* LayerNorm, int16 [dim] to int8 [dim]. */
typedef struct {
    int32_t dim, shift;
    int64_t eps;
    const int16_t *gain; /* [dim] */
    const int32_t *bias; /* [dim] */
} es_norm;

/* Causal depthwise convolution, int8 to int8; width 0: none. weight [width][dim], newest last. */
typedef struct {
    int32_t width, dim, shift;
    const int8_t *weight;
    const int32_t *bias;       /* [dim] */
    const int32_t *multiplier; /* [dim] */
} es_conv;

/* One block. Rows of qkv: [3][heads][head_dim]. */
typedef struct {
    es_norm norm_attention;
    es_conv conv;
    es_dense qkv;
    int32_t score_shift, mix_shift;
    const int32_t *score_multiplier; /* [heads] */
    const int32_t *mix_multiplier;   /* [heads] */
    const int16_t *distance_bias;    /* [heads][window+1], log2 in Q8, by distance */
    es_dense out;
    es_norm norm_feed;
    es_dense feed_in, feed_out;
} es_block;

/* Causal Transformer with a ring of window+1 keys and values; head_dim is a multiple of 8. */
typedef struct {
    int32_t dim, heads, head_dim, window, feed_forward, blocks;
    es_dense enter;
    const es_block *block; /* [blocks] */
    es_norm norm;
} es_transformer;

typedef enum {
    ES_LAYER_LOGMEL = 1,
    ES_LAYER_BYTES = 2,
    ES_LAYER_GRU = 3,
    ES_LAYER_LSTM = 4,
    ES_LAYER_TRANSFORMER = 5,
    ES_LAYER_HEAD = 6
} es_layer_kind;

typedef struct {
    int32_t kind;       /* es_layer_kind */
    const void *params; /* the struct of that kind; es_dense for the head */
} es_layer;

typedef struct {
    int32_t format;          /* ES_MODEL_FORMAT */
    int32_t input_dim;       /* PCM samples of one step, or 1 byte */
    int32_t output_dim;      /* logits of one step */
    int32_t output_fraction; /* logit = value / 2^output_fraction */
    int32_t layers;
    const es_layer *layer; /* [layers]: frontend, encoder, head */
} es_model;

/* ---- The engine ---- */

typedef struct es_engine es_engine;

/* Bytes of arena that `model` needs. Errors: NULL, MODEL. */
es_status es_arena_size(const es_model *model, size_t *bytes);

/* Make an engine inside `arena`, which must outlive it; the state is that at the start of a stream
 * and the fastest kernels for this processor are chosen.
 * Errors: NULL, MODEL, ARENA, ALIGN; *engine is then NULL. */
es_status es_init(const es_model *model, void *arena, size_t bytes, es_engine **engine);

/* One step of an audio model: `samples` must be input_dim, `outputs` output_dim.
 * Errors: NULL, SIZE, INPUT; the state is then unchanged. */
es_status es_step_pcm(es_engine *engine, const int16_t *pcm, size_t samples, int16_t *logits,
                      size_t outputs);

/* One step of a byte model. Errors: NULL, SIZE, INPUT; the state is then unchanged. */
es_status es_step_byte(es_engine *engine, uint8_t value, int16_t *logits, size_t outputs);

/* Forget the stream. Errors: NULL. */
es_status es_reset(es_engine *engine);

/* Bytes of a saved state: the tensors in the model's order, each filled up to ES_ALIGN.
 * Errors: NULL. */
es_status es_state_size(const es_engine *engine, size_t *bytes);

/* Copy the state out, or in. Errors: NULL, SIZE, STATE (the state is then unchanged). */
es_status es_save(const es_engine *engine, void *state, size_t bytes);
es_status es_restore(es_engine *engine, const void *state, size_t bytes);

/* Run these kernels from now on; results do not change. Errors: NULL, KERNELS.
 * Names: plain, sse4, avx2, vnni, neon, dotprod, dsp, mve. */
es_status es_use_kernels(es_engine *engine, const char *name);

/* Name of the kernels in use; "" for NULL. */
const char *es_kernels_name(const es_engine *engine);

/* What a status means, in a few words. */
const char *es_status_text(es_status status);

#ifdef __cplusplus
}
#endif

#endif
