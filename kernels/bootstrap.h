/* Sums over resamples of the rows by SIMD level. */
#ifndef DPMPI_BOOTSTRAP_H
#define DPMPI_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "simd.h"

#define LOOPS "bootstrap_loops.h"
#include "each_level.h"

typedef void (*bootstrap_fn)(ptrdiff_t n, const double *x, uint64_t first_row, uint64_t seed, ptrdiff_t resamples,
                             double *out);

static inline bootstrap_fn bootstrap_pick(int level)
{
    static const bootstrap_fn loops[SIMD_LEVELS] = EACH_LEVEL(bootstrap_sums);
    return loops[level];
}

#endif
