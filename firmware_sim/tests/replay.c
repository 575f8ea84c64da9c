/* Runs the exported model over recorded input and writes what it gives, for comparison with numpy.
 *
 *     replay INPUT OUTPUT [KERNELS]        (input.bin output.bin when no names are given)
 *
 * INPUT: int16 frames [steps][input_dim], byte values as int16 too. OUTPUT per step: int16 logits
 * [output_dim] and the Adler-32 of the state; then the state. The machine's byte order, which is
 * little-endian everywhere this runs. stdout: kernels and steps. Exit code 1 after any error. */
#include <stdio.h>
#include <string.h>

#include "edgeseq.h"
#include "model_data.h"

#define ADLER 65521u

static uint64_t arena[(EDGESEQ_ARENA_BYTES + 7) / 8];
static uint8_t state[EDGESEQ_STATE_BYTES + ES_ALIGN];

static uint32_t adler32(const uint8_t *data, size_t bytes) {
    uint32_t a = 1, b = 0;
    size_t i;
    for (i = 0; i < bytes; i++) {
        a = (a + data[i]) % ADLER;
        b = (b + a) % ADLER;
    }
    return b << 16 | a;
}

static int fail(const char *what, es_status status) {
    printf("replay: %s: %s\n", what, es_status_text(status));
    return 1;
}

int main(int argc, char **argv) {
    FILE *in = fopen(argc > 1 ? argv[1] : "input.bin", "rb");
    FILE *out = fopen(argc > 2 ? argv[2] : "output.bin", "wb");
    int16_t x[EDGESEQ_INPUT_DIM], y[EDGESEQ_OUTPUT_DIM];
    size_t bytes = 0;
    es_engine *engine;
    es_status status = es_init(&edgeseq_model, arena, EDGESEQ_ARENA_BYTES, &engine);
    long steps = 0;
    if (!in || !out) return fail("files cannot be opened", ES_OK);
    if (status) return fail("es_init", status);
    if (argc > 3 && (status = es_use_kernels(engine, argv[3])) != ES_OK) {
        return fail(argv[3], status);
    }
    if ((status = es_state_size(engine, &bytes)) != ES_OK || bytes != EDGESEQ_STATE_BYTES) {
        return fail("state size", status);
    }
    while (fread(x, sizeof x, 1, in) == 1) {
        uint32_t sum;
        status = EDGESEQ_TAKES_BYTES
                     ? es_step_byte(engine, (uint8_t)x[0], y, EDGESEQ_OUTPUT_DIM)
                     : es_step_pcm(engine, x, EDGESEQ_INPUT_DIM, y, EDGESEQ_OUTPUT_DIM);
        if (status) return fail("step", status);
        if ((status = es_save(engine, state, bytes)) != ES_OK) return fail("save", status);
        sum = adler32(state, bytes);
        if (fwrite(y, sizeof y, 1, out) != 1 || fwrite(&sum, sizeof sum, 1, out) != 1) {
            return fail("output cannot be written", ES_OK);
        }
        steps++;
    }
    if (bytes && fwrite(state, bytes, 1, out) != 1) return fail("output cannot be written", ES_OK);
    fclose(in);
    if (fclose(out)) return fail("output cannot be written", ES_OK);
    printf("%s %ld\n", es_kernels_name(engine), steps);
    return 0;
}
