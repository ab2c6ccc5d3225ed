/* A block of rows of a dense matrix: its linear predictor X c, and X^T g.
 *
 * A row is read as whole vectors and one last window of LANES columns that ends with the row: the window's lanes that
 * a whole vector has had are masked. Coefficients and sums are laid out alike ("windowed"), their last LANES entries
 * belonging to the window. So no row is read past its end; a row shorter than a vector is read into the next row, or
 * copied where there is none.
 */

typedef struct {
    ptrdiff_t d, whole, window; /* columns; those in whole vectors before the window; where the window starts */
    NAME(lane_bits) mask;       /* the window's lanes that count */
} NAME(windows);

static NAME(windows) NAME(windows_of)(ptrdiff_t d)
{
    NAME(windows) s = {.d = d, .whole = (d - 1) / LANES * LANES, .window = d > LANES ? d - LANES : 0};
    BITS mask[LANES];
    for (int lane = 0; lane < LANES; lane++) {
        ptrdiff_t column = s.window + lane;
        mask[lane] = column >= s.whole && column < d ? ~(BITS)0 : 0;
    }
    memcpy(&s.mask, mask, sizeof mask);
    return s;
}

static void NAME(to_windowed)(const NAME(windows) *s, const double *c, REAL *windowed)
{
    for (ptrdiff_t j = 0; j < s->whole; j++)
        windowed[j] = (REAL)c[j];
    for (int lane = 0; lane < LANES; lane++) {
        ptrdiff_t column = s->window + lane;
        windowed[s->whole + lane] = column >= s->whole && column < s->d ? (REAL)c[column] : 0;
    }
}

static void NAME(add_windowed)(const NAME(windows) *s, const REAL *windowed, double *sum)
{
    for (ptrdiff_t j = 0; j < s->whole; j++)
        sum[j] += windowed[j];
    for (ptrdiff_t j = s->whole; j < s->d; j++)
        sum[j] += windowed[s->whole + (j - s->window)];
}

/* Asks for `bytes` at `ahead` (NULL: for none) to be brought into the L2 cache. Both passes over a block ask for the
 * whole next one, because a processor drops such requests when its queue is full: on Zen 4, asking twice gave 25 GB/s
 * of memory's 33 where asking once gave 19, and asking once for the L1 cache 12. */
INLINE void NAME(prefetch)(const char *ahead, ptrdiff_t bytes)
{
    if (ahead != NULL)
        for (ptrdiff_t b = 0; b < bytes; b += 64)
            __builtin_prefetch(ahead + b, 0, 2);
}

INLINE const char *NAME(further)(const char *ahead, ptrdiff_t elements)
{
    return ahead == NULL ? NULL : ahead + elements * REAL_BYTES;
}

/* How many of n rows can be read as vectors without leaving the matrix. */
static ptrdiff_t NAME(readable)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t stride)
{
    ptrdiff_t last = (n - 1) * stride + s->d - LANES; /* where the last vector may start */
    if (s->d >= LANES || n == 0)
        return n;
    return last < 0 ? 0 : last / stride + 1;
}

/* Rows i on, with their stride: in X, or copied to `copy` where a vector would leave the matrix. */
INLINE const REAL *NAME(rows_at)(const NAME(windows) *s, const int rows, ptrdiff_t i, ptrdiff_t readable, const REAL *X,
                                 ptrdiff_t *stride, REAL *copy)
{
    if (__builtin_expect(i + rows <= readable, 1))
        return X + i * *stride;
    memset(copy, 0, rows * VECTOR_BYTES);
    for (int r = 0; r < rows; r++)
        memcpy(copy + r * LANES, X + (i + r) * *stride, s->d * sizeof(REAL));
    *stride = LANES;
    return copy;
}

/* Short rows have up to SHORT vectors, a number known where their loops are compiled: c and X^T g stay in registers. */
#define SHORT 8

/* A short row's products with c, summed lane by lane. */
INLINE V NAME(dot_short)(const NAME(windows) *s, const int vectors, const REAL *x, const REAL *c)
{
    V sum = {0}, last = NAME(masked)(NAME(load)(x + s->window), s->mask) * NAME(load)(c + (vectors - 1) * LANES);
    for (int v = 0; v < vectors - 1; v++)
        sum += NAME(load)(x + v * LANES) * NAME(load)(c + v * LANES);
    return vectors > 1 ? sum + last : last;
}

