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
        REAL *z = (REAL *)scores + i * width, highest = z[0], own = z[y[i]], sum = 0, scale;
        _Pragma("omp simd reduction(max : highest)") for (ptrdiff_t k = 0; k < K; k++) highest =
            z[k] > highest ? z[k] : highest;
        _Pragma("omp simd reduction(+ : sum)") for (ptrdiff_t k = 0; k < K; k++)
        {
            z[k] = NAME(exp)(z[k] - highest);
            sum += z[k];
        }
        total += weight[i] * (log((double)sum) + ((double)highest - own));
        scale = weight[i] / sum;
        _Pragma("omp simd") for (ptrdiff_t k = 0; k < K; k++) z[k] *= scale;
        z[y[i]] -= weight[i];
    }
    return total;
}

/* The row's nearest of K points, the first with the least of its scores, and its squared distance, from differences.
 * sums != NULL: adds them up as kmeans (1, K, K d); else lowers least[i]. */
static void NAME(nearest)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t K, ptrdiff_t width, const void *data, ptrdiff_t stride,
                          const void *points, const void *scores, double *sums, double *least)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const REAL *x = (const REAL *)data + i * stride, *score = (const REAL *)scores + i * width, *c;
        REAL lowest = score[0], squares = 0;
        int best = (int)K;
        _Pragma("omp simd reduction(min : lowest)") for (int k = 0; k < (int)K; k++) lowest =
            score[k] < lowest ? score[k] : lowest;
        _Pragma("omp simd reduction(min : best)") for (int k = 0; k < (int)K; k++)
        {
            int candidate = score[k] == lowest ? k : (int)K;
            best = candidate < best ? candidate : best;
        }
        best = best < K ? best : 0; /* a row of NaN */
        c = (const REAL *)points + best * d;
        _Pragma("omp simd reduction(+ : squares)") for (ptrdiff_t j = 0; j < d; j++) squares +=
            (x[j] - c[j]) * (x[j] - c[j]);
        if (sums != NULL) {
            double *row = sums + 1 + K + best * d;
            sums[0] += squares;
            sums[1 + best] += 1;
            _Pragma("omp simd") for (ptrdiff_t j = 0; j < d; j++) row[j] += x[j];
        } else
            least[i] = squares < least[i] || squares != squares ? squares : least[i];
    }
}
