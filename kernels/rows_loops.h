/* What clustering does with each row's scores, for one SIMD level and REAL. Row i's K scores start at
 * scores + i * width. */

#include "skinny_loops.h"

/* The numbers of the first of the least scores, for LANES rows of scores (width, a multiple of LANES; the padding is
 * infinite). */
static __attribute__((noinline)) void NAME(first_least)(ptrdiff_t width, const REAL *scores, BITS *best)
{
    NAME(lane_bits) number = {0}, later, lane;
    V least = {0};
    for (int r = 0; r < LANES; r++)
        lane[r] = r;
    for (ptrdiff_t k = 0; k < width; k += LANES) {
        V v[LANES];
        for (int r = 0; r < LANES; r++)
            v[r] = NAME(load)(scores + r * width + k);
        v[0] = NAME(least_of_each)(v, lane, &later); /* now a row to a lane */
        if (k == 0) {
            least = v[0];
            number = later;
        } else {
            NAME(lane_bits) less = v[0] < least;
            least = NAME(chosen)(less, v[0], least);
            number = (less & (later + (BITS)k)) | (~less & number);
        }
    }
    memcpy(best, &number, sizeof number);
}

/* first_least of the rows from i on, the missing ones of the last LANES standing for nothing. */
INLINE void NAME(first_least_at)(ptrdiff_t i, ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, const REAL *scores, BITS *best)
{
    if (i + LANES <= n)
        NAME(first_least)(width, scores + i * width, best);
    else
        for (ptrdiff_t r = i; r < n; r++) {
            const REAL *score = scores + r * width;
            best[r - i] = 0;
            for (ptrdiff_t k = 1; k < K; k++)
                best[r - i] = score[k] < score[best[r - i]] ? k : best[r - i];
        }
}

/* Moves the sums of added rows to out (1 + K + K d): the squared distances, the counts, the rows. */
static void NAME(move_sums)(ptrdiff_t d, ptrdiff_t K, NAME(clusters) *from, double *out)
{
    ptrdiff_t whole = d < LANES ? d : d / LANES * LANES;
    for (int lane = 0; lane < LANES; lane++)
        out[0] += from->squares[lane];
    from->squares = (V){0};
    for (ptrdiff_t k = 0; k < K; k++) {
        REAL *sum = from->points + (2 * k + 1) * from->wide;
        double *row = out + 1 + K + k * d;
        for (ptrdiff_t j = 0; j < whole; j++)
            row[j] += sum[j];
        for (ptrdiff_t j = whole; j < d; j++)
            row[j] += sum[LANES - d + whole + j];
        memset(sum, 0, from->wide * sizeof *sum);
        out[1 + k] += from->counts[k];
        from->counts[k] = 0;
    }
}

INLINE void NAME(add_rows)(ptrdiff_t n, ptrdiff_t d, const REAL *X, ptrdiff_t stride, const BITS *nearest,
                           NAME(clusters) *to)
{
    NAME(lane_bits) last = NAME(last_lanes)(d);
    for (ptrdiff_t i = 0; i < n; i++)
        to->squares = NAME(add_row)(X + i * stride, d, nearest[i], to, 0, last, to->squares);
}

/* Adds rows whose scores are given to out as `cluster` does. */
static void NAME(add_nearest)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data,
                              ptrdiff_t stride, void *points, ptrdiff_t wide, const void *scores, int64_t *counts,
                              double *out)
{
    BITS nearest[LANES];
    NAME(clusters) to = {points, wide, counts, {0}};
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        NAME(first_least_at)(i, n, K, width, scores, nearest);
        NAME(add_rows)(n - i < LANES ? n - i : LANES, d, (const REAL *)data + i * stride, stride, nearest, &to);
        if ((i + LANES) % SUMMED == 0 || i + LANES >= n)
            NAME(move_sums)(d, K, &to, out);
    }
}

/* One step of k-means: adds each row to its nearest point: out (1 + K + K d) is the sum of the squared distances, the
 * counts and the sums of the rows, float64. TOGETHER rows are scored into scores (TOGETHER, width) while those before
 * them are added, SUMMED of them as REAL; the sums beside the points and the counts are zero before and after. */
static void NAME(cluster)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data, ptrdiff_t stride,
                          void *points, ptrdiff_t wide, const void *columns, const void *constant, void *scores,
                          int64_t *counts, double *out)
{
    NAME(pending) pending = {.ahead = AHEAD * TOGETHER * stride, .clusters = {points, wide, counts, {0}}};
    const REAL *X = data;
    ptrdiff_t start = 0;
    for (; start + TOGETHER <= n; start += TOGETHER, X += TOGETHER * stride) {
        if (start == 0)
            NAME(score)(TOGETHER, d, width, X, stride, columns, constant, scores);
        else
            for (ptrdiff_t r = 0; r < TOGETHER; r += TILE_ROWS)
                NAME(score_and_add)(d, width, X + r * stride, stride, columns, constant, (REAL *)scores + r * width,
                                    &pending, r);
        for (ptrdiff_t r = 0; r < TOGETHER; r += LANES)
            NAME(first_least)(width, (const REAL *)scores + r * width, pending.nearest + r);
        pending.X = X;
        if (start && start % SUMMED == 0)
            NAME(move_sums)(d, K, &pending.clusters, out);
    }
    if (start)
        NAME(add_rows)(TOGETHER, d, pending.X, stride, pending.nearest, &pending.clusters);
    NAME(move_sums)(d, K, &pending.clusters, out);
    NAME(score)(n - start, d, width, X, stride, columns, constant, scores);
    NAME(add_nearest)(n - start, d, K, width, X, stride, points, wide, scores, counts, out);
}

/* Lowers least[i] to the squared distance, from differences, of each row's nearest point, the one of least score. */
static void NAME(lower_to_nearest)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data,
                                   ptrdiff_t stride, const void *points, const void *scores, void *out)
{
    double *least = out;
    BITS nearest[LANES];
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *x = (const REAL *)data + i * stride, *c;
        REAL squares = 0;
        if (i % LANES == 0)
            NAME(first_least_at)(i, n, K, width, scores, nearest);
        c = (const REAL *)points + nearest[i % LANES] * d;
        _Pragma("omp simd reduction(+ : squares)") for (ptrdiff_t j = 0; j < d; j++) squares +=
            (x[j] - c[j]) * (x[j] - c[j]);
        least[i] = squares < least[i] || squares != squares ? squares : least[i];
    }
}

#undef TILE_ROWS
#undef V
#undef LANES