INLINE void NAME(predict_short)(const NAME(windows) *s, const int vectors, ptrdiff_t n, ptrdiff_t readable,
                                const REAL *X, ptrdiff_t stride, const REAL *c, REAL constant, REAL *z,
                                const char *ahead)
{
    REAL copy[LANES * LANES];
    V pair[LANES / 2];
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        ptrdiff_t step = stride;
        const REAL *x = NAME(rows_at)(s, LANES, i, readable, X, &step, copy);
        _Pragma("GCC unroll 8") for (int r = 0; r < LANES; r += 2, x += 2 * step)
        {
            if (r % 4 == 0)
                NAME(prefetch)(NAME(further)(ahead, (i + r) * stride), (LANES < 4 ? LANES : 4) * stride * REAL_BYTES);
            pair[r / 2] = NAME(add_pair)(NAME(dot_short)(s, vectors, x, c), NAME(dot_short)(s, vectors, x + step, c));
        }
        NAME(store)(z + i, NAME(lane_sums)(pair) + constant);
    }
    for (; i < n; i++) {
        ptrdiff_t step = stride;
        const REAL *x = NAME(rows_at)(s, 1, i, readable, X, &step, copy);
        z[i] = NAME(lane_sum)(NAME(dot_short)(s, vectors, x, c)) + constant;
    }
}

/* total += X^T g for one short row. */
INLINE void NAME(add_short)(const int vectors, ptrdiff_t window, const REAL *x, REAL g, V *total)
{
    for (int v = 0; v < vectors - 1; v++)
        total[v] += NAME(load)(x + v * LANES) * g;
    total[vectors - 1] += NAME(load)(x + window) * g;
}

INLINE void NAME(gradient_short)(const NAME(windows) *s, const int vectors, ptrdiff_t n, ptrdiff_t readable,
                                 const REAL *X, ptrdiff_t stride, const REAL *g, REAL *sum, const char *ahead)
{
    const int chains = vectors > 4 ? 1 : vectors > 2 ? 2 : 4; /* to hide an addition's time, in AVX2's 16 registers */
    REAL copy[4 * LANES];
    V total[4][SHORT] = {{{0}}};
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4) {
        ptrdiff_t step = stride;
        const REAL *x = NAME(rows_at)(s, 4, i, readable, X, &step, copy);
        NAME(prefetch)(NAME(further)(ahead, i * stride), 4 * stride * REAL_BYTES);
        for (int r = 0; r < 4; r++)
            NAME(add_short)(vectors, s->window, x + r * step, g[i + r], total[r % chains]);
    }
    for (; i < n; i++) {
        ptrdiff_t step = stride;
        NAME(add_short)(vectors, s->window, NAME(rows_at)(s, 1, i, readable, X, &step, copy), g[i], total[0]);
    }
    for (int v = 0; v < vectors; v++)
        NAME(store)(sum + v * LANES,
                    NAME(load)(sum + v * LANES) + ((total[0][v] + total[1][v]) + (total[2][v] + total[3][v])));
}

/* Long rows go by eights, a vector's columns of each in turn: they share the loads of c and of the sums. */
#define ROWS 8

/* Each row's products with c, summed lane by lane. */
INLINE void NAME(dot_long)(const NAME(windows) *s, const int rows, const REAL *x, ptrdiff_t stride, const REAL *c,
                           V *sum, const char *ahead)
{
    V last = NAME(load)(c + s->whole);
    for (int r = 0; r < rows; r++)
        sum[r] = NAME(masked)(NAME(load)(x + r * stride + s->window), s->mask) * last;
    for (ptrdiff_t j = 0; j < s->whole; j += LANES) {
        V cj = NAME(load)(c + j);
        NAME(prefetch)(NAME(further)(ahead, rows * j), rows * VECTOR_BYTES);
        for (int r = 0; r < rows; r++)
            sum[r] += NAME(load)(x + r * stride + j) * cj;
    }
    NAME(prefetch)(NAME(further)(ahead, rows * s->whole), rows * (stride - s->whole) * REAL_BYTES);
}

