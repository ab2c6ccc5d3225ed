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

enum {
    REDUCE_SUM,
    REDUCE_PROD,
    REDUCE_MIN,
    REDUCE_MAX,
    REDUCE_LOGICAL_AND,
    REDUCE_LOGICAL_OR,
    REDUCE_LOGICAL_XOR,
    REDUCE_OPS, /* those above are for every dtype, those below for booleans and integers */
    REDUCE_BITWISE_AND = REDUCE_OPS,
    REDUCE_BITWISE_OR,
    REDUCE_BITWISE_XOR,
    REDUCE_ARGMIN, /* for pairs of a value and an index: see reduce_pairs.h */
    REDUCE_ARGMAX
};

/* Every dtype: its tag, its C type, the family of loops it takes. Integers wrap, so sums and products are formed in an
 * unsigned type that promotion does not make a signed one. */
#define FOR_EACH_INTEGER(ADD)                                                                                         \
    ADD(bool, uint8_t, BOOL, 0)                                                                                       \
    ADD(int8, int8_t, INTEGER, uint32_t)                                                                              \
    ADD(int16, int16_t, INTEGER, uint32_t)                                                                            \
    ADD(int32, int32_t, INTEGER, uint32_t)                                                                            \
    ADD(int64, int64_t, INTEGER, uint64_t)                                                                            \
    ADD(uint8, uint8_t, INTEGER, uint32_t)                                                                            \
    ADD(uint16, uint16_t, INTEGER, uint32_t)                                                                          \
    ADD(uint32, uint32_t, INTEGER, uint32_t)                                                                          \
    ADD(uint64, uint64_t, INTEGER, uint64_t)

#define FOR_EACH_DTYPE(ADD)                                                                                           \
    FOR_EACH_INTEGER(ADD)                                                                                             \
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

#include "reduce_pairs.h"

/* The loop for an op and a dtype (REDUCE_SUM..., REDUCE_float32...) at a SIMD level; NULL where there is none. */
static inline reduce_fn reduce_lookup(int op, int dtype, int level)
{
#define ADD(tag, type, family, extra)                                                                                 \
    {EACH_LEVEL(sum_##tag),         EACH_LEVEL(prod_##tag),       EACH_LEVEL(min_##tag),        EACH_LEVEL(max_##tag), \
     EACH_LEVEL(logical_and_##tag), EACH_LEVEL(logical_or_##tag), EACH_LEVEL(logical_xor_##tag)},
    static const reduce_fn table[REDUCE_DTYPES][REDUCE_OPS][SIMD_LEVELS] = {FOR_EACH_DTYPE(ADD)};
#undef ADD
#define ADD(tag, type, family, extra)                                                                                 \
    {EACH_LEVEL(bitwise_and_##tag), EACH_LEVEL(bitwise_or_##tag), EACH_LEVEL(bitwise_xor_##tag)},
    static const reduce_fn bits[][3][SIMD_LEVELS] = {FOR_EACH_INTEGER(ADD)};
#undef ADD
    if (op < REDUCE_OPS)
        return table[dtype][op][level];
    if (op <= REDUCE_BITWISE_XOR)
        return dtype <= REDUCE_uint64 ? bits[dtype][op - REDUCE_BITWISE_AND][level] : NULL;
    return reduce_pairs(op == REDUCE_ARGMIN, dtype);
}

/* The number of a dtype with this code of the buffer protocol and item size, or -1. */
static inline int reduce_dtype(const char *code, size_t itemsize)
{
    int log2 = itemsize == 1 ? 0 : itemsize == 2 ? 1 : itemsize == 4 ? 2 : 3;

    if (code[0] == 'Z')
        return strcmp(code, "Zf") == 0   ? REDUCE_complex64
               : strcmp(code, "Zd") == 0 ? REDUCE_complex128
               : strcmp(code, "Zg") == 0 ? REDUCE_clongdouble
                                         : -1;
    if (code[0] == 0 || code[1] != 0)
        return -1;
    if (strchr("bhilq", code[0]))
        return REDUCE_int8 + log2;
    if (strchr("BHILQ", code[0]))
        return REDUCE_uint8 + log2;
    return code[0] == 'f'   ? REDUCE_float32
           : code[0] == 'd' ? REDUCE_float64
           : code[0] == 'g' ? REDUCE_longdouble
           : code[0] == '?' ? REDUCE_bool
                            : -1;
}

#endif
