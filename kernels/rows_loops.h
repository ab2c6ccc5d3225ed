/* What classifying and clustering do with each row's scores, for one SIMD level and REAL. Row i's K scores start at
 * scores + i * width. */

#include "elementary.h"
#include "skinny_loops.h"

/* z becomes weight * (softmax(z) - [k = y]); returns the weighted sum of log(sum_k exp(z_k)) - z_y. */
static double NAME(softmax)(ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, void *scores, const int64_t *y,
                            const void *weights)
{
    const REAL *weight = weights;
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL *z = (REAL *)scores + i * width, highest, own = z[y[i]], sum = 0, scale;
        for (ptrdiff_t k = K; k < width; k++)
            z[k] = -LARGEST; /* the padding takes part, so that whole vectors are computed */
        highest = z[0];
        _Pragma("omp simd reduction(max : highest)") for (ptrdiff_t k = 0; k < width; k++) highest =
            z[k] > highest ? z[k] : highest;
        _Pragma("omp simd reduction(+ : sum)") for (ptrdiff_t k = 0; k < width; k++)
        {
            z[k] = NAME(exp)(z[k] - highest);
            sum += z[k];
        }
        total += weight[i] * (log((double)sum) + ((double)highest - own));
        scale = weight[i] / sum;
        _Pragma("omp simd") for (ptrdiff_t k = 0; k < width; k++) z[k] *= scale;
        z[y[i]] -= weight[i];
    }
    return total;
}

/* The first of the least of K scores. */
INLINE ptrdiff_t NAME(first_least)(ptrdiff_t K, const REAL *score)
{
    REAL least = score[0];
    ptrdiff_t best = 0;
    for (ptrdiff_t k = 1; k < K; k++) {
        best = score[k] < least ? k : best;
        least = score[k] < least ? score[k] : least;
    }
    return best;
}

/* Adds each row to the sums of its nearest point, the one of least score: sums is (1 + K + K d), the squared distances
 * (from differences), the counts and the rows. */
static void NAME(add_nearest)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data,
                              ptrdiff_t stride, const void *points, const void *scores, void *out)
{
    REAL *sums = out, squares = 0;
    V total = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *x = (const REAL *)data + i * stride;
        ptrdiff_t best = NAME(first_least)(K, (const REAL *)scores + i * width), j = 0;
        const REAL *c = (const REAL *)points + best * d;
        REAL *row = sums + 1 + K + best * d;
        sums[1 + best] += 1;
        for (; j + LANES <= d; j += LANES) {
            V v = NAME(load)(x + j), difference = v - NAME(load)(c + j);
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

/* Lowers least[i] to the squared distance, from differences, of each row's nearest point, the one of least score. */
static void NAME(lower_to_nearest)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data,
                                   ptrdiff_t stride, const void *points, const void *scores, void *out)
{
    double *least = out;
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *x = (const REAL *)data + i * stride;
        const REAL *c = (const REAL *)points + NAME(first_least)(K, (const REAL *)scores + i * width) * d;
        REAL squares = 0;
        _Pragma("omp simd reduction(+ : squares)") for (ptrdiff_t j = 0; j < d; j++) squares +=
            (x[j] - c[j]) * (x[j] - c[j]);
        least[i] = squares < least[i] || squares != squares ? squares : least[i];
    }
}

#undef V
#undef LANES
