"""``dpmpi info``: what runs here."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections import Counter
from importlib import metadata
from typing import Any

from .. import kernels
from ..engine import Engine

PACKAGES = ("dpmpi", "mpi4py", "numpy", "scipy", "numba", "pyarrow", "h5py", "scikit-learn")


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add this command's parser to `commands`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="print versions, MPI library, threading level, SIMD level and node topology",
        description="Print what a bug report or a benchmark needs: versions, the MPI library and its threading level, "
        "the SIMD level that the kernels use, and which ranks share a node.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(engine: Engine, options: argparse.Namespace) -> None:
    """Run the command on every rank; rank 0 prints."""
    facts = gather(engine)
    if engine.rank > 0:
        return
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    print("\n".join(f"{name:<14} {version or 'not installed'}" for name, version in facts["versions"].items()))
    print(f"{'MPI library':<14} {facts['mpi_library']}")
    print(f"{'MPI standard':<14} {facts['mpi_standard']}")
    print(f"{'MPI threads':<14} {facts['mpi_threads']}")
    print(f"{'SIMD level':<14} {facts['simd']}")
    print(f"{'machine':<14} {facts['machine']}, {facts['cpus']} CPUs for rank 0")
    print(f"{'ranks':<14} {engine.size} on {len(facts['nodes'])} node{'s' * (len(facts['nodes']) > 1)}")
    for name, ranks in facts["nodes"].items():
        print(f"  {name:<12} {ranks} rank{'s' * (ranks > 1)}")


def gather(engine: Engine) -> dict[str, Any]:
    """Return what the command prints, as plain data. Collective."""
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        **engine.comm.library(),
        "simd": kernels.simd_level(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "ranks": engine.size,
        "nodes": dict(Counter(engine.comm.node_names())),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
