/* Power sums of the columns to the fourth order, for one SIMD level and REAL.
 *
 * Each block of rows is read in its order for the columns' means (this brings it into the cache), then summed about
 * these, which keeps float32 exact enough whatever the caller's shift is; the sums are then moved to the shift in
 * float64: sum (x - s)^k = sum_i binomial(k, i) (c - s)^(k - i) sum (x - c)^i.
 */

#include "vector.h"

/* m[k - 1] = sum over the rows of (x - center)^k for LANES columns. */
INLINE void NAME(powers)(ptrdiff_t n, const REAL *X, ptrdiff_t stride, const REAL *center, REAL *m, ptrdiff_t length)
{
    V c = NAME(load)(center), m1 = {0}, m2 = {0}, m3 = {0}, m4 = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        V x = NAME(load)(X + i * stride) - c, square = x * x;
        m1 += x;
        m2 += square;
        m3 += square * x;
        m4 += square * square;
    }
    NAME(store)(m, m1);
    NAME(store)(m + length, m2);
    NAME(store)(m + 2 * length, m3);
    NAME(store)(m + 3 * length, m4);
}

static void NAME(powers_of_column)(ptrdiff_t n, const REAL *x, ptrdiff_t stride, REAL center, REAL *m, ptrdiff_t length)
{
    REAL sum[4] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL v = x[i * stride] - center, square = v * v;
        sum[0] += v;
        sum[1] += square;
        sum[2] += square * v;
        sum[3] += square * square;
    }
    for (int k = 0; k < 4; k++)
        m[k * length] = sum[k];
}

/* out (5, d): adds the count and the sums of (x - shift)^k. Returns 0 for want of memory. */
static int NAME(moments)(ptrdiff_t n, ptrdiff_t d, const void *data, ptrdiff_t stride, const double *shift, double *out)
{
    const REAL *X = data;
    ptrdiff_t block = (32 << 10) / (d * REAL_BYTES + 1);
    REAL *center = malloc(5 * (d + 1) * sizeof(REAL)), *m = center + d;
    if (center == NULL)
        return 0;
    block = block < 64 ? 64 : block > 1024 ? 1024 : block;
    for (ptrdiff_t start = 0; start < n; start += block, X += block * stride) {
        ptrdiff_t rows = n - start < block ? n - start : block;
        memset(center, 0, d * sizeof(REAL));
        for (ptrdiff_t i = 0; i < rows; i++) {
            const REAL *row = X + i * stride;
            _Pragma("omp simd") for (ptrdiff_t j = 0; j < d; j++) center[j] += row[j];
        }
        for (ptrdiff_t j = 0; j < d; j++)
            center[j] /= rows;
        if (d >= LANES)
            for (ptrdiff_t j = 0; j < d; j += LANES) {
                ptrdiff_t k = j + LANES <= d ? j : d - LANES; /* the last columns are summed again, not added again */
                NAME(powers)(rows, X + k, stride, center + k, m + k, d);
            }
        else
            for (ptrdiff_t j = 0; j < d; j++)
                NAME(powers_of_column)(rows, X + j, stride, center[j], m + j, d);
        _Pragma("omp simd") for (ptrdiff_t j = 0; j < d; j++)
        {
            double s = center[j] - shift[j], m1 = m[j], m2 = m[d + j], m3 = m[2 * d + j], m4 = m[3 * d + j];
            out[j] += rows;
            out[d + j] += m1 + rows * s;
            out[2 * d + j] += m2 + s * (2 * m1 + rows * s);
            out[3 * d + j] += m3 + s * (3 * m2 + s * (3 * m1 + rows * s));
            out[4 * d + j] += m4 + s * (4 * m3 + s * (6 * m2 + s * (4 * m1 + rows * s)));
        }
    }
    free(center);
    return 1;
}

#undef V
#undef LANES
