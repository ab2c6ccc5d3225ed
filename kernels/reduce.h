/* The reduction loops of an all-reduce: out[i] = out[i] op x[i], with the bits of NumPy's add, multiply, minimum and
 * maximum. A table of plain function pointers, so that other C code (a shared-memory all-reduce) can use them too.
 */
#ifndef DPMPI_REDUCE_H
#define DPMPI_REDUCE_H

#include <complex.h>
#include <stddef.h>
#include <stdint.h>

#include "simd.h"

typedef void (*reduce_fn)(void *out, const void *x, ptrdiff_t n);

enum { REDUCE_SUM, REDUCE_PROD, REDUCE_MIN, REDUCE_MAX, REDUCE_OPS };

/* Every dtype: its tag, its C type, the family of loops it takes. Integers wrap, so sums and products are formed in an
 * unsigned type that promotion does not make a signed one. */
#define FOR_EACH_DTYPE(ADD)                                                                                           \
    ADD(bool, uint8_t, BOOL, 0)                                                                                       \
    ADD(int8, int8_t, INTEGER, uint32_t)                                                                              \
    ADD(int16, int16_t, INTEGER, uint32_t)                                                                            \
    ADD(int32, int32_t, INTEGER, uint32_t)                                                                            \
    ADD(int64, int64_t, INTEGER, uint64_t)                                                                            \
    ADD(uint8, uint8_t, INTEGER, uint32_t)                                                                            \
    ADD(uint16, uint16_t, INTEGER, uint32_t)                                                                          \
    ADD(uint32, uint32_t, INTEGER, uint32_t)                                                                          \
    ADD(uint64, uint64_t, INTEGER, uint64_t)                                                                          \
    ADD(float32, float, FLOAT, 0)                                                                                     \
    ADD(float64, double, FLOAT, 0)                                                                                    \
    ADD(longdouble, long double, FLOAT, 1)                                                                            \
    ADD(complex64, float, COMPLEX, __builtin_fmaf)                                                                    \
    ADD(complex128, double, COMPLEX, __builtin_fma)                                                                   \
    ADD(clongdouble, long double, COMPLEX, PLAIN_FMA)

#define ADD(tag, type, family, extra) REDUCE_##tag,
enum { FOR_EACH_DTYPE(ADD) REDUCE_DTYPES };
#undef ADD

#define LOOPS "reduce_loops.h"
#include "each_level.h"

/* The loop for an op and a dtype (REDUCE_SUM..., REDUCE_float32...) at a SIMD level. */
static inline reduce_fn reduce_lookup(int op, int dtype, int level)
{
#define ADD(tag, type, family, extra)                                                                                 \
    {EACH_LEVEL(sum_##tag), EACH_LEVEL(prod_##tag), EACH_LEVEL(min_##tag), EACH_LEVEL(max_##tag)},
    static const reduce_fn table[REDUCE_DTYPES][REDUCE_OPS][SIMD_LEVELS] = {FOR_EACH_DTYPE(ADD)};
#undef ADD
    return table[dtype][op][level];
}

#endif
