"""Every SIMD level that the machine has passes the tests of the kernels that have levels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpmpi import kernels

LEVELS = ["baseline", "avx2", "avx512"]


def python(*arguments, level):
    environment = os.environ | {"DPMPI_SIMD": level}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_level_is_one_of_the_names():
    assert kernels.simd_level() in [*LEVELS, "neon"]


@pytest.mark.parametrize("level", LEVELS)
def test_level_is_lowered(level):
    code = "import dpmpi.kernels as k; print(k.simd_level())"
    got = python("-c", code, level=level).stdout.strip()
    best = python("-c", code, level="avx512").stdout.strip()
    expected = best if best == "neon" else min(level, best, key=LEVELS.index)
    assert got == expected


def test_unknown_level():
    run = python("-c", "import dpmpi.kernels", level="sse9")
    assert "ValueError: DPMPI_SIMD='sse9': use one of baseline, avx2, avx512" in run.stderr


@pytest.mark.skipif("DPMPI_SIMD" in os.environ, reason="a lower level is being tested")
@pytest.mark.parametrize("level", ["baseline", "avx2"])
def test_lower_levels_pass_all_tests(level):
    if kernels.simd_level() in ("neon", "baseline", level):
        pytest.skip("the machine has no higher level")
    folder = Path(__file__).parent
    files = [
        str(folder / f"test_{name}.py") for name in ("blas", "columns", "linear", "moments", "reduce", "transpose")
    ]
    run = python("-m", "pytest", "-q", "-x", *files, "-p", "no:cacheprovider", level=level)
    assert run.returncode == 0, run.stdout
