"""Speed of the kernels: ``python benchmarks/kernels.py [--json out.json] [--mbytes 400] [--only logistic]``.

One process, one thread. Every figure is gigabytes of X per second, the best of several calls; beside it stands the same
work by other means, and the share of the machine's own read bandwidth, that of streaming reductions: all measured in
turn for each case, because a shared machine is not the same at all times. Peers that are not installed are left out.
"""

from __future__ import annotations

# ruff: noqa: E402
import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from dpmpi import kernels
from dpmpi.kernels import statistics

Work = Callable[[], Any]


class Case(NamedTuple):
    """A kernel's work, the bytes it reads, what others do for the same result, and the goals: shares and ratios."""

    name: str
    nbytes: int
    kernel: Work
    peers: dict[str, Work]
    share: float | None = None
    ratios: Mapping[str, float] = MappingProxyType({})


def fastest(works: dict[str, Work], rounds: int = 7) -> dict[str, float]:
    """Seconds of each one's fastest call, in turn in each round, the first round not counted.

    The thread's own time is taken: it stands still while a shared machine runs something else.
    """
    seconds = dict.fromkeys(works, math.inf)
    for round_ in range(rounds + 1):
        for name, work in works.items():
            start = time.thread_time()
            work()
            if round_:
                seconds[name] = min(seconds[name], time.thread_time() - start)
    return seconds


