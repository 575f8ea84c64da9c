/* Log-mel frontend: one complex FFT of half the window, 32-bit data, 64-bit powers. */
#include <string.h>

#include "es_fixed.h"
#include "es_layers.h"

#define TWIDDLE_BITS 30
#define POWER_SHIFT 13
#define MAX_WINDOW 2048

typedef struct {
    size_t samples, spectrum, power, bytes;
} buffers;

static buffers plan(const es_logmel *layer) {
    buffers b;
    size_t at = 0;
    b.samples = es_take(&at, layer->window, sizeof(int16_t));
    b.spectrum = es_take(&at, layer->window, sizeof(int32_t));
    b.power = es_take(&at, layer->bins, sizeof(uint64_t));
    b.bytes = at;
    return b;
}

size_t es_logmel_state(const es_logmel *layer) {
    size_t at = 0;
    es_take(&at, layer->window - layer->hop, sizeof(int16_t)); /* tail */
    return at;
}

es_status es_logmel_need(const es_logmel *layer, es_need *need) {
    int32_t w = layer->window, band;
    if (w < 64 || w > MAX_WINDOW || (w & (w - 1)) || layer->hop < 1 || layer->hop > w) {
        return ES_ERR_MODEL;
    }
    if (!layer->hann || !layer->twiddles || !layer->first || !layer->count || !layer->filters ||
        !layer->center || !layer->multiplier) {
        return ES_ERR_MODEL;
    }
    if (layer->mels < 1 || layer->bins < 1 || layer->bins > w / 2 + 1) return ES_ERR_MODEL;
    if (layer->shift < 1 || layer->shift > 62 || layer->floor < 1) return ES_ERR_MODEL;
    for (band = 0; band < layer->mels; band++) {
        if (layer->first[band] + layer->count[band] > layer->bins) return ES_ERR_MODEL;
    }
    need->state = es_logmel_state(layer);
    need->scratch = plan(layer).bytes;
    need->in = layer->hop;
    need->out = layer->mels;
    return ES_OK;
}

/* Window the samples into z [window/2][2] in bit-reversed order. */
static void window_samples(const es_logmel *layer, const int16_t *samples, int32_t *z) {
    int32_t half = layer->window / 2, i, reversed = 0, log2 = 0, shift;
    while ((1 << log2) < layer->window) log2++;
    shift = 15 - (16 - log2);
    for (i = 0; i < half; i++) {
        int32_t from = 2 * reversed, bit = half >> 1;
        int32_t round = 1 << (shift - 1);
        z[2 * i] = (samples[from] * layer->hann[from] + round) >> shift;
        z[2 * i + 1] = (samples[from + 1] * layer->hann[from + 1] + round) >> shift;
        /* Count up from the other end. */
        while (bit && (reversed & bit)) {
            reversed ^= bit;
            bit >>= 1;
        }
        reversed |= bit;
    }
}

/* In place, decimation in time; z [half][2]. */
static void fft(const es_logmel *layer, int32_t *z) {
    const int64_t one = (int64_t)1 << (TWIDDLE_BITS - 1);
    int32_t half = layer->window / 2, length, start, k;
    for (length = 2; length <= half; length *= 2) {
        int32_t step = layer->window / length * 2, reach = length / 2 * 2;
        for (start = 0; start < 2 * half; start += 2 * length) {
            const int32_t *tw = layer->twiddles;
            for (k = 0; k < reach; k += 2, tw += step) {
                int32_t *a = z + start + k, *b = a + reach;
                int64_t cos = tw[0], sin = tw[1];
                int32_t re = (int32_t)((cos * b[0] - sin * b[1] + one) >> TWIDDLE_BITS);
                int32_t im = (int32_t)((cos * b[1] + sin * b[0] + one) >> TWIDDLE_BITS);
                b[0] = a[0] - re;
                b[1] = a[1] - im;
                a[0] += re;
                a[1] += im;
            }
        }
    }
}

/* Power of the real signal's bins from the half-length transform. */
static void powers(const es_logmel *layer, const int32_t *z, uint64_t *power) {
    const int64_t one = (int64_t)1 << TWIDDLE_BITS;
    int32_t half = layer->window / 2, bin;
    for (bin = 0; bin < layer->bins; bin++) {
        int32_t k = bin & (half - 1), m = (half - bin) & (half - 1);
        int64_t even_re = (int64_t)z[2 * k] + z[2 * m];
        int64_t even_im = (int64_t)z[2 * k + 1] - z[2 * m + 1];
        int64_t odd_re = (int64_t)z[2 * k + 1] + z[2 * m + 1];
        int64_t odd_im = (int64_t)z[2 * m] - z[2 * k];
        int64_t cos = layer->twiddles[2 * k], sin = layer->twiddles[2 * k + 1], re, im;
        if (bin == half) {
            cos = -cos;
            sin = -sin;
        }
        re = (even_re * one + (cos * odd_re - sin * odd_im) + one) >> (TWIDDLE_BITS + 1);
        im = (even_im * one + (cos * odd_im + sin * odd_re) + one) >> (TWIDDLE_BITS + 1);
        power[bin] = (uint64_t)(re * re + im * im) >> POWER_SHIFT;
    }
}

void es_logmel_step(const es_logmel *layer, es_place p, const int16_t *pcm, int8_t *y) {
    buffers b = plan(layer);
    int16_t *samples = (int16_t *)(void *)(p.scratch + b.samples);
    int32_t *z = (int32_t *)(void *)(p.scratch + b.spectrum);
    uint64_t *power = (uint64_t *)(void *)(p.scratch + b.power);
    const uint16_t *weights = layer->filters;
    int32_t tail = layer->window - layer->hop, band, i;
    memcpy(samples, p.state, (size_t)tail * sizeof(int16_t));
    memcpy(samples + tail, pcm, (size_t)layer->hop * sizeof(int16_t));
    memcpy(p.state, samples + layer->hop, (size_t)tail * sizeof(int16_t));
    window_samples(layer, samples, z);
    fft(layer, z);
    powers(layer, z, power);
    for (band = 0; band < layer->mels; band++) {
        const uint64_t *bins = power + layer->first[band];
        uint64_t sum = (uint64_t)layer->floor;
        int32_t level;
        for (i = 0; i < layer->count[band]; i++) sum += bins[i] * *weights++;
        level = es_log2(sum) - layer->center[band];
        y[band] = es_sat8(es_rescale(level, layer->multiplier[band], layer->shift));
    }
}
