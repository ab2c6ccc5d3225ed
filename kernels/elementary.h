/* exp and log1p for REAL (float or double), without branches or calls, so that a loop over them becomes SIMD code.
 *
 * Within 2 units in the last place over the whole range. exp: Cody-Waite reduction to |r| <= ln(2)/2; log1p(e):
 * 2 atanh(e / (2 + e)). The polynomials are Chebyshev fits of (exp(r) - 1 - r) / r^2 and (atanh(s) / s - 1) / s^2.
 */

static inline REAL NAME(exp)(REAL x)
{
    union { REAL f; BITS i; } t, scale;
#if REAL_BYTES == 4
    const REAL low = -86.5f, high = 89.f, magic = 12582912.f; /* 1.5 * 2^23: adding it rounds to an integer */
    REAL c = x < low ? low : x > high ? high : x, r, p;
    t.f = c * 1.44269504088896341f + magic;
    r = c - (t.f - magic) * 0.693359375f;
    r = r - (t.f - magic) * -2.12194440054690583e-4f;
    p = 0.001392618358771349454f;
    p = p * r + 0.00836317905272257737f;
    p = p * r + 0.0416665546172045742f;
    p = p * r + 0.1666657698969877568f;
    p = p * r + 0.5f;
    scale.i = (int32_t)((uint32_t)(t.i + 126) << 23); /* unsigned: the high bits are shifted out */
#else
    const REAL low = -707., high = 710., magic = 6755399441055744.; /* 1.5 * 2^52 */
    REAL c = x < low ? low : x > high ? high : x, r, p;
    t.f = c * 1.442695040888963407359925 + magic;
    r = c - (t.f - magic) * 0.693147180369123816490;
    r = r - (t.f - magic) * 1.90821492927058770002e-10;
    p = 2.510038549551031908e-8;
    p = p * r + 2.762008844540974816e-7;
    p = p * r + 2.755726845999706477e-6;
    p = p * r + 2.480152129595437513e-5;
    p = p * r + 1.984126986305361688e-4;
    p = p * r + 1.38888889172137169e-3;
    p = p * r + 8.333333333330061833e-3;
    p = p * r + 0.04166666666662412787;
    p = p * r + 0.1666666666666666745;
    p = p * r + 0.5000000000000001022;
    scale.i = (int64_t)((uint64_t)(t.i + 1022) << 52);
#endif
    /* Scaled by 2^(n - 1) and then by 2, so that results beside the largest number do not overflow on the way. */
    r = ((r + r * r * p) + 1) * scale.f * 2;
    return x < low ? 0 : r; /* at most 3e-38 (1e-307): flushed to zero */
}

/* log(1 + e) for 0 <= e <= 1. */
static inline REAL NAME(log1p)(REAL e)
{
    REAL s = e / (2 + e), u = s * s, p;
#if REAL_BYTES == 4
    p = 0.134257490114185759f;
    p = p * u + 0.1411830990265524072f;
    p = p * u + 0.2000378032245560288f;
    p = p * u + 0.3333332016834961989f;
#else
    p = 0.0808202280597176611;
    p = p * u + 0.04400369243072336941;
    p = p * u + 0.06000536404795356268;
    p = p * u + 0.06657072104827468075;
    p = p * u + 0.07692785032479311552;
    p = p * u + 0.09090894718066429085;
    p = p * u + 0.1111111135871393149;
    p = p * u + 0.1428571428355437858;
    p = p * u + 0.2000000000000729134;
    p = p * u + 0.3333333333333332928;
#endif
    s = s + s;
    return s + s * (u * p);
}