def linear_data(mbytes: int, d: int, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.random((max(mbytes * 2**20 // (d * np.dtype(dtype).itemsize), 64), d), np.float32).astype(dtype)
    y = (rng.random(len(X)) < 0.5).astype(dtype)
    return X, y, rng.standard_normal(d + 1) / d, np.zeros(d + 2)


def numpy_loss(name: str, X: np.ndarray, y: np.ndarray, coef: np.ndarray) -> Work:
    """Loss and gradient as one writes them with NumPy, in X's dtype."""
    slope, constant = coef[:-1].astype(X.dtype), X.dtype.type(coef[-1])

    def work() -> Any:
        z = X @ slope + constant
        if name == "logistic":
            e = np.exp(-np.abs(z))
            loss, g = np.maximum(z, 0) - y * z + np.log1p(e), np.where(z < 0, e, 1) / (1 + e) - y
        elif name == "poisson":
            mean = np.exp(z)
            loss, g = mean - y * z, mean - y
        elif name == "huber":
            r = z - y
            loss, g = np.where(np.abs(r) <= 1.35, r * r / 2, 1.35 * (np.abs(r) - 0.675)), np.clip(r, -1.35, 1.35)
        elif name == "squared_hinge":
            s = 2 * y - 1
            margin = np.maximum(1 - s * z, 0)
            loss, g = margin**2, -2 * s * margin
        else:
            loss, g = (z - y) ** 2 / 2, z - y
        return loss.sum(), X.T @ g, g.sum()

    return work


def sklearn_loss(name: str, X: Any, y: np.ndarray, coef: np.ndarray) -> dict[str, Work]:
    try:
        from sklearn._loss.loss import HalfBinomialLoss, HalfPoissonLoss, HalfSquaredError, HuberLoss
        from sklearn.linear_model._linear_loss import LinearModelLoss
    except ImportError:
        return {}
    losses = {"logistic": HalfBinomialLoss, "poisson": HalfPoissonLoss, "squared": HalfSquaredError}
    if name == "huber":
        base = HuberLoss(delta=1.35)
    elif name in losses:
        base = losses[name]()
    else:
        return {}
    model = LinearModelLoss(base_loss=base, fit_intercept=True)
    coef = coef.astype(X.dtype)
    return {"sklearn": lambda: model.loss_gradient(coef, X, y)}


def torch_loss(X: np.ndarray, y: np.ndarray, coef: np.ndarray) -> dict[str, Work]:
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    tensors = [torch.from_numpy(a) for a in (X, y, coef[:-1].astype(X.dtype), coef[-1:].astype(X.dtype))]
    tensors[2].requires_grad_(), tensors[3].requires_grad_()

    def work() -> None:
        z = tensors[0] @ tensors[2] + tensors[3]
        torch.nn.functional.binary_cross_entropy_with_logits(z, tensors[1], reduction="sum").backward()

    return {"torch": work}


def dense_losses(mbytes: int, dtype: str) -> Iterator[Case]:
    for d in (28, 64, 512, 2000):
        X, y, coef, out = linear_data(mbytes, d, dtype)
        ratio = 3.0 if d <= 512 else 1.8
        peers = {"numpy": numpy_loss("logistic", X, y, coef)} | sklearn_loss("logistic", X, y, coef)
        yield Case(
            f"logistic {dtype} d={d}",
            X.nbytes,
            lambda X=X, y=y, coef=coef, out=out: kernels.logistic(X, y, None, coef, out),
            peers | torch_loss(X, y, coef),
            0.7,
            {"numpy": ratio, "sklearn": ratio},
        )
    X, y, coef, out = linear_data(mbytes, 64, dtype)
    for name in ("squared", "poisson", "huber", "squared_hinge"):
        kernel = getattr(kernels, name)
        peers = {"numpy": numpy_loss(name, X, y, coef)} | sklearn_loss(name, X, y, coef)
        yield Case(f"{name} {dtype} d=64", X.nbytes, lambda k=kernel: k(X, y, None, coef, out), peers, 0.7)


def user_loss(mbytes: int, dtype: str) -> Iterator[Case]:
    def logistic(y: float, z: float) -> tuple[float, float]:
        e = math.exp(-abs(z))
        p = 1 / (1 + e) if z > 0 else e / (1 + e)
        return max(z, 0.0) + math.log1p(e) - y * z, p - y

    def huber(y: float, z: float) -> tuple[float, float]:
        r = z - y
        return (0.5 * r * r, r) if abs(r) <= 1.35 else (1.35 * (abs(r) - 0.675), math.copysign(1.35, r))

    X, y, coef, out = linear_data(mbytes, 64, dtype)
    for fn, built_in in ((logistic, kernels.logistic), (huber, kernels.huber)):
        kernel = kernels.loss(fn)
        yield Case(
            f"user's {fn.__name__} {dtype} d=64",
            X.nbytes,
            lambda k=kernel: k(X, y, None, coef, out),
            {"built-in": lambda k=built_in: k(X, y, None, coef, out)},
            None,
            {"built-in": 0.5},
        )


def softmax(mbytes: int, dtype: str) -> Iterator[Case]:
    X, _, _, _ = linear_data(mbytes, 784, dtype)
    rng = np.random.default_rng(1)
    y, coef, rows = rng.integers(0, 10, len(X)), rng.standard_normal((10, 785)) / 784, np.arange(len(X))
    slopes, constants, out = coef[:, :784].T.astype(dtype), coef[:, 784].astype(dtype), np.zeros(1 + coef.size)

    def with_numpy() -> Any:
        z = X @ slopes + constants
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        loss = np.sum(np.log(total[:, 0]) - z[rows, y])
        p /= total
        p[rows, y] -= 1
        return loss, p.T @ X, p.sum(axis=0)

    kernel = lambda: kernels.softmax(X, y, None, coef, out)  # noqa: E731
    yield Case(f"softmax {dtype} d=784 K=10", X.nbytes, kernel, {"numpy": with_numpy}, None, {"numpy": 1.3})


def sparse(path: str | None, dtype: str) -> Iterator[Case]:
    """a9a repeated 100 times, or, without the file, random rows of its shape."""
    import scipy.sparse

    if path:
        from sklearn.datasets import load_svmlight_file

        X, y = load_svmlight_file(path, dtype=np.dtype(dtype).type)
        X, y = scipy.sparse.vstack([X] * 100, format="csr"), np.tile(y > 0, 100).astype(dtype)
    else:
        rng = np.random.default_rng(0)
        n = 3_256_100
        indices = np.sort((123 * rng.random((n, 14)) ** 2).astype(np.int32), axis=1).ravel()
        X = scipy.sparse.csr_matrix((np.ones(14 * n, dtype), indices, np.arange(0, 14 * n + 1, 14)), shape=(n, 123))
        y = (rng.random(n) < 0.25).astype(dtype)
    coef, out = np.random.default_rng(1).standard_normal(X.shape[1] + 1) / 10, np.zeros(X.shape[1] + 2)
    nbytes = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    peers = {"scipy": numpy_loss("logistic", X, y, coef)} | sklearn_loss("logistic", X, y, coef)
    kernel = lambda: kernels.logistic(X, y, None, coef, out)  # noqa: E731
    yield Case(f"logistic {dtype} CSR", nbytes, kernel, peers, None, {"scipy": 2.0})


def batch(mbytes: int, dtype: str) -> Iterator[Case]:
    X, _, _, _ = linear_data(mbytes, 32, dtype)
    out = np.zeros((5, 32))

    def moments_with_numpy() -> Any:
        mean = X.mean(axis=0)
        centred = X - mean
        square = centred * centred
        return mean, square.sum(axis=0), (square * centred).sum(axis=0), (square * square).sum(axis=0)

    kernel = lambda: kernels.moments(X, X[0], out)  # noqa: E731
    yield Case(f"moments {dtype} d=32", X.nbytes, kernel, {"numpy": moments_with_numpy}, 0.5, {"numpy": 5.0})

    centers, clusters = X[:: len(X) // 16][:16].astype(np.float64), np.zeros(1 + 16 + 16 * 32)
    peers: dict[str, Work] = {}
    try:
        from sklearn.cluster._k_means_lloyd import lloyd_iter_chunked_dense

        ones, near, labels = np.ones(len(X), dtype), centers.astype(dtype), np.zeros(len(X), np.int32)
        new, weight, moved = np.zeros((16, 32), dtype), np.zeros(16, dtype), np.zeros(16, dtype)
        peers["sklearn"] = lambda: lloyd_iter_chunked_dense(X, ones, near, new, weight, labels, moved, 1, True)
    except ImportError:
        pass
    step = lambda: kernels.kmeans(X, centers, clusters)  # noqa: E731
    yield Case(f"k-means step {dtype} K=16 d=32", X.nbytes, step, peers, None, {"sklearn": 2.0})


def groups(dtype: str) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    keys, values, out = rng.integers(0, 10_000, 10_000_000), rng.random(10_000_000).astype(dtype), np.zeros(10_000)
    peers: dict[str, Work] = {"bincount": lambda: np.bincount(keys, values, 10_000)}
    try:
        import pandas

        series, by = pandas.Series(values), pandas.Series(keys)
        peers["pandas"] = lambda: series.groupby(by).sum()
    except ImportError:
        pass
    work = lambda: kernels.group_sum(keys, values, out)  # noqa: E731
    yield Case(f"group-by sum {dtype}", keys.nbytes + values.nbytes, work, peers, None, {"pandas": 1.0})

    # String keys, given their categories: `statistics.codes` numbers them first.
    names, categories = np.char.mod("k%05d", keys[:1_000_000]), np.char.mod("k%05d", np.arange(10_000))
    peers = {}
    try:
        strings, some = pandas.Series(names.astype(object), dtype=object), pandas.Series(values[:1_000_000])
        peers["pandas"] = lambda: some.groupby(strings).sum()
    except NameError:
        pass
    for kind, (given, known) in {
        "string keys": (names, categories),
        "object keys": (names.astype(object), categories.astype(object)),
    }.items():
        by_name = lambda a=given, b=known: kernels.group_sum(statistics.codes(a, b), values[:1_000_000], out)  # noqa: E731
        yield Case(f"group-by sum {dtype}, {kind}", names.nbytes, by_name, peers, None, {"pandas": 1.0})


def cases(mbytes: int, a9a: str | None) -> Iterator[Case]:
    for dtype in ("float32", "float64"):
        yield from dense_losses(mbytes, dtype)
        yield from user_loss(mbytes, dtype)
        yield from softmax(mbytes, dtype)
        yield from sparse(a9a, dtype)
        yield from batch(mbytes, dtype)
        yield from groups(dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--mbytes", type=int, default=400, help="size of X")
    parser.add_argument("--only", default="", help="run only the cases whose name contains this")
    parser.add_argument("--a9a", help="the a9a file in libsvm format; random rows of its shape without it")
    options = parser.parse_args()
    stream = np.ones(options.mbytes * 2**17, np.int64)
    floats = stream.view(np.float32)
    readers: dict[str, Work] = {
        "sum": stream.sum,
        "max": stream.view(np.int32).max,
        "dot": lambda: floats @ floats,
    }
    results = []
    print(f"SIMD level {kernels.simd_level()}; GB/s of X, one thread; peers with the kernel's speed over theirs")
    for case in cases(options.mbytes, options.a9a):
        if options.only not in case.name:
            continue
        # Reductions of integers and a BLAS dot product stream through the memory: the fastest is the yardstick.
        seconds = fastest({**readers, "kernel": case.kernel, **case.peers})
        bandwidth = stream.nbytes / min(seconds[name] for name in readers) / 1e9
        speed = case.nbytes / seconds["kernel"] / 1e9
        peers = {name: case.nbytes / seconds[name] / 1e9 for name in case.peers}
        met = (case.share is None or speed >= case.share * bandwidth) and all(
            speed >= ratio * peers[name] for name, ratio in case.ratios.items() if name in peers
        )
        others = "  ".join(f"{name} {value:.1f} ({speed / value:.1f}x)" for name, value in peers.items())
        print(
            f"{case.name:28s} {speed:5.1f} of {bandwidth:4.1f} ({speed / bandwidth:4.0%})  {others}"
            f"{'' if met else '  below its goal'}",
            flush=True,
        )
        goals = {"share": case.share, **case.ratios}
        results.append(
            {"case": case.name, "gbps": speed, "read_gbps": bandwidth, "peers_gbps": peers, "goals": goals, "met": met}
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"simd": kernels.simd_level(), "mbytes": options.mbytes, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
