/* Vectors of REAL as wide as the level's registers (GCC vector extensions: x86, ARM and clang alike). */

#define V NAME(vector)
#define LANES (VECTOR_BYTES / REAL_BYTES)

typedef REAL V __attribute__((vector_size(VECTOR_BYTES)));
typedef BITS NAME(lane_bits) __attribute__((vector_size(VECTOR_BYTES)));
typedef REAL NAME(unaligned) __attribute__((vector_size(VECTOR_BYTES), aligned(REAL_BYTES), may_alias));
typedef REAL NAME(quad) __attribute__((vector_size(16)));
typedef REAL NAME(unaligned_quad) __attribute__((vector_size(16), aligned(REAL_BYTES), may_alias));

INLINE V NAME(load)(const REAL *p) { return *(const NAME(unaligned) *)p; }
INLINE void NAME(store)(REAL *p, V v) { *(NAME(unaligned) *)p = v; }
INLINE V NAME(masked)(V v, NAME(lane_bits) mask) { return (V)((NAME(lane_bits))v & mask); }

/* The lanes of v folded into 16 bytes. */
INLINE NAME(quad) NAME(fold)(V v)
{
    union { V v; NAME(quad) q[VECTOR_BYTES / 16]; } u = {v};
#if VECTOR_BYTES == 64
    return (u.q[0] + u.q[2]) + (u.q[1] + u.q[3]);
#elif VECTOR_BYTES == 32
    return u.q[0] + u.q[1];
#else
    return u.q[0];
#endif
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef BITS NAME(quad_bits) __attribute__((vector_size(16)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NAME(quad_bits)){__VA_ARGS__})
#endif

/* The sums of the lanes of 16 / REAL_BYTES vectors, one to a lane: horizontal sums by transposing. */
INLINE NAME(quad) NAME(lane_sums)(const V *v)
{
#if REAL_BYTES == 4
    NAME(quad) a = NAME(fold)(v[0]), b = NAME(fold)(v[1]), c = NAME(fold)(v[2]), d = NAME(fold)(v[3]);
    NAME(quad) ab = SHUFFLE(a, b, 0, 4, 1, 5) + SHUFFLE(a, b, 2, 6, 3, 7);
    NAME(quad) cd = SHUFFLE(c, d, 0, 4, 1, 5) + SHUFFLE(c, d, 2, 6, 3, 7);
    return SHUFFLE(ab, cd, 0, 1, 4, 5) + SHUFFLE(ab, cd, 2, 3, 6, 7);
#else
    NAME(quad) a = NAME(fold)(v[0]), b = NAME(fold)(v[1]);
    return SHUFFLE(a, b, 0, 2) + SHUFFLE(a, b, 1, 3);
#endif
}
#undef SHUFFLE
