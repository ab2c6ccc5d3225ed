/* Products of a block of rows with few (up to some tens of) points, for one SIMD level and REAL. On 64 rows of 784
 * float32 and 16 points, OpenBLAS took 1.1 times as long for the scores and, with 10 points, 1.7 times for the sums.
 * Points lie in lanes (`points` is d x width, the K of them padded with zeros to width, a
 * multiple of LANES).
 */

#include "vector.h"

#define ROWS 8

/* Scored together: TILE_ROWS rows and TILE_VECTORS vectors of points, enough sums to hide a multiply-add's latency. Among
 * the multiply-adds of a tile ADDED_ROWS pending rows are added at a time; one by one, floats on AVX-512 took a tenth
 * longer. */
#if VECTOR_BYTES == 64
#define TILE_ROWS 8
#define TILE_VECTORS (REAL_BYTES / 4)
#define ADDED_ROWS (REAL_BYTES == 4 ? 4 : 1)
#else
#define TILE_ROWS 4
#define TILE_VECTORS 2
#define ADDED_ROWS 1
#endif

/* Points and their sums: of each point `wide` numbers, aligned, and as many behind it for its sums; of both only d count,
 * but the sums of the last columns, which fill no vector, have a vector of their own. */
typedef struct {
    REAL *points;
    ptrdiff_t wide;
    int64_t *counts;
    V squares; /* of the distances, from differences, in lanes */
} NAME(clusters);

/* Rows whose nearest points are known, but which are still to be added. */
typedef struct {
    const REAL *X;   /* rows `stride` apart */
    ptrdiff_t ahead; /* how far beyond X to prefetch */
    BITS nearest[TOGETHER];
    NAME(clusters) clusters;
} NAME(pending);

/* add_row for rows that fill no vector. */
static __attribute__((noinline)) REAL NAME(add_short_row)(const REAL *x, ptrdiff_t d, const REAL *point, REAL *sum)
{
    REAL squares = 0;
    for (ptrdiff_t j = 0; j < d; j++) {
        squares += (x[j] - point[j]) * (x[j] - point[j]);
        sum[j] += x[j];
    }
    return squares;
}

/* Adds a row to its point's sums; returns `squares` and those of the distance. `last` picks the lanes of the row's last
 * vector that no whole one before it holds. */
INLINE V NAME(add_row)(const REAL *x, ptrdiff_t d, ptrdiff_t k, const NAME(clusters) *to, ptrdiff_t ahead,
                       NAME(lane_bits) last, V squares)
{
    ptrdiff_t j = 0;
    REAL *point = to->points + 2 * k * to->wide, *sum = point + to->wide;
    to->counts[k] += 1;
    for (; j + LANES <= d; j += LANES) {
        V v = NAME(load)(x + j), difference = v - NAME(load)(point + j);
        __builtin_prefetch(x + j + ahead);
        squares += difference * difference;
        NAME(store)(sum + j, NAME(load)(sum + j) + v);
    }
    if (j < d) {
        if (d > LANES) {
            V v = NAME(masked)(NAME(load)(x + d - LANES), last);
            V difference = v - NAME(masked)(NAME(load)(point + d - LANES), last);
            squares += difference * difference;
            NAME(store)(sum + j, NAME(load)(sum + j) + v);
        } else
            squares[0] += NAME(add_short_row)(x, d, point, sum);
    }
    return squares;
}

/* Of a row's last vector the lanes of columns that no whole vector before it holds. */
INLINE NAME(lane_bits) NAME(last_lanes)(ptrdiff_t d)
{
    NAME(lane_bits) lanes;
    for (int lane = 0; lane < LANES; lane++)
        lanes[lane] = lane < LANES - d % LANES ? 0 : -1;
    return lanes;
}

/* Scores of a tile's rows; meanwhile, unless NULL, as many pending rows from number `first` on are added, for which the
 * multiply-adds leave the other units free. */
