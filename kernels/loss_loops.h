/* A loop over a block of rows for each loss, and its table.
 *
 * Each writes weight * derivative into `derivative`, adds its sum to *sum, and clears *valid where y leaves the loss's
 * range or a weight is negative or NaN. The first kind of loop takes the gradient and returns the weighted loss, the
 * second takes the curvature and returns 0.
 */

#define LOSS_LOOP(name, kind, body)                                                                                   \
    static REAL PASTE4(name, kind, REAL, LEVEL)(ptrdiff_t n, const REAL *restrict y, const REAL *restrict weight,     \
                                                const REAL *restrict z, REAL parameter, REAL low, REAL high,          \
                                                REAL *restrict derivative, REAL *sum, int *valid)                     \
    {                                                                                                                 \
        REAL total = 0, total_derivative = 0;                                                                         \
        int ok = 1;                                                                                                   \
        _Pragma("omp simd reduction(+ : total, total_derivative) reduction(& : ok)") for (ptrdiff_t i = 0; i < n;     \
                                                                                          i++)                        \
        {                                                                                                             \
            REAL loss = 0, g;                                                                                         \
            body;                                                                                                     \
            g *= weight[i];                                                                                           \
            derivative[i] = g;                                                                                        \
            total += weight[i] * loss;                                                                                \
            total_derivative += g;                                                                                    \
            ok &= (y[i] >= low) & (y[i] <= high) & (weight[i] >= 0);                                                  \
        }                                                                                                             \
        *sum += total_derivative;                                                                                     \
        *valid &= ok;                                                                                                 \
        return total;                                                                                                 \
    }
#define ADD(name, low, high)                                                                                          \
    LOSS_LOOP(name, gradient_block, NAME(name)(y[i], z[i], parameter, &loss, &g))                                           \
    LOSS_LOOP(name, curvature_block, g = NAME(name##_curvature)(y[i], z[i], parameter))
FOR_EACH_LOSS(ADD)
#undef ADD
#undef LOSS_LOOP

typedef REAL (*NAME(loss_loop))(ptrdiff_t, const REAL *, const REAL *, const REAL *, REAL, REAL, REAL, REAL *, REAL *,
                                int *);

typedef struct {
    NAME(loss_loop) gradient, curvature;
    REAL low, high; /* the range of y */
} NAME(loss_entry);

#define ADD(name, low, high) {PASTE4(name, gradient_block, REAL, LEVEL), PASTE4(name, curvature_block, REAL, LEVEL), low, high},
static const NAME(loss_entry) NAME(loss_table)[] = {FOR_EACH_LOSS(ADD)};
#undef ADD
