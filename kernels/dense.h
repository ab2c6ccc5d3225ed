/* A block of rows of a dense matrix: its linear predictor X c, and X^T g.
 *
 * A row is read as whole vectors and one last window of LANES columns that ends with the row: the window's lanes that
 * a whole vector has had are masked. Coefficients and sums are laid out alike ("windowed"), their last LANES entries
 * belonging to the window. So no row is read past its end; a row shorter than a vector is read into the next row, or
 * copied where there is none.
 */

#define ROWS 8

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

/* Touches the row that lies `ahead` bytes farther on; 0: none. */
INLINE void NAME(prefetch)(const NAME(windows) *s, const REAL *row, ptrdiff_t ahead)
{
    if (ahead)
        for (ptrdiff_t b = 0; b < s->d * REAL_BYTES; b += 64)
            __builtin_prefetch((const char *)row + ahead + b, 0, 2);
}

/* z = X c + constant for some rows, each read from its start to its end: memory streams best in its own order.
 * `vectors` is a small row's length in vectors, known when this is compiled, or 0. */
INLINE void NAME(dot_rows)(const NAME(windows) *s, const int rows, const int vectors, const REAL *x, ptrdiff_t stride,
                           const REAL *c, REAL constant, REAL *z, ptrdiff_t ahead)
{
    const ptrdiff_t whole = vectors ? (vectors - 1) * LANES : s->whole;
    V sum[ROWS] = {{0}};
    for (int r = 0; r < rows; r++) {
        const REAL *row = x + r * stride;
        V even = {0}, odd = {0}; /* two sums, for the latency of an addition */
        ptrdiff_t j = 0;
        if (r % 2)
            NAME(prefetch)(s, row, ahead);
        for (; j + LANES < whole; j += 2 * LANES) {
            even += NAME(load)(row + j) * NAME(load)(c + j);
            odd += NAME(load)(row + j + LANES) * NAME(load)(c + j + LANES);
        }
        if (j < whole)
            even += NAME(load)(row + j) * NAME(load)(c + j);
        odd += NAME(masked)(NAME(load)(row + s->window), s->mask) * NAME(load)(c + whole);
        sum[r] = even + odd;
    }
    if (rows == ROWS)
        for (int r = 0; r < ROWS; r += 16 / REAL_BYTES)
            *(NAME(unaligned_quad) *)(z + r) = NAME(lane_sums)(sum + r) + constant;
    else
        for (int r = 0; r < rows; r++)
            z[r] = NAME(lane_sums)(sum + r)[0] + constant;
}

/* sum + X^T g of one vector's columns. */
INLINE V NAME(add_columns)(const int rows, const REAL *x, ptrdiff_t stride, const REAL *g, V sum)
{
    V odd = {0};
    for (int r = 0; r < rows; r++)
        if (r % 2)
            odd += NAME(load)(x + r * stride) * g[r];
        else
            sum += NAME(load)(x + r * stride) * g[r];
    return sum + odd;
}

/* sum += X^T g for some rows: they lie in the cache, and go together to share the loads and stores of the sum. */
INLINE void NAME(add_rows)(const NAME(windows) *s, const int rows, const REAL *x, ptrdiff_t stride, const REAL *g,
                           REAL *sum, ptrdiff_t ahead)
{
    for (int r = 0; r < rows; r += 2)
        NAME(prefetch)(s, x + r * stride, ahead);
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
                                ptrdiff_t stride, const REAL *c, REAL constant, REAL *z, ptrdiff_t ahead)
{
    REAL copy[ROWS * LANES] = {0};
    ptrdiff_t i = 0;
#define GROUPS(vectors)                                                                                               \
    for (; i + ROWS <= n; i += ROWS) {                                                                                \
        ptrdiff_t step = stride;                                                                                      \
        const REAL *x = NAME(rows_at)(s, ROWS, i, readable, X, &step, copy);                                          \
        NAME(dot_rows)(s, ROWS, vectors, x, step, c, constant, z + i, ahead);                                                \
    }                                                                                                                 \
    break
    switch (s->whole / LANES + 1) {
    case 1: GROUPS(1);
    case 2: GROUPS(2);
    case 3: GROUPS(3);
    case 4: GROUPS(4);
    default: GROUPS(0);
    }
#undef GROUPS
    for (; i < n; i++) {
        ptrdiff_t step = stride;
        NAME(dot_rows)(s, 1, 0, NAME(rows_at)(s, 1, i, readable, X, &step, copy), 0, c, constant, z + i, ahead);
    }
}

static void NAME(dense_gradient)(const NAME(windows) *s, ptrdiff_t n, ptrdiff_t readable, const REAL *X,
                                 ptrdiff_t stride, const REAL *g, REAL *sum, ptrdiff_t ahead)
{
    REAL copy[ROWS * LANES] = {0};
    ptrdiff_t i = 0;
    for (; i + ROWS <= n; i += ROWS) {
        ptrdiff_t step = stride;
        const REAL *x = NAME(rows_at)(s, ROWS, i, readable, X, &step, copy);
        NAME(add_rows)(s, ROWS, x, step, g + i, sum, ahead);
    }
    for (; i < n; i++) {
        ptrdiff_t step = stride;
        NAME(add_rows)(s, 1, NAME(rows_at)(s, 1, i, readable, X, &step, copy), 0, g + i, sum, ahead);
    }
}
#undef ROWS
