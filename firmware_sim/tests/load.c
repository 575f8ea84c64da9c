/* Damaged sections: whatever es_load accepts runs within its memory (the sanitizers watch), and the
 * sizes that the loader asks for are the sizes that it uses.
 *
 *     load SECTION [ROUNDS [SEED]]       prints how many damaged sections were accepted
 *
 * With ES_LIBFUZZER (clang -fsanitize=fuzzer) it is a target of libFuzzer instead: a section,
 * whose last bytes also choose the inputs.
 *
 * Every piece of memory has exactly the size that was asked for. POSIX. */
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "es_host.h"
#include "es_kernels.h"

#define MOST ((size_t)64 << 20)
#define FRAMES 2

static uint32_t seed;

static uint32_t draw(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void *memory(size_t bytes) {
    void *made = NULL;
    if (posix_memalign(&made, ES_SECTION_ALIGN, bytes ? bytes : 1)) exit(2);
    memset(made, 0xA5, bytes);
    return made;
}

static es_status run(const es_model *model, void *place, size_t bytes) {
    const es_kernels *kernels;
    es_stepper *stepper;
    int32_t index, i;
    es_status status = es_stepper_init(model, FRAMES, place, bytes, &stepper);
    for (index = 0; !status && (kernels = es_kernels_at(index)) != NULL; index++) {
        es_input input = es_stepper_input(stepper);
        void *x = es_stepper_x(stepper);
        for (i = 0; i < input.frames * input.width; i++) {
            if (input.takes_bytes) {
                ((int64_t *)x)[i] = draw() & 255;
            } else {
                ((float *)x)[i] = (float)(draw() & 65535) / 32768.0f - 1.0f;
            }
        }
        status = es_use_kernels(es_stepper_engine(stepper), kernels->name);
        for (i = 0; i < 3 && !status; i++) status = es_stepper_step(stepper, x);
    }
    return status;
}

/* Load and run a section; what it needs is told to be right at the last byte. */
static es_status attempt(const void *section, size_t bytes) {
    const es_model *model;
    void *room, *place;
    size_t room_bytes, size;
    es_status status = es_load_size(section, bytes, &room_bytes);
    if (status) return status;
    room = memory(room_bytes);
    status = es_load(section, bytes, room, room_bytes - 1, &model);
    if (status != ES_ERR_ARENA || model) exit(3);
    status = es_load(section, bytes, room, room_bytes, &model);
    if (!status) status = es_stepper_size(model, FRAMES, &size);
    if (!status && size <= MOST) {
        es_stepper *none;
        place = memory(size);
        if (es_stepper_init(model, FRAMES, place, size - 1, &none) != ES_ERR_ARENA) exit(4);
        status = run(model, place, size);
        free(place);
    }
    free(room);
    return status;
}

#ifndef ES_LIBFUZZER
/* A few numbers or bytes of a section replaced. */
static void damage(uint8_t *section, size_t bytes) {
    static const int32_t odd[] = {0, 1, -1, 7, 8, 64, 255, 65536, 2147483647, -2147483647 - 1};
    uint32_t words, left;
    memcpy(&words, section + 4, sizeof words);
    for (left = 1 + draw() % 3; left > 0; left--) {
        size_t at = 4 * (size_t)(draw() % (words ? words : 1));
        int32_t value = odd[draw() % 10], old;
        if (draw() % 4 == 0) at = draw() % (uint32_t)bytes;
        if (at + 4 > bytes) continue;
        memcpy(&old, section + at, sizeof old);
        if (draw() % 2) value = (int32_t)((uint32_t)old + draw() % 17 - 8);
        memcpy(section + at, &value, sizeof value);
    }
}

static int wrong_calls(const uint8_t *section, size_t bytes) {
    const es_model *model;
    size_t size;
    uint64_t room[4];
    es_stepper *stepper;
    return es_load_size(NULL, bytes, &size) != ES_ERR_NULL ||
           es_load_size(section, bytes, NULL) != ES_ERR_NULL ||
           es_load_size(section + 8, bytes - 8, &size) != ES_ERR_ALIGN ||
           es_load_size(section, 7, &size) != ES_ERR_MODEL ||
           es_load_size(section, bytes - 1, &size) != ES_ERR_MODEL ||
           es_load(section, bytes, NULL, 0, &model) != ES_ERR_NULL ||
           es_load(section, bytes, room, sizeof room, NULL) != ES_ERR_NULL ||
           es_load(section, bytes, (uint8_t *)room + 1, 8, &model) != ES_ERR_ALIGN ||
           es_stepper_size(NULL, 1, &size) != ES_ERR_NULL ||
           es_stepper_init(NULL, 1, room, sizeof room, &stepper) != ES_ERR_NULL;
}

int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    long rounds = argc > 2 ? atol(argv[2]) : 1000, round, accepted = 0, bytes;
    uint8_t *good;
    seed = argc > 3 ? (uint32_t)atol(argv[3]) : 1;
    if (!file || fseek(file, 0, SEEK_END) || (bytes = ftell(file)) < 8) return 1;
    rewind(file);
    good = memory((size_t)bytes);
    if (fread(good, (size_t)bytes, 1, file) != 1) return 1;
    fclose(file);
    if (attempt(good, (size_t)bytes) || wrong_calls(good, (size_t)bytes)) return 5;
    for (round = 0; round < rounds; round++) {
        size_t size = draw() % 8 ? (size_t)bytes : draw() % (size_t)bytes;
        uint8_t *section = memory(size);
        memcpy(section, good, size);
        if (size >= 8) damage(section, size);
        accepted += !attempt(section, size);
        free(section);
    }
    free(good);
    printf("%ld\n", accepted);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    uint8_t *section = memory(bytes);
    if (bytes) memcpy(section, data, bytes);
    seed = (uint32_t)bytes;
    if (bytes >= 4) memcpy(&seed, data + bytes - 4, 4);
    (void)attempt(section, bytes);
    free(section);
    return 0;
}

#endif
