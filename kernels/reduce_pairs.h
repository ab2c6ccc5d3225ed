/* argmin and argmax: pairs of a value and its index, reduced by value; equal values keep the lower index, NaN wins. */
#ifndef DPMPI_REDUCE_PAIRS_H
#define DPMPI_REDUCE_PAIRS_H

#define PAIRS(tag, type, before, op)                                                                                  \
    static void op##_##tag(void *out, const void *x, ptrdiff_t n)                                                     \
    {                                                                                                                 \
        struct pair {                                                                                                 \
            type value;                                                                                               \
            int64_t index;                                                                                            \
        } *a = out;                                                                                                   \
        const struct pair *b = x;                                                                                     \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                           \
            int nan_a = a[i].value != a[i].value, nan_b = b[i].value != b[i].value;                                   \
            int level = nan_a | nan_b ? nan_a & nan_b : a[i].value == b[i].value;                                     \
            int better = nan_a | nan_b ? nan_b & !nan_a : b[i].value before a[i].value;                               \
            if (better | (level & (b[i].index < a[i].index)))                                                         \
                a[i] = b[i];                                                                                          \
        }                                                                                                             \
    }

#define FOR_EACH_ORDERED(ADD)                                                                                         \
    FOR_EACH_INTEGER(ADD)                                                                                             \
    ADD(float32, float, FLOAT, 0)                                                                                     \
    ADD(float64, double, FLOAT, 0)

#define ADD(tag, type, family, extra) PAIRS(tag, type, <, argmin) PAIRS(tag, type, >, argmax)
FOR_EACH_ORDERED(ADD)
#undef ADD
#undef PAIRS

/* The loop for pairs whose value has this dtype; NULL where there is none. */
static inline reduce_fn reduce_pairs(int least, int dtype)
{
#define ADD(tag, type, family, extra) {argmax_##tag, argmin_##tag},
    static const reduce_fn table[][2] = {FOR_EACH_ORDERED(ADD)};
#undef ADD
    return dtype <= REDUCE_float64 ? table[dtype][least] : NULL;
}

#endif
