/* Every kernel that this processor runs gives the integers of the plain one, extremes included.
 * Prints each difference; the exit code is their number (at most 100). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "es_kernels_isa.h"

#define MOST 512

static int8_t weight[72 * MOST], x[MOST];
static int32_t wanted[MOST], got[MOST], bias[MOST], multiplier[MOST];
static int16_t weights[MOST + 1], wanted16[MOST], got16[MOST], gates_x[3 * MOST], gates_h[3 * MOST];
static uint32_t seed = 1;
static int differences;

static int32_t draw(void) {
    seed = seed * 1664525u + 1013904223u;
    return (int32_t)(seed >> 8);
}

/* Random bytes, or for `kind` 1..3 the extremes: all -128, all 127, -128 and 127 in turn. */
static void fill(int8_t *to, int32_t count, int kind) {
    int32_t i;
    for (i = 0; i < count; i++) {
        int value = kind == 1   ? -128
                    : kind == 2 ? 127
                    : kind == 3 ? (i & 1 ? 127 : -128)
                                : draw() % 256 - 128;
        to[i] = (int8_t)value;
    }
}

static void same(const void *a, const void *b, size_t bytes, const char *kernels, const char *what,
                 int32_t n, int32_t m) {
    if (memcmp(a, b, bytes)) {
        printf("%s %s differs at %d, %d\n", kernels, what, (int)n, (int)m);
        differences++;
    }
}

static const int32_t *sums_of(int32_t stride, int32_t rows) {
    static int32_t sums[MOST];
    int32_t r, c;
    for (r = 0; r < rows; r++) {
        sums[r] = 0;
        for (c = 0; c < stride; c++) sums[r] += weight[r * stride + c];
    }
    return sums;
}

static void dot(const es_kernels *k) {
    int32_t stride, rows;
    int kind;
    for (kind = 0; kind < 16; kind++) {
        for (stride = 8; stride <= 264; stride += stride < 136 ? 8 : 64) {
            for (rows = 1; rows <= 67; rows += rows < 9 ? 1 : 29) {
                fill(weight, rows * stride, kind & 3);
                fill(x, stride, kind >> 2);
                memset(got, 0x55, sizeof got);
                memset(wanted, 0x55, sizeof wanted);
                es_plain_dot(weight, NULL, stride, x, rows, wanted);
                k->dot(weight, NULL, stride, x, rows, got);
                same(wanted, got, sizeof got, k->name, "dot", stride, rows);
                memset(got, 0x55, sizeof got);
                k->dot(weight, sums_of(stride, rows), stride, x, rows, got);
                same(wanted, got, sizeof got, k->name, "dot with row sums", stride, rows);
            }
        }
    }
}

static void requantize(const es_kernels *k) {
    int32_t shift, n, i;
    for (shift = 1; shift <= 62; shift++) {
        for (n = 1; n <= 41; n += 5) {
            for (i = 0; i < n; i++) {
                int32_t kind = draw() % 4;
                wanted[i] = (draw() % 256 - 128) * (1 << (draw() % 23));
                bias[i] = kind == 3 ? 0 : draw() % 2000 - 1000;
                /* Powers of two make ties. */
                multiplier[i] = kind == 0   ? 2147483647
                                : kind == 1 ? 1 << (draw() % 31)
                                : kind == 2 ? draw() % 1000
                                            : draw() * 128;
            }
            if (n > 2) {
                wanted[0] = 1 << 30, bias[0] = (1 << 30) - 1, multiplier[0] = 2147483647;
                wanted[1] = -(1 << 30), bias[1] = -(1 << 30), multiplier[1] = 2147483647;
            }
            memset(got16, 0x55, sizeof got16);
            memset(wanted16, 0x55, sizeof wanted16);
            es_plain_requantize(wanted, bias, multiplier, shift, n, wanted16);
            k->requantize(wanted, bias, multiplier, shift, n, got16);
            same(wanted16, got16, sizeof got16, k->name, "requantize", shift, n);
        }
    }
}

static void mix(const es_kernels *k) {
    int32_t size, rows, i;
    int kind;
    for (kind = 0; kind < 4; kind++) {
        for (size = 8; size <= 72; size += 8) {
            for (rows = 1; rows <= 511; rows = rows < 8 ? rows + 1 : rows * 4 - 3) {
                if (size * rows > (int32_t)sizeof weight) continue;
                fill(weight, size * rows, kind);
                for (i = 0; i < rows; i++) weights[i] = (int16_t)(kind ? 32767 : draw() % 32768);
                weights[rows] = 0;
                memset(got, 0x55, sizeof got);
                memset(wanted, 0x55, sizeof wanted);
                es_plain_mix(weights, weight, size, rows, wanted);
                k->mix(weights, weight, size, rows, got);
                same(wanted, got, sizeof got, k->name, "mix", size, rows);
            }
        }
    }
}

static int16_t gate(int extreme);

