/* A block of rows of a dense matrix: its linear predictor X c, and X^T g.
 *
 * A row is read as whole vectors and one last window of LANES columns that ends with the row: the window's lanes that
 * a whole vector has had are masked. Coefficients and sums are laid out alike ("windowed"), their last LANES entries
 * belonging to the window. So no row is read past its end; a row shorter than a vector is read into the next row, or
 * copied where there is none.
 */

#define ROWS (LANES > 8 ? LANES : 8) /* that are read together: one whole vector of z, or more */

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

/* Asks for memory at `ahead` (NULL: none) to be brought into the cache, half as many bytes as `rows` rows hold. The two
 * passes over a block bring in the next one so, in the order of its addresses and at an even pace: memory then never
 * rests while the gradient is formed, and the hardware sees one stream and runs ahead of it. */
INLINE void NAME(prefetch)(const int rows, ptrdiff_t stride, const char *ahead)
{
    if (ahead != NULL)
        for (ptrdiff_t b = 0; b < rows * stride * REAL_BYTES / 2; b += 64)
            __builtin_prefetch(ahead + b);
}

INLINE const char *NAME(ahead_of_row)(const char *ahead, ptrdiff_t i, ptrdiff_t stride)
{
    return ahead == NULL ? NULL : ahead + i * stride * REAL_BYTES / 2;
}

/* Each row's products with c, summed lane by lane, for 8 rows, which share the loads of c, or 1. `vectors` is a short
 * row's length in vectors, known when this is compiled, or 0. */
INLINE void NAME(dot_rows)(const NAME(windows) *s, const int rows, const int vectors, const REAL *x, ptrdiff_t stride,
                           const REAL *c, V *product)
{
    const ptrdiff_t whole = vectors ? (vectors - 1) * LANES : s->whole;
    V sum[8] = {{0}}, last = NAME(load)(c + whole);
    for (ptrdiff_t j = 0; j < whole; j += LANES) {
        V cj = NAME(load)(c + j);
        for (int r = 0; r < rows; r++)
            sum[r] += NAME(load)(x + r * stride + j) * cj;
    }
    for (int r = 0; r < rows; r++)
        product[r] = sum[r] + NAME(masked)(NAME(load)(x + r * stride + s->window), s->mask) * last;
}

/* total[chain] += X^T g for one row of `vectors` vectors. */
INLINE void NAME(add_short_row)(const int vectors, ptrdiff_t window, const REAL *x, REAL g, V *total)
{
    for (int v = 0; v < vectors - 1; v++)
        total[v] += NAME(load)(x + v * LANES) * g;
    total[vectors - 1] += NAME(load)(x + window) * g;
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

/* sum += X^T g for some long rows, which share the loads and stores of the sum. */
INLINE void NAME(add_rows)(const NAME(windows) *s, const int rows, const REAL *x, ptrdiff_t stride, const REAL *g,
                           REAL *sum)
{
    for (ptrdiff_t j = 0; j < s->whole; j += LANES)
        NAME(store)(sum + j, NAME(add_columns)(rows, x + j, stride, g, NAME(load)(sum + j)));
    sum += s->whole;
    NAME(store)(sum, NAME(add_columns)(rows, x + s->window, stride, g, NAME(load)(sum)));
}

/* How many of n rows can be read as vectors without leaving the matrix. */
static ptrdiff_t NAME(readable)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t stride)
{
    ptrdiff_t last = (n - 1) * stride + s->d - LANES; /* where the last vector may start */
    if (s->d >= LANES || n == 0)
        return n;
    return last < 0 ? 0 : last / stride + 1;
}

/* Row i on, with its stride: from X, or copied to `copy` where a vector would leave the matrix. */
INLINE const REAL *NAME(rows_at)(const NAME(windows) *s, const int rows, ptrdiff_t i, ptrdiff_t readable, const REAL *X,
                                 ptrdiff_t *stride, REAL *copy)
{
    if (i + rows <= readable)
        return X + i * *stride;
    for (int r = 0; r < rows; r++)
        memcpy(copy + r * LANES, X + (i + r) * *stride, s->d * sizeof(REAL));
    *stride = LANES;
    return copy;
}

