/* What classifying does with each row's scores, for one SIMD level and REAL. Row i's K scores start at
 * scores + i * width; those behind them are padding, so that whole vectors are computed. */

#include "elementary.h"

/* z becomes exp(z - its largest), the padding 0; returns the sum, and the largest in *highest. */
INLINE REAL NAME(exponentials)(ptrdiff_t K, ptrdiff_t width, REAL *z, REAL *highest)
{
    REAL most = z[0], sum = 0;
    for (ptrdiff_t k = K; k < width; k++)
        z[k] = -LARGEST;
    _Pragma("omp simd reduction(max : most)") for (ptrdiff_t k = 0; k < width; k++) most = z[k] > most ? z[k] : most;
    _Pragma("omp simd reduction(+ : sum)") for (ptrdiff_t k = 0; k < width; k++)
    {
        z[k] = NAME(exp)(z[k] - most);
        sum += z[k];
    }
    *highest = most;
    return sum;
}

/* z becomes weight * (softmax(z) - [k = y]); returns the weighted sum of log(sum_k exp(z_k)) - z_y. */
static double NAME(softmax)(ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, void *scores, const int64_t *y,
                            const void *weights)
{
    const REAL *weight = weights;
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL *z = (REAL *)scores + i * width, own = z[y[i]], highest, scale;
        REAL sum = NAME(exponentials)(K, width, z, &highest);
        total += weight[i] * (log((double)sum) + ((double)highest - own));
        scale = weight[i] / sum;
        _Pragma("omp simd") for (ptrdiff_t k = 0; k < width; k++) z[k] *= scale;
        z[y[i]] -= weight[i];
    }
    return total;
}

/* z becomes weight * p * (along - p . along), p = softmax(z): the loss's second derivative by z along a direction. */
static void NAME(softmax_curve)(ptrdiff_t n, ptrdiff_t K, ptrdiff_t width, void *scores, const void *directions,
                                const void *weights)
{
    const REAL *weight = weights;
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL *z = (REAL *)scores + i * width, highest, mean = 0, scale;
        const REAL *along = (const REAL *)directions + i * width;
        REAL sum = NAME(exponentials)(K, width, z, &highest);
        _Pragma("omp simd reduction(+ : mean)") for (ptrdiff_t k = 0; k < K; k++) mean += z[k] * along[k];
        mean /= sum;
        scale = weight[i] / sum;
        _Pragma("omp simd") for (ptrdiff_t k = 0; k < K; k++) z[k] *= scale * (along[k] - mean);
    }
}

#define INDEX int32_t
#define UINDEX uint32_t
#include "classes_csr.h"
#undef INDEX
#undef UINDEX
#define INDEX int64_t
#define UINDEX uint64_t
#include "classes_csr.h"
#undef INDEX
#undef UINDEX
