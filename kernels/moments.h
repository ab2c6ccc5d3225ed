/* Power sums of the columns of a dense matrix by SIMD level and dtype. */
#ifndef DPMPI_MOMENTS_H
#define DPMPI_MOMENTS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "simd.h"

#define LOOPS "each_real.h"
#define LOOPS_OF_REAL "moments_loops.h"
#include "each_level.h"
#undef LOOPS_OF_REAL

typedef int (*moments_fn)(ptrdiff_t n, ptrdiff_t d, const void *X, ptrdiff_t stride, const double *shift, double *out);

static inline moments_fn moments_pick(int real_bytes, int level)
{
    static const moments_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(moments_float), EACH_LEVEL(moments_double)};
    return loops[real_bytes == 8][level];
}

#endif
