/* Linear models on a dense or CSR matrix: the problem's description and the loops by SIMD level and dtype. */
#ifndef DPMPI_LINEAR_H
#define DPMPI_LINEAR_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "loss_list.h"
#include "simd.h"

enum { LINEAR_OK, LINEAR_BAD_VALUE, LINEAR_BAD_INDEX, LINEAR_NO_MEMORY };

/* What is added to out: X c (n); the loss (1); the loss and its gradient with the intercept's place (1 + d + 1); the
 * rows' weighted second derivatives (n); the Hessian times a direction (d + 1). */
enum { LINEAR_PREDICTOR, LINEAR_LOSS, LINEAR_GRADIENT, LINEAR_CURVATURE, LINEAR_HESSIAN_VECTOR };

/* Rows of a block: short rows in the L1 cache, longer ones in a part of the L2 cache; a multiple of 8.
 * Measured on Zen 4 (float32 and float64, 28 to 2000 columns): rows of middling length gain up to a factor of 2 when each pass
 * over a block prefetches every second row of the next one, since memory is idle while the gradient is formed; shorter
 * and longer rows are better left to the hardware. */
enum { MAX_BLOCK = 256, SHORT_ROW = 192, LONG_ROW = 640 };

static inline ptrdiff_t block_rows(ptrdiff_t row_bytes)
{
    ptrdiff_t rows = row_bytes < LONG_ROW ? 64 : (256 << 10) / row_bytes / 8 * 8;
    return rows < 8 ? 8 : rows > MAX_BLOCK ? MAX_BLOCK : rows;
}

static inline int prefetched(ptrdiff_t row_bytes) { return row_bytes >= SHORT_ROW && row_bytes < LONG_ROW; }

typedef struct {
    ptrdiff_t n, d;
    const void *X; /* dense: rows of unit inner stride, `stride` elements apart; NULL for CSR */
    ptrdiff_t stride;
    const void *indptr, *indices, *data; /* CSR: nnz entries, indices of index_bytes, 4 or 8 */
    ptrdiff_t nnz;
    int index_bytes;
    const void *y, *weight; /* of X's dtype; weight may be NULL */
    const double *coef;     /* d */
    double constant;        /* the intercept */
    const double *direction; /* d, and its last entry: for LINEAR_HESSIAN_VECTOR, else NULL */
    double direction_constant;
    double parameter;       /* the loss's own, such as Huber's delta */
    const void *custom;     /* a loop to take in place of the loss's, of the type loss_loop in loss_loops.h, or NULL */
} linear_problem;

#define LOOPS "each_real.h"
#define LOOPS_OF_REAL "linear_loops.h"
#include "each_level.h"
#undef LOOPS_OF_REAL

typedef int (*linear_fn)(const linear_problem *, int what, int loss, double *out);

static inline linear_fn linear_pick(int real_bytes, int level)
{
    static const linear_fn loops[2][SIMD_LEVELS] = {EACH_LEVEL(linear_run_float), EACH_LEVEL(linear_run_double)};
    return loops[real_bytes == 8][level];
}

#endif
