/* The losses: what one row costs by y and z, the row's linear predictor, and its first and second derivative by z.
 *
 * To add one: write its two functions here and name it in loss_list.h. A branch is written as a choice between values,
 * which SIMD code can make lane by lane. `parameter` is the loss's own (Huber's delta, the quantile, Tweedie's power).
 */

#define LOSS(name) static inline void NAME(name)(REAL y, REAL z, REAL parameter, REAL *loss, REAL *gradient)
#define CURVATURE(name) static inline REAL NAME(name##_curvature)(REAL y, REAL z, REAL parameter)
#define UNUSED(argument) (void)argument

LOSS(squared)
{
    REAL residual = z - y;
    UNUSED(parameter);
    *loss = (REAL)0.5 * residual * residual;
    *gradient = residual;
}

CURVATURE(squared)
{
    UNUSED(y), UNUSED(z), UNUSED(parameter);
    return 1;
}

/* log(1 + exp(z)) - y z with exp of -|z| alone, so that nothing overflows. */
LOSS(logistic)
{
    REAL e = NAME(exp)(z < 0 ? z : -z), inverse = 1 / (1 + e);
    UNUSED(parameter);
    *loss = ((z > 0 ? z : 0) - y * z) + NAME(log1p)(e);
    *gradient = (z < 0 ? e * inverse : inverse) - y;
}

CURVATURE(logistic)
{
    REAL e = NAME(exp)(z < 0 ? z : -z), inverse = 1 / (1 + e);
    UNUSED(y), UNUSED(parameter);
    return e * inverse * inverse;
}

/* Means exp(z) throughout: the log link. Terms of y alone are left out. */
LOSS(poisson)
{
    REAL mean = NAME(exp)(z);
    UNUSED(parameter);
    *loss = mean - y * z;
    *gradient = mean - y;
}

CURVATURE(poisson)
{
    UNUSED(y), UNUSED(parameter);
    return NAME(exp)(z);
}

LOSS(gamma)
{
    REAL ratio = y * NAME(exp)(-z);
    UNUSED(parameter);
    *loss = z + ratio;
    *gradient = 1 - ratio;
}

CURVATURE(gamma)
{
    UNUSED(parameter);
    return y * NAME(exp)(-z);
}

/* Half the deviance for a variance of mean^power, 1 < power < 2. */
LOSS(tweedie)
{
    REAL a = NAME(exp)((2 - parameter) * z), b = y * NAME(exp)((1 - parameter) * z);
    *loss = a / (2 - parameter) - b / (1 - parameter);
    *gradient = a - b;
}

CURVATURE(tweedie)
{
    REAL a = NAME(exp)((2 - parameter) * z), b = y * NAME(exp)((1 - parameter) * z);
    return (2 - parameter) * a - (1 - parameter) * b;
}

LOSS(huber)
{
    REAL residual = z - y, size = residual < 0 ? -residual : residual;
    REAL clipped = residual > parameter ? parameter : residual < -parameter ? -parameter : residual;
    *loss = size > parameter ? parameter * (size - (REAL)0.5 * parameter) : (REAL)0.5 * residual * residual;
    *gradient = clipped;
}

CURVATURE(huber)
{
    REAL residual = z - y;
    return ((residual <= parameter) & (residual >= -parameter)) ? 1 : 0;
}

LOSS(pinball)
{
    REAL residual = y - z, slope = residual < 0 ? parameter - 1 : parameter;
    *loss = slope * residual;
    *gradient = -slope;
}

CURVATURE(pinball) /* not defined where it is not 0: linear.pyx refuses it */
{
    UNUSED(y), UNUSED(z), UNUSED(parameter);
    return 0;
}

/* max(0, 1 - s z)^2 with s = 2 y - 1, the label as a sign. */
LOSS(squared_hinge)
{
    REAL sign = 2 * y - 1, margin = 1 - sign * z;
    UNUSED(parameter);
    margin = margin > 0 ? margin : 0;
    *loss = margin * margin;
    *gradient = -2 * sign * margin;
}

CURVATURE(squared_hinge)
{
    REAL sign = 2 * y - 1;
    UNUSED(parameter);
    return sign * z < 1 ? 2 * sign * sign : 0;
}

#undef LOSS
#undef CURVATURE
#undef UNUSED
