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

/* A block of rows takes BLOCK_BYTES, half of an L1 cache, but has LEAST_BLOCK rows or more, for the loss. Blocks are
 * powers of two: they divide the rows that are converted together (arguments.py), so that the sums' order does not
 * depend on X's layout. */
enum { BLOCK_BYTES = 16 << 10, LEAST_BLOCK = 8, MAX_BLOCK = 256, SUMMED_ROWS = 128 };
enum { ENTRIES_AHEAD = 2048 }; /* of CSR, by which prefetching runs ahead: 1 block or 2 */

static inline ptrdiff_t block_rows(ptrdiff_t row_bytes)
{
    ptrdiff_t rows = MAX_BLOCK;
    while (rows > LEAST_BLOCK && rows * row_bytes > BLOCK_BYTES)
        rows /= 2;
    return rows;
}

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

/* The mean size of a CSR row, at most BLOCK_BYTES: the row pointers have not been checked yet. */
static inline ptrdiff_t csr_row_bytes(const linear_problem *p, ptrdiff_t real_bytes)
{
    const int32_t *narrow = p->indptr;
    const int64_t *wide = p->indptr;
    double entries = p->index_bytes == 4 ? (double)narrow[p->n] - narrow[0] : (double)wide[p->n] - (double)wide[0];
    double bytes = p->n ? entries / (double)p->n * (double)(real_bytes + p->index_bytes) : 0;
    return bytes >= 0 && bytes < BLOCK_BYTES ? (ptrdiff_t)bytes : BLOCK_BYTES;
}

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
