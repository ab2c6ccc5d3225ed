"""Imports go one way, and importing dpmpi is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What each part may import of the others. `cli` stands above everything.
ALLOWED = {
    "partition": set(),
    "kernels": set(),
    "solvers": set(),
    "models": {"kernels"},
    "preprocess": {"kernels"},
    "collectives": {"partition", "kernels"},
    "data": {"partition", "kernels"},
    "engine": {"collectives", "data", "partition"},
    "validation": {"data", "engine", "kernels"},
    "duplicates": {"data", "engine", "kernels", "validation"},
    "prepare": {"data", "engine", "preprocess"},
    "summaries": {"data", "engine", "prepare", "preprocess"},
    "training": {"data", "engine", "kernels", "models", "preprocess", "solvers"},
    "metrics": {"data", "engine", "models", "training"},
    "model_file": {"data", "models", "preprocess", "training"},
    "cli": {
        "data",
        "duplicates",
        "engine",
        "kernels",
        "metrics",
        "model_file",
        "models",
        "prepare",
        "preprocess",
        "summaries",
        "training",
        "validation",
    },
}


def parts():
    for path in sorted((ROOT / "dpmpi").rglob("*.py")):
        relative = path.relative_to(ROOT / "dpmpi")
        name = relative.parts[0].removesuffix(".py")
        if name not in ("__init__", "__main__"):
            yield name, path, ("dpmpi", *relative.parts[:-1])
    for path in sorted((ROOT / "kernels").rglob("*.py*")):
        if path.suffix in (".py", ".pyx"):
            yield "kernels", path, ("dpmpi", "kernels", *path.relative_to(ROOT / "kernels").parts[:-1])


def imported(path, package):
    """Yield the absolute dotted names that a file imports."""
    if path.suffix == ".pyx":
        words = [line.split() for line in path.read_text().splitlines()]
        yield from (line[1] for line in words if len(line) > 1 and line[0] in ("import", "cimport", "from"))
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("part", "path", "package"), [pytest.param(*p, id=str(p[1].relative_to(ROOT))) for p in parts()]
)
def test_imports_go_one_way(part, path, package):
    for name in imported(path, package):
        words = name.split(".")
        if words[0] == "dpmpi" and len(words) > 1 and words[1] not in (part, "__version__"):
            assert words[1] in ALLOWED[part], f"{path} imports {name}"
        if words[0] == "mpi4py":
            assert part == "collectives", f"{path} imports mpi4py"


def test_the_table_names_every_part():
    assert {name for name, _, _ in parts()} == set(ALLOWED)


def test_importing_dpmpi_loads_nothing_heavy():
    code = (
        "import sys, dpmpi; print([m for m in ('numba', 'scipy', 'pyarrow', 'h5py', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_dpmpi_costs_little_over_what_it_needs():
    """At most 1.5 times numpy + mpi4py: both in turn, the fastest of several runs of each, more on a busy machine."""
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    fastest = {"numpy; from mpi4py import MPI": float("inf"), "dpmpi": float("inf")}
    for _ in range(25):
        for modules in fastest:
            done = subprocess.run(
                [sys.executable, "-c", code.format(modules)], capture_output=True, text=True, check=True
            )
            fastest[modules] = min(fastest[modules], float(done.stdout))
        base, ours = fastest.values()
        if ours <= 1.5 * base:
            return
    assert ours <= 1.5 * base
