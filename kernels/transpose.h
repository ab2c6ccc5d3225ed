/* Columns to rows by SIMD level and dtype. */
#ifndef DPMPI_TRANSPOSE_H
#define DPMPI_TRANSPOSE_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

#define LOOPS "each_real.h"
#define LOOPS_OF_REAL "transpose_loops.h"
#include "each_level.h"
#undef LOOPS_OF_REAL

typedef int (*join_columns_fn)(ptrdiff_t n, ptrdiff_t d, const void *const *columns, void *out);

static inline join_columns_fn join_columns_pick(int real_bytes, int level)
{
    static const join_columns_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(join_columns_float),
                                                          EACH_LEVEL(join_columns_double)};
    return loops[real_bytes == 8][level];
}

typedef int (*all_finite_fn)(ptrdiff_t n, const void *numbers);

static inline all_finite_fn all_finite_pick(int real_bytes, int level)
{
    static const all_finite_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(all_finite_float), EACH_LEVEL(all_finite_double)};
    return loops[real_bytes == 8][level];
}

#endif
