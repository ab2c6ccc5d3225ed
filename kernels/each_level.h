/* Compiles the file named by LOOPS once for every SIMD level, with
 *   LEVEL         the level's word in names: baseline, avx2, avx512
 *   VECTOR_BYTES  the width of a vector register
 *   HAS_FMA       1 when a fused multiply-add is one instruction
 * Include simd.h first, define LOOPS, include this; then pick a function by the running level with EACH_LEVEL(name).
 *
 * Included several times under target pragmas rather than marked target_clones: vector types of the level's own width
 * can be used in it, clang takes it too, and the choice is one table that a test can lower.
 */

#ifndef DPMPI_EACH_LEVEL_H
#define DPMPI_EACH_LEVEL_H
#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define PASTE4_(a, b, c, d) a##_##b##_##c##_##d
#define PASTE4(a, b, c, d) PASTE4_(a, b, c, d)
#define INLINE static inline __attribute__((always_inline, unused))
#endif

#define LEVEL baseline
#define VECTOR_BYTES 16
#ifdef __aarch64__
#define HAS_FMA 1
#else
#define HAS_FMA 0
#endif
#include LOOPS
#undef LEVEL
#undef VECTOR_BYTES
#undef HAS_FMA

#if SIMD_X86

#define HAS_FMA 1

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2")
#endif
#define LEVEL avx2
#define VECTOR_BYTES 32
#include LOOPS
#undef LEVEL
#undef VECTOR_BYTES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#endif
#define LEVEL avx512
#define VECTOR_BYTES 64
#include LOOPS
#undef LEVEL
#undef VECTOR_BYTES
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#undef HAS_FMA

#define EACH_LEVEL(name) {name##_baseline, name##_avx2, name##_avx512}
#else
#define EACH_LEVEL(name) {name##_baseline, name##_baseline, name##_baseline}
#endif

#undef LOOPS
