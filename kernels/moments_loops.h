/* Power sums of the columns to the fourth order, for one SIMD level and REAL.
 *
 * Each block of rows is read in its order for the columns' means (this brings it into the cache), then summed about
 * these, which keeps float32 exact enough whatever the caller's shift is, while the next block is prefetched; the sums
 * are then moved to the shift in float64: sum (x - s)^k = sum_i binomial(k, i) (c - s)^(k - i) sum (x - c)^i.
 */

#include "vector.h"

/* m[k - 1] = sum over the rows of (x - center)^k, for `vectors` times LANES columns: two fill the pipelines. As many
 * bytes at `ahead` (NULL: none) are asked for. */
INLINE void NAME(powers)(const int vectors, ptrdiff_t n, const REAL *X, ptrdiff_t stride, const REAL *center, REAL *m,
                         ptrdiff_t length, const char *ahead)
{
    V sum[2][4] = {{{0}}}, c[2];
    for (int v = 0; v < vectors; v++)
        c[v] = NAME(load)(center + v * LANES);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (ahead != NULL)
            for (int b = 0; b < vectors * VECTOR_BYTES; b += 64)
                __builtin_prefetch(ahead + i * vectors * VECTOR_BYTES + b, 0, 2);
        for (int v = 0; v < vectors; v++) {
            V x = NAME(load)(X + i * stride + v * LANES) - c[v], square = x * x;
            sum[v][0] += x;
            sum[v][1] += square;
            sum[v][2] += square * x;
            sum[v][3] += square * square;
        }
    }
    for (int v = 0; v < vectors; v++)
        for (int k = 0; k < 4; k++)
            NAME(store)(m + k * length + v * LANES, sum[v][k]);
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
    ptrdiff_t block = (16 << 10) / (d * REAL_BYTES + 1); /* a third of the L1 cache */
    REAL *center = calloc(6 * (d + 1), sizeof(REAL)), *m = center + d, *zeros = m + 4 * d;
    if (center == NULL)
        return 0;
    block = block < 64 ? 64 : block > 1024 ? 1024 : block;
    for (ptrdiff_t start = 0; start < n; start += block, X += block * stride) {
        ptrdiff_t rows = n - start < block ? n - start : block;
        const REAL *next_block = n - start >= 2 * block && stride < 2 * d ? X + block * stride : NULL;
        memset(center, 0, d * sizeof(REAL));
        for (ptrdiff_t i = 0; i < rows; i += 2) {
            const REAL *row = X + i * stride, *next = i + 1 < rows ? row + stride : zeros;
            if (next_block != NULL)
                for (ptrdiff_t b = 0; b < 2 * d * REAL_BYTES; b += 64)
                    __builtin_prefetch((const char *)(next_block + i * d) + b, 0, 2);
            _Pragma("omp simd") for (ptrdiff_t j = 0; j < d; j++) center[j] += row[j] + next[j];
        }
        for (ptrdiff_t j = 0; j < d; j++)
            center[j] /= rows;
        if (d >= LANES)
            for (ptrdiff_t j = 0; j < d;) {
                const char *ahead = next_block == NULL ? NULL : (const char *)(next_block + rows * j);
                ptrdiff_t k = j + LANES <= d ? j : d - LANES; /* the last columns are summed again, not added again */
                if (j + 2 * LANES <= d) {
                    NAME(powers)(2, rows, X + j, stride, center + j, m + j, d, ahead);
                    j += 2 * LANES;
                } else {
                    NAME(powers)(1, rows, X + k, stride, center + k, m + k, d, ahead);
                    j += LANES;
                }
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
