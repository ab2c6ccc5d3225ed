/* Rows and K classes: softmax of the rows' scores, and the products of CSR rows with one vector a class. */
#ifndef DPMPI_CLASSES_H
#define DPMPI_CLASSES_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

#define LOOPS "each_real.h"
#define LOOPS_OF_REAL "classes_loops.h"
#include "each_level.h"
#undef LOOPS_OF_REAL

typedef double (*softmax_fn)(ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, void *z, const int64_t *y, const void *weight);
typedef void (*softmax_curve_fn)(ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, void *z, const void *along,
                                 const void *weight);
typedef int (*csr_scores_fn)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t width, const void *indptr, const void *indices,
                             const void *data, ptrdiff_t nnz, const double *columns, const double *constant,
                             void *scores);
typedef void (*csr_outer_fn)(ptrdiff_t n, ptrdiff_t width, const void *indptr, const void *indices, const void *data,
                             const void *g, double *sum);

static inline softmax_fn softmax_pick(int real_bytes, int level)
{
    static const softmax_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(softmax_float), EACH_LEVEL(softmax_double)};
    return loops[real_bytes == 8][level];
}

static inline softmax_curve_fn softmax_curve_pick(int real_bytes, int level)
{
    static const softmax_curve_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(softmax_curve_float),
                                                           EACH_LEVEL(softmax_curve_double)};
    return loops[real_bytes == 8][level];
}

static inline csr_scores_fn csr_scores_pick(int real_bytes, int index_bytes, int level)
{
    static const csr_scores_fn loops[2][2][SIMD_LEVELS] = {
        {EACH_LEVEL(csr_scores_float_int32_t), EACH_LEVEL(csr_scores_float_int64_t)},
        {EACH_LEVEL(csr_scores_double_int32_t), EACH_LEVEL(csr_scores_double_int64_t)}};
    return loops[real_bytes == 8][index_bytes == 8][level];
}

static inline csr_outer_fn csr_outer_pick(int real_bytes, int index_bytes, int level)
{
    static const csr_outer_fn loops[2][2][SIMD_LEVELS] = {
        {EACH_LEVEL(csr_outer_float_int32_t), EACH_LEVEL(csr_outer_float_int64_t)},
        {EACH_LEVEL(csr_outer_double_int32_t), EACH_LEVEL(csr_outer_double_int64_t)}};
    return loops[real_bytes == 8][index_bytes == 8][level];
}

#endif