static void NAME(predict_long)(const NAME(windows) *s, ptrdiff_t n, const REAL *X, ptrdiff_t stride, const REAL *c,
                               REAL constant, REAL *z, const char *ahead)
{
    V sum[ROWS], pair[ROWS > LANES ? ROWS / 2 : LANES / 2] = {{0}};
    REAL products[ROWS > LANES ? ROWS : LANES];
    ptrdiff_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        NAME(dot_long)(s, ROWS, X + i * stride, stride, c, sum, NAME(further)(ahead, i * stride));
        for (int r = 0; r < ROWS; r += 2)
            pair[r / 2] = NAME(add_pair)(sum[r], sum[r + 1]);
        for (int r = 0; r < ROWS; r += LANES)
            NAME(store)(products + r, NAME(lane_sums)(pair + r / 2) + constant);
        memcpy(z + i, products, ROWS * sizeof(REAL));
    }
    for (; i < n; i++) {
        NAME(dot_long)(s, 1, X + i * stride, stride, c, sum, NULL);
        z[i] = NAME(lane_sum)(sum[0]) + constant;
    }
}

/* sum + X^T g of one vector's columns. */
INLINE V NAME(add_columns)(const int rows, const REAL *x, ptrdiff_t stride, const REAL *g, V sum)
{
    V odd = {0}; /* two sums, for the latency of an addition */
    for (int r = 0; r < rows; r++)
        if (r % 2)
            odd += NAME(load)(x + r * stride) * g[r];
        else
            sum += NAME(load)(x + r * stride) * g[r];
    return sum + odd;
}

/* sum += X^T g for some long rows. */
INLINE void NAME(add_long)(const NAME(windows) *s, const int rows, const REAL *x, ptrdiff_t stride, const REAL *g,
                           REAL *sum, const char *ahead)
{
    for (ptrdiff_t j = 0; j < s->whole; j += LANES) {
        NAME(prefetch)(NAME(further)(ahead, rows * j), rows * VECTOR_BYTES);
        NAME(store)(sum + j, NAME(add_columns)(rows, x + j, stride, g, NAME(load)(sum + j)));
    }
    NAME(prefetch)(NAME(further)(ahead, rows * s->whole), rows * (stride - s->whole) * REAL_BYTES);
    sum += s->whole;
    NAME(store)(sum, NAME(add_columns)(rows, x + s->window, stride, g, NAME(load)(sum)));
}

static void NAME(gradient_long)(const NAME(windows) *s, ptrdiff_t n, const REAL *X, ptrdiff_t stride, const REAL *g,
                                REAL *sum, const char *ahead)
{
    ptrdiff_t i = 0;
    for (; i + ROWS <= n; i += ROWS)
        NAME(add_long)(s, ROWS, X + i * stride, stride, g + i, sum, NAME(further)(ahead, i * stride));
    for (; i < n; i++)
        NAME(add_long)(s, 1, X + i * stride, stride, g + i, sum, NULL);
}

#define EACH_SHORT CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)

/* z = X c + constant, while memory at `ahead` (NULL: none) is prefetched, as many bytes as the rows have. */
static void NAME(dense_predict)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t readable, const REAL *X,
                                ptrdiff_t stride, const REAL *c, REAL constant, REAL *z, const char *ahead)
{
#define CASE(vectors)                                                                                                 \
    case vectors:                                                                                                     \
        NAME(predict_short)(s, vectors, n, vectors > 1 ? n : readable, X, stride, c, constant, z, ahead);             \
        break;
    switch (s->whole / LANES + 1) {
        EACH_SHORT
    default: NAME(predict_long)(s, n, X, stride, c, constant, z, ahead);
    }
#undef CASE
}

/* sum (windowed) += X^T g, prefetching likewise; the window's entries that a whole vector has had are not to be used. */
static void NAME(dense_gradient)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t readable, const REAL *X,
                                 ptrdiff_t stride, const REAL *g, REAL *sum, const char *ahead)
{
#define CASE(vectors)                                                                                                 \
    case vectors: NAME(gradient_short)(s, vectors, n, vectors > 1 ? n : readable, X, stride, g, sum, ahead); break;
    switch (s->whole / LANES + 1) {
        EACH_SHORT
    default: NAME(gradient_long)(s, n, X, stride, g, sum, ahead);
    }
#undef CASE
}
#undef EACH_SHORT
#undef ROWS
#undef SHORT
