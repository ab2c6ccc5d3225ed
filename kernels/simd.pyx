"""Which SIMD level the compiled loops run at; see simd.h."""

import os


cdef extern from "simd.h":
    int c_level "simd_level"()
    const char *simd_name(int level)


def simd_level() -> str:
    """Return the SIMD level that the compiled loops use: "avx512", "avx2" or "baseline"; on ARM "neon".

    It is the machine's best, or what the environment variable ``DPMPI_SIMD`` (avx512, avx2 or baseline) lowers it to;
    a level that the machine has not is lowered to one that it has. The variable is read when dpmpi is imported.
    """
    return simd_name(LEVEL).decode()


cdef int LEVEL = c_level()
if LEVEL < 0:
    raise ValueError(f"DPMPI_SIMD={os.environ['DPMPI_SIMD']!r}: use one of baseline, avx2, avx512")