static void NAME(dense_predict)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t readable, const REAL *X,
                                ptrdiff_t stride, const REAL *c, REAL constant, REAL *z, const char *ahead)
{
    REAL copy[8 * LANES] = {0};
    V product[ROWS] = {{0}};
    ptrdiff_t i = 0;
#define ALL_GROUPS(vectors)                                                                                           \
    for (; i + ROWS <= n; i += ROWS) {                                                                                \
        for (int r = 0; r < ROWS; r += 8) {                                                                           \
            ptrdiff_t step = stride;                                                                                  \
            const REAL *x = NAME(rows_at)(s, 8, i + r, readable, X, &step, copy);                                     \
            NAME(prefetch)(8, stride, NAME(ahead_of_row)(ahead, i + r, stride));                                      \
            NAME(dot_rows)(s, 8, vectors, x, step, c, product + r);                                                   \
        }                                                                                                             \
        for (int r = 0; r < ROWS; r += LANES)                                                                         \
            NAME(store)(z + i + r, NAME(lane_sums)(product + r) + constant);                                          \
    }                                                                                                                 \
    break
    switch (s->whole / LANES + 1) {
    case 1: ALL_GROUPS(1);
    case 2: ALL_GROUPS(2);
    case 3: ALL_GROUPS(3);
    case 4: ALL_GROUPS(4);
    default: ALL_GROUPS(0);
    }
#undef ALL_GROUPS
    for (; i < n; i++) {
        ptrdiff_t step = stride;
        NAME(dot_rows)(s, 1, 0, NAME(rows_at)(s, 1, i, readable, X, &step, copy), step, c, product);
        z[i] = NAME(lane_sums)(product)[0] + constant;
    }
}

/* sum += X^T g for rows of up to 4 vectors: the sums stay in registers over the whole block. */
INLINE void NAME(short_gradient)(const NAME(windows) *s, const int vectors, ptrdiff_t n, ptrdiff_t readable,
                                 const REAL *X, ptrdiff_t stride, const REAL *g, REAL *sum, const char *ahead)
{
    const int chains = vectors > 2 ? 2 : 4; /* for the latency of an addition, within AVX2's 16 registers */
    REAL copy[4 * LANES] = {0};
    V total[4][4] = {{{0}}};
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4) {
        ptrdiff_t step = stride;
        const REAL *x = NAME(rows_at)(s, 4, i, readable, X, &step, copy);
        NAME(prefetch)(4, stride, NAME(ahead_of_row)(ahead, i, stride));
        for (int r = 0; r < 4; r++)
            NAME(add_short_row)(vectors, s->window, x + r * step, g[i + r], total[r % chains]);
    }
    for (; i < n; i++) {
        ptrdiff_t step = stride;
        NAME(add_short_row)(vectors, s->window, NAME(rows_at)(s, 1, i, readable, X, &step, copy), g[i], total[0]);
    }
    for (int v = 0; v < vectors; v++)
        NAME(store)(sum + v * LANES,
                    NAME(load)(sum + v * LANES) + ((total[0][v] + total[1][v]) + (total[2][v] + total[3][v])));
}

/* sum (windowed) += X^T g; its entries in the window that a whole vector has had are not to be used. */
static void NAME(dense_gradient)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t readable, const REAL *X,
                                 ptrdiff_t stride, const REAL *g, REAL *sum, const char *ahead)
{
    ptrdiff_t i = 0;
    switch (s->whole / LANES + 1) {
    case 1: NAME(short_gradient)(s, 1, n, readable, X, stride, g, sum, ahead); return;
    case 2: NAME(short_gradient)(s, 2, n, readable, X, stride, g, sum, ahead); return;
    case 3: NAME(short_gradient)(s, 3, n, readable, X, stride, g, sum, ahead); return;
    case 4: NAME(short_gradient)(s, 4, n, readable, X, stride, g, sum, ahead); return;
    }
    for (; i + 8 <= n; i += 8) {
        NAME(prefetch)(8, stride, NAME(ahead_of_row)(ahead, i, stride));
        NAME(add_rows)(s, 8, X + i * stride, stride, g + i, sum);
    }
    for (; i < n; i++)
        NAME(add_rows)(s, 1, X + i * stride, stride, g + i, sum);
}
#undef ROWS
