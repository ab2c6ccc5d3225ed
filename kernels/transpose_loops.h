/* Columns to rows, for one SIMD level and REAL: squares of LANES columns and LANES rows are transposed in registers, so
 * that each column is read and each row is written by whole vectors. Numbers that are not finite are noticed in passing,
 * or looked for in rows that need no transposing.
 */

#include "vector.h"

/* out (n, d): column j is columns[j]. Returns whether every number is finite. */
static int NAME(join_columns)(ptrdiff_t n, ptrdiff_t d, const void *const *columns, void *out)
{
    const REAL *const *x = (const REAL *const *)columns;
    REAL *row = out;
    V zeros = {0}; /* stays 0 as long as what is added is 0 times a finite number */
    REAL zero = 0;
    ptrdiff_t whole = d < LANES ? 0 : n / LANES * LANES;
    for (ptrdiff_t i = 0; i < whole; i += LANES, row += LANES * d)
        for (ptrdiff_t k = 0; k < d; k += LANES) {
            ptrdiff_t j = k + LANES <= d ? k : d - LANES; /* the last columns may be written twice */
            V square[LANES];
            for (int v = 0; v < LANES; v++) {
                square[v] = NAME(load)(x[j + v] + i);
                zeros += square[v] * 0;
            }
            NAME(transpose)(square);
            for (int v = 0; v < LANES; v++)
                NAME(store)(row + v * d + j, square[v]);
        }
    for (ptrdiff_t j = 0; j < d; j++)
        _Pragma("omp simd reduction(+ : zero)") for (ptrdiff_t i = whole; i < n; i++)
        {
            row[(i - whole) * d + j] = x[j][i];
            zero += x[j][i] * 0;
        }
    for (int v = 0; v < LANES; v++)
        zero += zeros[v];
    return zero == 0;
}

/* Whether n numbers are finite. */
static int NAME(all_finite)(ptrdiff_t n, const void *numbers)
{
    const REAL *x = numbers;
    V zeros[4] = {{0}}; /* for the latency of an addition */
    REAL zero = 0;
    ptrdiff_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            zeros[k] += NAME(load)(x + i + k * LANES) * 0;
    for (; i < n; i++)
        zero += x[i] * 0;
    zeros[0] += zeros[1] + zeros[2] + zeros[3];
    for (int v = 0; v < LANES; v++)
        zero += zeros[0][v];
    return zero == 0;
}

#undef V
#undef LANES