static void norm(const es_kernels *k) {
    int32_t n, i, round;
    for (round = 0; round < 60; round++) {
        for (n = 1; n <= 150; n += 7) {
            int extreme = round % 3 == 0;
            int32_t shift = 1 + round % 22;
            uint64_t a, b;
            es_center c;
            for (i = 0; i < n; i++) {
                gates_x[i] = (int16_t)(round == 0 ? -32768 : gate(extreme));
                gates_h[i] = gate(extreme);
                bias[i] = (draw() % 65536 - 32768) * (extreme ? 16384 : 256);
            }
            c.times = round & 1 ? n : 1024;
            c.sum = es_plain_moments(gates_x, n, &a);
            i = k->moments(gates_x, n, &b);
            same(&c.sum, &i, sizeof i, k->name, "sum", n, round);
            same(&a, &b, sizeof a, k->name, "squares", n, round);
            if (extreme) c.sum = draw() * 2 - (1 << 24);
            c.inverse = 32768 + draw() % 32769;
            c.shift = 6 + round % 32;
            memset(x, 0x55, sizeof x);
            memset(weight, 0x55, sizeof x);
            es_plain_norm(gates_x, n, c, gates_h, bias, shift, weight);
            k->norm(gates_x, n, c, gates_h, bias, shift, x);
            same(weight, x, sizeof x, k->name, "norm", n, round);
        }
    }
}

static void softmax(const es_kernels *k) {
    static int16_t distance[MOST + 8];
    int32_t n, i, round, a, b;
    for (round = 0; round < 124; round++) {
        for (n = 0; n <= 75; n += n < 10 ? 1 : 5) {
            int32_t shift = 1 + round % 62;
            /* Powers of two make ties; the largest product is clamped. */
            int32_t factor = round & 1 ? 1 << (round % 31) : 2147483647 - draw();
            memset(wanted, 0x55, sizeof wanted);
            for (i = 0; i < n; i++) {
                distance[i] = gate(round % 5 == 0);
                wanted[i] = (draw() % 8192 - 4096) * (1 << (draw() % 12));
            }
            memcpy(got, wanted, sizeof got);
            a = es_plain_score(wanted, n, factor, shift, distance + (n ? n - 1 : 0));
            b = k->score(got, n, factor, shift, distance + (n ? n - 1 : 0));
            same(&a, &b, sizeof a, k->name, "largest score", n, round);
            same(wanted, got, sizeof got, k->name, "score", n, shift);
            for (i = 0; i < n && (round & 1); i++) wanted[i] = a - draw() % (round < 62 ? 300 : 5000);
            memset(wanted16, 0x55, sizeof wanted16);
            memset(got16, 0x55, sizeof got16);
            a = es_plain_powers(wanted, n, a, wanted16);
            b = k->powers(wanted, n, b, got16);
            same(&a, &b, sizeof a, k->name, "sum of powers", n, round);
            same(wanted16, got16, sizeof got16, k->name, "powers", n, round);
            memset(x, 0x55, sizeof x);
            memset(weight, 0x55, sizeof x);
            es_plain_narrow(wanted, factor, shift, n, weight);
            k->narrow(wanted, factor, shift, n, x);
            same(weight, x, sizeof x, k->name, "narrow", n, shift);
        }
    }
}

/* Any int16, or one of its two ends. */
static int16_t gate(int extreme) {
    return (int16_t)(extreme ? (draw() & 1 ? 32767 : -32768) : draw() % 65536 - 32768);
}

static void gru(const es_kernels *k) {
    int32_t hidden, i, round;
    for (round = 0; round < 40; round++) {
        for (hidden = 1; hidden <= 65; hidden += 4) {
            int extreme = round < 8;
            for (i = 0; i < 3 * hidden; i++) {
                gates_x[i] = (int16_t)(gate(extreme) / (round & 1 && !extreme ? 16 : 1));
                gates_h[i] = gate(extreme);
            }
            memset(wanted16, 0x55, sizeof wanted16);
            for (i = 0; i < hidden; i++) wanted16[i] = gate(extreme);
            memcpy(got16, wanted16, sizeof got16);
            es_plain_gru(gates_x, gates_h, hidden, wanted16);
            k->gru(gates_x, gates_h, hidden, got16);
            same(wanted16, got16, sizeof got16, k->name, "gru", hidden, round);
        }
    }
}

static void lstm(const es_kernels *k) {
    static int16_t wanted_cell[MOST], got_cell[MOST], x4[4 * MOST], h4[4 * MOST];
    int32_t hidden, i, round;
    for (round = 0; round < 40; round++) {
        for (hidden = 1; hidden <= 65; hidden += 4) {
            int extreme = round < 8;
            for (i = 0; i < 4 * hidden; i++) {
                x4[i] = gate(extreme);
                h4[i] = (int16_t)(gate(extreme) / (round & 1 && !extreme ? 16 : 1));
            }
            memset(wanted16, 0x55, sizeof wanted16);
            memset(wanted_cell, 0x55, sizeof wanted_cell);
            for (i = 0; i < hidden; i++) wanted_cell[i] = gate(extreme);
            memcpy(got16, wanted16, sizeof got16);
            memcpy(got_cell, wanted_cell, sizeof got_cell);
            es_plain_lstm(x4, h4, hidden, 11 + round % 4, wanted16, wanted_cell);
            k->lstm(x4, h4, hidden, 11 + round % 4, got16, got_cell);
            same(wanted16, got16, sizeof got16, k->name, "lstm h", hidden, round);
            same(wanted_cell, got_cell, sizeof got_cell, k->name, "lstm cell", hidden, round);
        }
    }
}

int main(void) {
    int32_t index;
    const es_kernels *k;
    for (index = 0; (k = es_kernels_at(index)) != NULL; index++) {
        dot(k);
        requantize(k);
        mix(k);
        norm(k);
        softmax(k);
        gru(k);
        lstm(k);
        printf("%s\n", k->name);
    }
    return differences > 100 ? 100 : differences;
}
