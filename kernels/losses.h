/* The losses: what one row costs, loss(y, z), and its derivative with respect to z, the row's linear predictor.
 *
 * To add one: write its scalar function here and name it in loss_list.h with the range of y it takes.
 */

#define LOSS_FUNCTION(name) static inline void NAME(name)(REAL y, REAL z, REAL parameter, REAL *loss, REAL *gradient)

LOSS_FUNCTION(squared)
{
    REAL residual = z - y;
    (void)parameter;
    *loss = (REAL)0.5 * residual * residual;
    *gradient = residual;
}

/* log(1 + exp(z)) - y z with exp of -|z| alone, so that nothing overflows. */
LOSS_FUNCTION(logistic)
{
    REAL e = NAME(exp)(z < 0 ? z : -z), inverse = 1 / (1 + e);
    (void)parameter;
    *loss = ((z > 0 ? z : 0) - y * z) + NAME(log1p)(e);
    *gradient = (z < 0 ? e * inverse : inverse) - y;
}

#undef LOSS_FUNCTION

/* One block of rows: writes weight * gradient into `gradient`, returns the weighted loss, adds the sum of the weighted
 * gradients to *sum, and clears *valid where y leaves the loss's range or a weight is negative or NaN. */
#define LOSS_LOOP(name, low, high)                                                                                    \
    static REAL PASTE(name##_block, REAL, LEVEL)(ptrdiff_t n, const REAL *restrict y, const REAL *restrict weight,    \
                                                 const REAL *restrict z, REAL parameter, REAL *restrict gradient,     \
                                                 REAL *sum, int *valid)                                               \
    {                                                                                                                 \
        REAL total = 0, total_gradient = 0;                                                                           \
        int ok = 1;                                                                                                   \
        _Pragma("omp simd reduction(+ : total, total_gradient) reduction(& : ok)") for (ptrdiff_t i = 0; i < n; i++)  \
        {                                                                                                             \
            REAL loss, g;                                                                                             \
            NAME(name)(y[i], z[i], parameter, &loss, &g);                                                             \
            g *= weight[i];                                                                                           \
            gradient[i] = g;                                                                                          \
            total += weight[i] * loss;                                                                                \
            total_gradient += g;                                                                                      \
            ok &= (y[i] >= (REAL)(low)) & (y[i] <= (REAL)(high)) & (weight[i] >= 0);                                  \
        }                                                                                                             \
        *sum = total_gradient;                                                                                        \
        *valid &= ok;                                                                                                 \
        return total;                                                                                                 \
    }
FOR_EACH_LOSS(LOSS_LOOP)
#undef LOSS_LOOP
