/* Which SIMD level runs: what the machine has, lowered on request by the environment variable DPMPI_SIMD.
 *
 * Every loop is compiled once per level (see each_level.h), so that one build without -march=native reaches full
 * width on AVX-512 and AVX2 machines and still runs on the oldest x86-64 and on ARM.
 */
#ifndef DPMPI_SIMD_H
#define DPMPI_SIMD_H

#include <stdlib.h>
#include <string.h>

#if (defined(__x86_64__) || defined(__amd64__)) && defined(__GNUC__)
#define SIMD_X86 1
#else
#define SIMD_X86 0
#endif

enum { SIMD_BASELINE, SIMD_AVX2, SIMD_AVX512, SIMD_LEVELS };

static inline int simd_of_machine(void)
{
#if SIMD_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return SIMD_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return SIMD_AVX2;
#endif
    return SIMD_BASELINE;
}

/* The level in use, or -1 when DPMPI_SIMD holds an unknown name. */
static inline int simd_level(void)
{
    const char *wanted = getenv("DPMPI_SIMD");
    int machine = simd_of_machine(), level;
    if (wanted == NULL || wanted[0] == '\0' || strcmp(wanted, "avx512") == 0)
        return machine;
    if (strcmp(wanted, "avx2") == 0)
        level = SIMD_AVX2;
    else if (strcmp(wanted, "baseline") == 0)
        level = SIMD_BASELINE;
    else
        return -1;
    return level < machine ? level : machine;
}

static inline const char *simd_name(int level)
{
#if defined(__aarch64__) || defined(__ARM_NEON)
    (void)level;
    return "neon";
#else
    return level == SIMD_AVX512 ? "avx512" : level == SIMD_AVX2 ? "avx2" : "baseline";
#endif
}

#endif
