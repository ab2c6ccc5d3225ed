/* Vectors of REAL as wide as the level's registers (GCC vector extensions: x86, ARM and clang alike). */

#define V NAME(vector)
#define LANES (VECTOR_BYTES / REAL_BYTES)

typedef REAL V __attribute__((vector_size(VECTOR_BYTES)));
typedef BITS NAME(lane_bits) __attribute__((vector_size(VECTOR_BYTES)));
typedef REAL NAME(unaligned) __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BYTES), may_alias));

INLINE V NAME(load)(const REAL *p) { return *(const NAME(unaligned) *)p; }
INLINE void NAME(store)(REAL *p, V v) { *(NAME(unaligned) *)p = v; }
INLINE V NAME(masked)(V v, NAME(lane_bits) mask) { return (V)((NAME(lane_bits))v & mask); }

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NAME(lane_bits)){__VA_ARGS__})
#endif

/* ADDk: two vectors, folded to half their width, in one: the transposing sum's step. */
#if REAL_BYTES == 4 && VECTOR_BYTES == 64
#define ADD1(a, b) \
    (SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) + \
     SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31))
#define ADD2(a, b) \
    (SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) + \
     SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
#define ADD4(a, b) \
    (SHUFFLE(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) + \
     SHUFFLE(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
#define ADD8(a, b) \
    (SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) + \
     SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#elif REAL_BYTES == 4 && VECTOR_BYTES == 32
#define ADD1(a, b) \
    (SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13) + \
     SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15))
#define ADD2(a, b) \
    (SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + \
     SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15))
#define ADD4(a, b) \
    (SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + \
     SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15))
#elif REAL_BYTES == 4 && VECTOR_BYTES == 16
#define ADD1(a, b) \
    (SHUFFLE(a, b, 0, 4, 1, 5) + \
     SHUFFLE(a, b, 2, 6, 3, 7))
#define ADD2(a, b) \
    (SHUFFLE(a, b, 0, 1, 4, 5) + \
     SHUFFLE(a, b, 2, 3, 6, 7))
#elif REAL_BYTES == 8 && VECTOR_BYTES == 64
#define ADD1(a, b) \
    (SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + \
     SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15))
#define ADD2(a, b) \
    (SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + \
     SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15))
#define ADD4(a, b) \
    (SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + \
     SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15))
#elif REAL_BYTES == 8 && VECTOR_BYTES == 32
#define ADD1(a, b) \
    (SHUFFLE(a, b, 0, 4, 2, 6) + \
     SHUFFLE(a, b, 1, 5, 3, 7))
#define ADD2(a, b) \
    (SHUFFLE(a, b, 0, 1, 4, 5) + \
     SHUFFLE(a, b, 2, 3, 6, 7))
#elif REAL_BYTES == 8 && VECTOR_BYTES == 16
#define ADD1(a, b) \
    (SHUFFLE(a, b, 0, 2) + \
     SHUFFLE(a, b, 1, 3))
#endif

/* The sums of the lanes of LANES vectors, one to a lane. */
INLINE V NAME(lane_sums)(const V *v)
{
    V sum[LANES];
    for (int i = 0; i < LANES; i++)
        sum[i] = v[i];
    for (int i = 0; i < LANES / 2; i++)
        sum[i] = ADD1(sum[2 * i], sum[2 * i + 1]);
#ifdef ADD2
    for (int i = 0; i < LANES / 4; i++)
        sum[i] = ADD2(sum[2 * i], sum[2 * i + 1]);
#endif
#ifdef ADD4
    for (int i = 0; i < LANES / 8; i++)
        sum[i] = ADD4(sum[2 * i], sum[2 * i + 1]);
#endif
#ifdef ADD8
    sum[0] = ADD8(sum[0], sum[1]);
#endif
    return sum[0];
}
#undef ADD1
#undef ADD2
#undef ADD4
#undef ADD8
#undef SHUFFLE
