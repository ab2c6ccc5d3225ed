/* Vectors of REAL as wide as the level's registers (GCC vector extensions: x86, ARM and clang alike). */

#define V NAME(vector)
#define LANES (VECTOR_BYTES / REAL_BYTES)

typedef REAL V __attribute__((vector_size(VECTOR_BYTES)));
typedef BITS NAME(lane_bits) __attribute__((vector_size(VECTOR_BYTES)));
typedef REAL NAME(unaligned) __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BYTES), may_alias));

INLINE V NAME(load)(const REAL *p) { return *(const NAME(unaligned) *)p; }
INLINE void NAME(store)(REAL *p, V v) { *(NAME(unaligned) *)p = v; }
INLINE V NAME(masked)(V v, NAME(lane_bits) mask) { return (V)((NAME(lane_bits))v & mask); }
INLINE V NAME(chosen)(NAME(lane_bits) mask, V yes, V no)
{
    NAME(lane_bits) a = mask & (NAME(lane_bits))yes, b = ~mask & (NAME(lane_bits))no;
    return (V)(a | b);
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NAME(lane_bits)){__VA_ARGS__})
#endif

/* Steps of transposing: of two vectors' runs of k lanes the even ones (LOWk) or the odd ones (HIGHk), taken in turn. */
#if VECTOR_BYTES / REAL_BYTES == 16
#define PAIR_LOW(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define PAIR_HIGH(a, b) SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define EACH_STEP STEP(1) STEP(2) STEP(4) STEP(8)
#define LOW1(a, b) SHUFFLE(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define HIGH1(a, b) SHUFFLE(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define LOW4(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define HIGH4(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define LOW8(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH8(a, b) SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#elif VECTOR_BYTES / REAL_BYTES == 8
#if REAL_BYTES == 4
#define PAIR_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define PAIR_HIGH(a, b) SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#endif
#define EACH_STEP STEP(1) STEP(2) STEP(4)
#define LOW1(a, b) SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define HIGH1(a, b) SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW4(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH4(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#elif VECTOR_BYTES / REAL_BYTES == 4
#if REAL_BYTES == 4
#define PAIR_LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define PAIR_HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#endif
#define EACH_STEP STEP(1) STEP(2)
#define LOW1(a, b) SHUFFLE(a, b, 0, 4, 2, 6)
#define HIGH1(a, b) SHUFFLE(a, b, 1, 5, 3, 7)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 4, 5)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 6, 7)
#elif VECTOR_BYTES / REAL_BYTES == 2
#define EACH_STEP STEP(1)
#define LOW1(a, b) SHUFFLE(a, b, 0, 2)
#define HIGH1(a, b) SHUFFLE(a, b, 1, 3)
#endif

#ifndef PAIR_LOW /* of doubles */
#define PAIR_LOW LOW1
#define PAIR_HIGH HIGH1
#endif

/* The sums of the lanes of LANES vectors, one to a lane, of pairs of these added by add_pair. Each step adds what
 * transposing would exchange; the first one takes what is a single instruction everywhere. */
INLINE V NAME(add_pair)(V a, V b) { return PAIR_LOW(a, b) + PAIR_HIGH(a, b); }
INLINE V NAME(lane_sums)(V *pair)
{
#define STEP(k)                                                                                                       \
    for (int i = 0; k > 1 && i < LANES / 2 / k; i++)                                                                  \
        pair[i] = LOW##k(pair[2 * i], pair[2 * i + 1]) + HIGH##k(pair[2 * i], pair[2 * i + 1]);
    EACH_STEP
#undef STEP
    return pair[0];
}

/* The sum of one vector's lanes, to the same bits. */
INLINE REAL NAME(lane_sum)(V v)
{
    V pair[LANES / 2] = {NAME(add_pair)(v, (V){0})};
    return NAME(lane_sums)(pair)[0];
}

/* Transposes LANES vectors: lane j of vector i becomes lane i of vector j. */
INLINE void NAME(transpose)(V *v)
{
#define STEP(k)                                                                                                       \
    for (int i = 0; i < LANES; i++)                                                                                   \
        if (!(i & k)) {                                                                                               \
            V low = LOW##k(v[i], v[i + k]), high = HIGH##k(v[i], v[i + k]);                                           \
            v[i] = low, v[i + k] = high;                                                                              \
        }
    EACH_STEP
#undef STEP
}
#undef EACH_STEP
#undef PAIR_LOW
#undef PAIR_HIGH
#undef LOW1
#undef HIGH1
#undef LOW2
#undef HIGH2
#undef LOW4
#undef HIGH4
#undef LOW8
#undef HIGH8
/* Steps of comparing the lanes of LANES vectors, which halve the number of vectors: of each two neighbours the first or
 * the second, those of a before those of b, among the lanes of 16 bytes (NEAR) or among these (FAR), each one instruction
 * on x86. Behind the last step lane i belongs to vector i. */
