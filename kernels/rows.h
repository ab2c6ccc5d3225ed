/* Loops over the rows of a block for kernels on BLAS, by SIMD level and dtype. */
#ifndef DPMPI_ROWS_H
#define DPMPI_ROWS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

enum {
    TOGETHER = 16, /* rows of k-means: a multiple of every vector's lanes, and few, for the L1 cache */
    AHEAD = 3,     /* by so many times as many rows prefetching runs ahead */
    SUMMED = 256   /* by how many rows float32 sums grow before they go to float64 ones; a multiple of TOGETHER */
};

#define LOOPS "each_real.h"
#define LOOPS_OF_REAL "rows_loops.h"
#include "each_level.h"
#undef LOOPS_OF_REAL

typedef void (*lower_to_nearest_fn)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *X,
                                    ptrdiff_t stride, const void *points, const void *scores, void *out);
typedef void (*add_nearest_fn)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *X, ptrdiff_t stride,
                               void *points, ptrdiff_t wide, const void *scores, int64_t *counts, double *out);
typedef void (*cluster_fn)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *X, ptrdiff_t stride,
                           void *points, ptrdiff_t wide, const void *columns, const void *constant, void *scores,
                           int64_t *counts, double *out);
typedef void (*score_fn)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t width, const void *X, ptrdiff_t stride, const void *points,
                         const void *constant, void *scores);
typedef void (*add_outer_fn)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *X, ptrdiff_t stride,
                             const void *g, void *sum);

#define PICK(name)                                                                                                    \
    static inline name##_fn name##_pick(int real_bytes, int level)                                                    \
    {                                                                                                                 \
        static const name##_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(name##_float), EACH_LEVEL(name##_double)};         \
        return loops[real_bytes == 8][level];                                                                         \
    }
PICK(add_nearest)
PICK(lower_to_nearest)
PICK(cluster)
PICK(score)
PICK(add_outer)
#undef PICK

#endif
