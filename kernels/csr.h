/* A block of rows of a CSR matrix, for INDEX (int32_t or int64_t): its linear predictor X c, and X^T g.
 *
 * Products are formed in double whatever REAL is: the gathers bound the speed, and sums go straight to the caller's
 * float64 array, whose size would make a float32 copy per block of rows dear. Entries go by fours, which share a vector
 * multiplication. The two passes prefetch, the first the indices and the second the data, so far ahead that the next
 * block is at hand when its indices are checked.
 */

/* Do the block's rows lie within the nnz entries, one behind the other, and their column indices within [0, d)? */
static int INAME(csr_valid)(ptrdiff_t n, const INDEX *restrict indptr, ptrdiff_t nnz, const INDEX *restrict indices,
                            ptrdiff_t d)
{
    UINDEX largest = 0; /* a negative index is a large unsigned one */
    int ordered = 1;
    for (ptrdiff_t i = 0; i < n; i++)
        ordered &= indptr[i] <= indptr[i + 1];
    if (!ordered || indptr[0] < 0 || indptr[n] > nnz)
        return 0;
    for (ptrdiff_t k = indptr[0], end = indptr[n]; k < end; k++)
        largest = (UINDEX)indices[k] > largest ? (UINDEX)indices[k] : largest;
    return indptr[0] == indptr[n] || (uint64_t)largest < (uint64_t)d;
}

/* Four entries as double. Written out, because GCC then converts float by one instruction. */
#define FOUR(p) ((INAME(four)){(p)[0], (p)[1], (p)[2], (p)[3]})
#define PREFETCH(array)                                                                                               \
    for (ptrdiff_t b = k; b < end; b += 64 / (ptrdiff_t)sizeof(array)[0])                                             \
    __builtin_prefetch((array) + b + ENTRIES_AHEAD)

typedef double INAME(four) __attribute__((vector_size(32)));

static void INAME(csr_predict)(ptrdiff_t n, const INDEX *indptr, const INDEX *restrict indices,
                               const REAL *restrict data, const double *restrict c, double constant, REAL *restrict z)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        INAME(four) sum = {0};
        double even = constant, odd = 0;
        ptrdiff_t k = indptr[i], end = indptr[i + 1];
        PREFETCH(indices);
        for (; k + 3 < end; k += 4)
            sum += FOUR(data + k) * (INAME(four)){c[(UINDEX)indices[k]], c[(UINDEX)indices[k + 1]],
                                                  c[(UINDEX)indices[k + 2]], c[(UINDEX)indices[k + 3]]};
        if (k + 1 < end) {
            even += data[k] * c[(UINDEX)indices[k]];
            odd += data[k + 1] * c[(UINDEX)indices[k + 1]];
            k += 2;
        }
        if (k < end)
            even += data[k] * c[(UINDEX)indices[k]];
        z[i] = (REAL)(((sum[0] + sum[2]) + (sum[1] + sum[3])) + (even + odd));
    }
}

static void INAME(csr_gradient)(ptrdiff_t n, const INDEX *indptr, const INDEX *restrict indices,
                                const REAL *restrict data, const REAL *restrict g, double *restrict sum)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        double gi = g[i];
        ptrdiff_t k = indptr[i], end = indptr[i + 1];
        PREFETCH(data);
        for (; k + 3 < end; k += 4) { /* one behind the other: columns may repeat */
            INAME(four) product = FOUR(data + k) * gi;
            sum[(UINDEX)indices[k]] += product[0];
            sum[(UINDEX)indices[k + 1]] += product[1];
            sum[(UINDEX)indices[k + 2]] += product[2];
            sum[(UINDEX)indices[k + 3]] += product[3];
        }
        for (; k < end; k++)
            sum[(UINDEX)indices[k]] += gi * data[k];
    }
}
#undef FOUR
#undef PREFETCH