INLINE void NAME(score_rows)(const int rows, ptrdiff_t d, ptrdiff_t width, const REAL *x, ptrdiff_t stride,
                             const REAL *points, const REAL *constant, REAL *scores, NAME(pending) *pending,
                             ptrdiff_t first)
{
    V squares = {0};
    NAME(lane_bits) last = {0};
    const REAL *row = NULL;
    const BITS *next = NULL;
    NAME(clusters) to = {0};
    ptrdiff_t ahead = 0, parts = pending == NULL ? 1 : rows / ADDED_ROWS;
    if (pending != NULL) {
        to = pending->clusters;
        squares = to.squares;
        last = NAME(last_lanes)(d);
        row = pending->X + first * stride;
        next = pending->nearest + first;
        ahead = pending->ahead;
    }
    for (ptrdiff_t k = 0; k < width; k += TILE_VECTORS * LANES) {
        V sum[TILE_ROWS][TILE_VECTORS];
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < TILE_VECTORS; v++)
                sum[r][v] = NAME(load)(constant + k + v * LANES);
        for (ptrdiff_t part = 0, j = 0; part < parts; part++) {
            for (ptrdiff_t end = (part + 1) * d / parts; j < end; j++)
                for (int v = 0; v < TILE_VECTORS; v++) {
                    V c = NAME(load)(points + j * width + k + v * LANES);
                    for (int r = 0; r < rows; r++)
                        sum[r][v] += x[r * stride + j] * c;
                }
            if (pending != NULL && k == 0)
                for (int i = 0; i < ADDED_ROWS; i++, row += stride, next++)
                    squares = NAME(add_row)(row, d, *next, &to, ahead, last, squares);
        }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < TILE_VECTORS; v++)
                NAME(store)(scores + r * width + k + v * LANES, sum[r][v]);
    }
    if (pending != NULL)
        pending->clusters.squares = squares;
}

/* score_rows of a whole tile, on its own so that its loops have all registers. */
static __attribute__((noinline)) void NAME(score_and_add)(ptrdiff_t d, ptrdiff_t width, const REAL *x,
                                                          ptrdiff_t stride, const REAL *points, const REAL *constant,
                                                          REAL *scores, NAME(pending) *pending, ptrdiff_t first)
{
    NAME(score_rows)(TILE_ROWS, d, width, x, stride, points, constant, scores, pending, first);
}

/* scores (n, width): each row's products with the points, plus the constants (width). */
static void NAME(score)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t width, const void *data, ptrdiff_t stride,
                        const void *points, const void *constant, void *out)
{
    const REAL *X = data;
    REAL *scores = out;
    ptrdiff_t i = 0;
    for (; i + TILE_ROWS <= n; i += TILE_ROWS)
        NAME(score_rows)(TILE_ROWS, d, width, X + i * stride, stride, points, constant, scores + i * width, NULL, 0);
    for (; i < n; i++)
        NAME(score_rows)(1, d, width, X + i * stride, stride, points, constant, scores + i * width, NULL, 0);
}

INLINE void NAME(add_outer_rows)(const int rows, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const REAL *x,
                                 ptrdiff_t stride, const REAL *g, REAL *sum)
{
    ptrdiff_t j = 0;
    for (; j + LANES <= d; j += LANES) {
        V xj[ROWS];
        for (int r = 0; r < rows; r++)
            xj[r] = NAME(load)(x + r * stride + j);
        for (ptrdiff_t k = 0; k < K; k++) {
            V even = NAME(load)(sum + k * d + j), odd = {0};
            for (int r = 0; r < rows; r++)
                if (r % 2)
                    odd += xj[r] * g[r * width + k];
                else
                    even += xj[r] * g[r * width + k];
            NAME(store)(sum + k * d + j, even + odd);
        }
    }
    for (; j < d; j++)
        for (ptrdiff_t k = 0; k < K; k++)
            for (int r = 0; r < rows; r++)
                sum[k * d + j] += x[r * stride + j] * g[r * width + k];
}

/* sum (K, d) += g^T X, g (n, width). */
static void NAME(add_outer)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data, ptrdiff_t stride,
                            const void *weights, void *out)
{
    const REAL *X = data, *g = weights;
    ptrdiff_t i = 0;
    for (; i + ROWS <= n; i += ROWS)
        NAME(add_outer_rows)(ROWS, d, K, width, X + i * stride, stride, g + i * width, out);
    for (; i < n; i++)
        NAME(add_outer_rows)(1, d, K, width, X + i * stride, stride, g + i * width, out);
}

#undef ROWS
#undef TILE_VECTORS
#undef ADDED_ROWS
