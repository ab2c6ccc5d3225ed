/* What clustering does with each row's scores, for one SIMD level and REAL. Row i's K scores start at
 * scores + i * width. */

#include "skinny_loops.h"

/* The numbers of the first of the least of K scores, for LANES rows of scores (width, a multiple of LANES, padded). */
INLINE void NAME(first_least)(ptrdiff_t K, ptrdiff_t width, const REAL *scores, BITS *best)
{
    V least, v[LANES];
    NAME(lane_bits) number = {0};
    for (ptrdiff_t k = 0; k < K; k += LANES) {
        for (int r = 0; r < LANES; r++)
            v[r] = NAME(load)(scores + r * width + k);
        NAME(transpose)(v); /* now a row to a lane */
        if (k == 0)
            least = v[0];
        for (int c = 0; c < LANES; c++)
            if (k + c < K) {
                NAME(lane_bits) less = v[c] < least;
                least = (V)((less & (NAME(lane_bits))v[c]) | (~less & (NAME(lane_bits))least));
                number = (less & (BITS)(k + c)) | (~less & number);
            }
    }
    memcpy(best, &number, sizeof number);
}

/* first_least of the rows from i on, the missing ones of the last LANES standing for nothing. */
INLINE void NAME(first_least_at)(ptrdiff_t i, ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, const REAL *scores, BITS *best)
{
    if (i + LANES <= n)
        NAME(first_least)(K, width, scores + i * width, best);
    else
        for (ptrdiff_t r = i; r < n; r++) {
            const REAL *score = scores + r * width;
            best[r - i] = 0;
            for (ptrdiff_t k = 1; k < K; k++)
                best[r - i] = score[k] < score[best[r - i]] ? k : best[r - i];
        }
}

/* Adds each row to the sums of its nearest point, the one of least score: sums is (1 + K + K d), the squared distances
 * (from differences), the counts and the rows. Each row prefetches the one `ahead` rows further on, unless it is 0. */
INLINE void NAME(add_nearest_ahead)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const REAL *X,
                                    ptrdiff_t stride, const REAL *points, const REAL *scores, REAL *sums,
                                    ptrdiff_t ahead)
{
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        BITS nearest[LANES];
        V total = {0}; /* of few rows, so that it stays in a register */
        REAL squares = 0;
        NAME(first_least_at)(i, n, K, width, scores, nearest);
        for (ptrdiff_t r = i; r < n && r < i + LANES; r++) {
            ptrdiff_t k = nearest[r - i], j = 0;
            const REAL *x = X + r * stride, *c = points + k * d;
            REAL *row = sums + 1 + K + k * d;
            sums[1 + k] += 1;
            for (; j + LANES <= d; j += LANES) {
                V v = NAME(load)(x + j), difference = v - NAME(load)(c + j);
                if (ahead && j * REAL_BYTES % 64 == 0)
                    __builtin_prefetch(x + ahead * stride + j);
                total += difference * difference;
                NAME(store)(row + j, NAME(load)(row + j) + v);
            }
            for (; j < d; j++) {
                squares += (x[j] - c[j]) * (x[j] - c[j]);
                row[j] += x[j];
            }
        }
        for (int lane = 0; lane < LANES; lane++)
            squares += total[lane];
        sums[0] += squares;
    }
}

static void NAME(add_nearest)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data,
                              ptrdiff_t stride, const void *points, const void *scores, void *out)
{
    NAME(add_nearest_ahead)(n, d, K, width, data, stride, points, scores, out, 0);
}

/* One step of k-means: each row is added to its nearest point's sums (add_nearest), out float64. `block` rows are scored
 * together, into scores (block, width), and SUMMED of them are summed as REAL, in sums, zeros before and after. While a
 * block is added the next one is prefetched. */
static void NAME(cluster)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data, ptrdiff_t stride,
                          const void *points, const void *columns, const void *constant, ptrdiff_t block,
                          void *scores, void *sums, double *out)
{
    REAL *sum = sums;
    for (ptrdiff_t start = 0, summed = 0; start < n; start += block) {
        const REAL *rows = (const REAL *)data + start * stride;
        ptrdiff_t m = n - start < block ? n - start : block;
        NAME(score)(m, d, width, rows, stride, columns, constant, scores);
        NAME(add_nearest_ahead)(m, d, K, width, rows, stride, points, scores, sums,
                                start + 2 * block <= n ? block : 0);
        summed += m;
        if (summed >= SUMMED || start + m == n) {
            for (ptrdiff_t j = 0; j < 1 + K + K * d; j++) {
                out[j] += sum[j];
                sum[j] = 0;
            }
            summed = 0;
        }
    }
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

#undef V
#undef LANES
