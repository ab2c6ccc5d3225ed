/* The loops of reduce.h for one SIMD level. Each is a few lines that the compiler makes SIMD code of. */

#define LOOP(op, tag, type, expression)                                                                               \
    static void PASTE(op, tag, LEVEL)(void *out, const void *x, ptrdiff_t n)                                          \
    {                                                                                                                 \
        type *a = out;                                                                                                \
        const type *b = x;                                                                                            \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) a[i] = expression;                                      \
    }

#define LOGICAL(tag, type)                                                                                            \
    LOOP(logical_and, tag, type, (type)((a[i] != 0) & (b[i] != 0)))                                                   \
    LOOP(logical_or, tag, type, (type)((a[i] != 0) | (b[i] != 0)))                                                    \
    LOOP(logical_xor, tag, type, (type)((a[i] != 0) ^ (b[i] != 0)))

#define BITWISE(tag, type)                                                                                            \
    LOOP(bitwise_and, tag, type, (type)(a[i] & b[i]))                                                                 \
    LOOP(bitwise_or, tag, type, (type)(a[i] | b[i]))                                                                  \
    LOOP(bitwise_xor, tag, type, (type)(a[i] ^ b[i]))

#define BOOL(tag, type, unused)                                                                                       \
    LOOP(sum, tag, type, (a[i] | b[i]) != 0)                                                                          \
    LOOP(prod, tag, type, (a[i] != 0) & (b[i] != 0))                                                                  \
    LOOP(min, tag, type, (a[i] != 0) & (b[i] != 0))                                                                   \
    LOOP(max, tag, type, (a[i] | b[i]) != 0)                                                                          \
    LOGICAL(tag, type)                                                                                                \
    BITWISE(tag, type)

#define INTEGER(tag, type, wrapping)                                                                                  \
    LOOP(sum, tag, type, (type)((wrapping)a[i] + (wrapping)b[i]))                                                     \
    LOOP(prod, tag, type, (type)((wrapping)a[i] * (wrapping)b[i]))                                                    \
    LOOP(min, tag, type, a[i] < b[i] ? a[i] : b[i])                                                                   \
    LOOP(max, tag, type, a[i] > b[i] ? a[i] : b[i])                                                                   \
    LOGICAL(tag, type)                                                                                                \
    BITWISE(tag, type)

/* A comparison with NaN is false, so a NaN in b is taken; one in a is kept. Of two zeros NumPy takes b, or, in long
 * double (keeps_equal), a. */
#define FLOAT(tag, type, keeps_equal)                                                                                 \
    LOOP(sum, tag, type, a[i] + b[i])                                                                                 \
    LOOP(prod, tag, type, a[i] * b[i])                                                                                \
    LOOP(min, tag, type, (a[i] < b[i]) | (a[i] != a[i]) | (keeps_equal & (a[i] == b[i])) ? a[i] : b[i])               \
    LOOP(max, tag, type, (a[i] > b[i]) | (a[i] != a[i]) | (keeps_equal & (a[i] == b[i])) ? a[i] : b[i])               \
    LOGICAL(tag, type)

/* NumPy rounds one product of each pair, and the other only with the sum, where the machine can. */
#if HAS_FMA
#define PRODUCT(fma, a, b, c, d) fma(a, b, (c) * (d))
#else
#define PRODUCT(fma, a, b, c, d) ((a) * (b) + (c) * (d))
#endif
#define PLAIN_FMA(a, b, c) ((a) * (b) + (c))

#define COMPLEX_ORDER(op, tag, type, before)                                                                          \
    static void PASTE(op, tag, LEVEL)(void *out, const void *x, ptrdiff_t n)                                          \
    {                                                                                                                 \
        type *a = out;                                                                                                \
        const type *b = x;                                                                                            \
        for (ptrdiff_t i = 0; i < 2 * n; i += 2) {                                                                    \
            int nan_a = (a[i] != a[i]) | (a[i + 1] != a[i + 1]), nan_b = b[i + 1] != b[i + 1];                        \
            int keep = nan_a | ((a[i] before b[i]) & !nan_b) | ((a[i] == b[i]) & (a[i + 1] before## = b[i + 1]));     \
            a[i] = keep ? a[i] : b[i];                                                                                \
            a[i + 1] = keep ? a[i + 1] : b[i + 1];                                                                    \
        }                                                                                                             \
    }

#define COMPLEX_LOGICAL(op, tag, type, operator)                                                                      \
    static void PASTE(op, tag, LEVEL)(void *out, const void *x, ptrdiff_t n)                                          \
    {                                                                                                                 \
        type *a = out;                                                                                                \
        const type *b = x;                                                                                            \
        for (ptrdiff_t i = 0; i < 2 * n; i += 2) {                                                                    \
            a[i] = ((a[i] != 0) | (a[i + 1] != 0)) operator((b[i] != 0) | (b[i + 1] != 0));                           \
            a[i + 1] = 0;                                                                                             \
        }                                                                                                             \
    }

#define COMPLEX(tag, type, fma)                                                                                       \
    static void PASTE(sum, tag, LEVEL)(void *out, const void *x, ptrdiff_t n)                                         \
    {                                                                                                                 \
        type *a = out;                                                                                                \
        const type *b = x;                                                                                            \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < 2 * n; i++) a[i] += b[i];                                       \
    }                                                                                                                 \
    static void PASTE(prod, tag, LEVEL)(void *out, const void *x, ptrdiff_t n)                                        \
    {                                                                                                                 \
        type *a = out;                                                                                                \
        const type *b = x;                                                                                            \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < 2 * n; i += 2)                                                  \
        {                                                                                                             \
            type re = a[i], im = a[i + 1];                                                                            \
            a[i] = PRODUCT(fma, re, b[i], -im, b[i + 1]);                                                             \
            a[i + 1] = PRODUCT(fma, re, b[i + 1], im, b[i]);                                                          \
        }                                                                                                             \
    }                                                                                                                 \
    COMPLEX_ORDER(min, tag, type, <)                                                                                  \
    COMPLEX_ORDER(max, tag, type, >)                                                                                  \
    COMPLEX_LOGICAL(logical_and, tag, type, &)                                                                        \
    COMPLEX_LOGICAL(logical_or, tag, type, |)                                                                         \
    COMPLEX_LOGICAL(logical_xor, tag, type, ^)

#define ADD(tag, type, family, extra) family(tag, type, extra)
FOR_EACH_DTYPE(ADD)
#undef ADD

#undef LOOP
#undef BOOL
#undef INTEGER
#undef FLOAT
#undef PRODUCT
#undef PLAIN_FMA
#undef LOGICAL
#undef BITWISE
#undef COMPLEX_ORDER
#undef COMPLEX_LOGICAL
#undef COMPLEX
