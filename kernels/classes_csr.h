/* CSR rows and the vectors of K classes, for INDEX (int32_t or int64_t). Eight classes share the reading of a row; all
 * is summed in double whatever REAL is, as for one vector in csr.h. */

typedef double INAME(eight) __attribute__((vector_size(64), aligned(8), may_alias));

/* scores (n, width) = X columns + constant, columns (d, width), width a multiple of 8. Returns 0 when the row pointers
 * do not lie one behind the other within nnz, or a column index not within [0, d). */
static int INAME(csr_scores)(ptrdiff_t n, ptrdiff_t d, ptrdiff_t width, const void *row_starts, const void *columns_of,
                             const void *values, ptrdiff_t nnz, const double *columns, const double *constant,
                             void *out)
{
    const INDEX *indptr = row_starts, *indices = columns_of;
    const REAL *data = values;
    REAL *scores = out;
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t start = indptr[i], end = indptr[i + 1];
        if (start < 0 || end < start || end > nnz)
            return 0;
        for (ptrdiff_t e = start; e < end; e++)
            if ((uint64_t)(UINDEX)indices[e] >= (uint64_t)d)
                return 0;
        for (ptrdiff_t k = 0; k < width; k += 8) {
            INAME(eight) sum = *(const INAME(eight) *)(constant + k);
            for (ptrdiff_t e = start; e < end; e++)
                sum += (double)data[e] * *(const INAME(eight) *)(columns + (ptrdiff_t)indices[e] * width + k);
            for (int c = 0; c < 8; c++)
                scores[i * width + k + c] = (REAL)sum[c];
        }
    }
    return 1;
}

/* sum (d, width) += X^T g, g (n, width), of rows that csr_scores has checked. */
static void INAME(csr_outer)(ptrdiff_t n, ptrdiff_t width, const void *row_starts, const void *columns_of,
                             const void *values, const void *weights, double *sum)
{
    const INDEX *indptr = row_starts, *indices = columns_of;
    const REAL *data = values, *g = weights;
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t k = 0; k < width; k += 8) {
            INAME(eight) gi;
            for (int c = 0; c < 8; c++)
                gi[c] = g[i * width + k + c];
            for (ptrdiff_t e = indptr[i]; e < indptr[i + 1]; e++)
                *(INAME(eight) *)(sum + (ptrdiff_t)indices[e] * width + k) += (double)data[e] * gi;
        }
}