#if VECTOR_BYTES / REAL_BYTES == 16
#define EACH_HALVING HALVE(8, NEAR) HALVE(4, NEAR) HALVE(2, FAR) HALVE(1, FAR)
#define FIRST_NEAR(a, b) SHUFFLE(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30)
#define SECOND_NEAR(a, b) SHUFFLE(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31)
#define FIRST_FAR(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define SECOND_FAR(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#elif VECTOR_BYTES / REAL_BYTES == 8 && REAL_BYTES == 4
#define EACH_HALVING HALVE(4, NEAR) HALVE(2, NEAR) HALVE(1, FAR)
#define FIRST_NEAR(a, b) SHUFFLE(a, b, 0, 2, 8, 10, 4, 6, 12, 14)
#define SECOND_NEAR(a, b) SHUFFLE(a, b, 1, 3, 9, 11, 5, 7, 13, 15)
#define FIRST_FAR(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define SECOND_FAR(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#elif VECTOR_BYTES / REAL_BYTES == 8
#define EACH_HALVING HALVE(4, NEAR) HALVE(2, FAR) HALVE(1, FAR)
#define FIRST_NEAR(a, b) SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define SECOND_NEAR(a, b) SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define FIRST_FAR(a, b) SHUFFLE(a, b, 0, 1, 4, 5, 8, 9, 12, 13)
#define SECOND_FAR(a, b) SHUFFLE(a, b, 2, 3, 6, 7, 10, 11, 14, 15)
#elif VECTOR_BYTES / REAL_BYTES == 4 && REAL_BYTES == 4
#define EACH_HALVING HALVE(2, NEAR) HALVE(1, NEAR)
#define FIRST_NEAR(a, b) SHUFFLE(a, b, 0, 2, 4, 6)
#define SECOND_NEAR(a, b) SHUFFLE(a, b, 1, 3, 5, 7)
#elif VECTOR_BYTES / REAL_BYTES == 4
#define EACH_HALVING HALVE(2, NEAR) HALVE(1, FAR)
#define FIRST_NEAR(a, b) SHUFFLE(a, b, 0, 4, 2, 6)
#define SECOND_NEAR(a, b) SHUFFLE(a, b, 1, 5, 3, 7)
#define FIRST_FAR(a, b) SHUFFLE(a, b, 0, 1, 4, 5)
#define SECOND_FAR(a, b) SHUFFLE(a, b, 2, 3, 6, 7)
#elif VECTOR_BYTES / REAL_BYTES == 2
#define EACH_HALVING HALVE(1, NEAR)
#define FIRST_NEAR(a, b) SHUFFLE(a, b, 0, 2)
#define SECOND_NEAR(a, b) SHUFFLE(a, b, 1, 3)
#endif

/* Where each of LANES vectors has its first least number: its lane's mark, one of `marks`, in that vector's lane of
 * *where; the number itself is returned. Of a vector whose comparisons fail for NaN any mark may be taken. */
INLINE V NAME(least_of_each)(const V *v, NAME(lane_bits) marks, NAME(lane_bits) *where)
{
    V least[LANES], mark[LANES];
    memcpy(least, v, sizeof least);
    for (int i = 0; i < LANES; i++)
        mark[i] = (V)marks;
#define HALVE(count, kind)                                                                                            \
    for (int i = 0; i < count; i++) {                                                                                 \
        V a = least[2 * i], b = least[2 * i + 1], c = mark[2 * i], e = mark[2 * i + 1];                               \
        V first = FIRST_##kind(a, b), second = SECOND_##kind(a, b);                                                   \
        V early = FIRST_##kind(c, e), late = SECOND_##kind(c, e);                                                     \
        NAME(lane_bits) less = second < first;                                                                        \
        least[i] = NAME(chosen)(less, second, first);                                                                 \
        mark[i] = NAME(chosen)(less, late, early);                                                                    \
    }
    EACH_HALVING
#undef HALVE
    *where = (NAME(lane_bits))mark[0];
    return least[0];
}
#undef EACH_HALVING
#undef FIRST_NEAR
#undef SECOND_NEAR
#undef FIRST_FAR
#undef SECOND_FAR
#undef SHUFFLE
