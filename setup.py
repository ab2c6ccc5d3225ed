"""The compiled kernels; everything else about the package is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

HEADERS = sorted(str(path) for path in Path("kernels").glob("*.h"))
# No -march: one build serves every machine (see kernels/simd.pyx). No -ffast-math: NaN and infinity keep their meaning.
FLAGS = ["-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"]

setup(
    ext_modules=[
        Extension(f"dpmpi.kernels.{path.stem}", [str(path)], depends=HEADERS, extra_compile_args=FLAGS, libraries=["m"])
        for path in sorted(Path("kernels").glob("*.pyx"))
    ],
    options={"build_ext": {"cython_c_in_temp": True}},  # generated C stays out of the source tree
)
