"""The NumPy twins of wire.pyx, same names and arguments: the tests' oracle, and the text to read first."""

from __future__ import annotations

import numpy as np

BLOCK = 256
LEAST_SCALE = np.finfo(np.float32).tiny


def wire_bytes(format: str, n: int, k: int = 0) -> int:
    """How many bytes `n` numbers take."""
    return {"bf16": 2 * n, "fp16": 2 * n, "int8": n + 4 * -(-n // BLOCK), "topk": 8 * k}[format]


def encode(format: str, x: np.ndarray, residual: np.ndarray, out: np.ndarray, k: int = 0) -> None:
    """``out`` is the code of ``x + residual``; ``residual`` what it loses, 0 where that is not finite."""
    v = x + residual
    out[:] = np.frombuffer(
        {"bf16": _bf16, "fp16": _fp16, "int8": _int8, "topk": lambda v: _topk(v, k)}[format](v), "u1"
    )
    decoded = np.empty_like(v)
    decode(format, out, decoded, k)
    with np.errstate(invalid="ignore"):
        lost = v - decoded
    residual[:] = np.where(np.isfinite(lost), lost, 0)


def decode(format: str, data: np.ndarray, out: np.ndarray, k: int = 0) -> None:
    """``out`` is what `data` codes."""
    out[:] = 0
    decode_add(format, data, out, k)
    out[_numbers(format, data, len(out), k) == 0] = 0.0


def decode_add(format: str, data: np.ndarray, out: np.ndarray, k: int = 0) -> None:
    """``out`` grows by what `data` codes."""
    with np.errstate(invalid="ignore"):
        out += _numbers(format, data, len(out), k)


def _numbers(format: str, data: np.ndarray, n: int, k: int) -> np.ndarray:
    if format == "bf16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if format == "fp16":
        return data.view(np.float16).astype(np.float32)
    if format == "int8":
        scales = data[: 4 * -(-n // BLOCK)].view(np.float32)
        return data[4 * len(scales) :].view(np.int8) * np.repeat(scales, BLOCK)[:n]
    numbers = np.zeros(n, np.float32)
    numbers[data[: 4 * k].view(np.uint32)] = data[4 * k :].view(np.float32)
    return numbers


def _bf16(v: np.ndarray) -> bytes:
    """The upper half of a float, to the nearest, ties to even; NaN stays NaN."""
    bits = v.view(np.uint32)
    rounded = (bits.astype(np.uint64) + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(v), bits >> 16 | 0x40, rounded).astype(np.uint16).tobytes()


def _fp16(v: np.ndarray) -> bytes:
    with np.errstate(over="ignore"):
        code = v.astype(np.float16).view(np.uint16)
    return np.where(np.isnan(v), code & 0x8000 | 0x7E00, code).astype(np.uint16).tobytes()


def _int8(v: np.ndarray) -> bytes:
    """The nearest multiple of the block's scale; NaN for a block that is not finite.

    The scale is the block's largest magnitude / 127, cut to 16 bits.
    """
    scales, codes = [], []
    for block in (v[low : low + BLOCK] for low in range(0, len(v), BLOCK)):
        scale = ((np.abs(block).max() / np.float32(127)).view(np.uint32) & np.uint32(0xFFFFFF00)).view(np.float32)
        if not np.isfinite(block).all():
            scale = np.float32(np.nan)
        elif scale < LEAST_SCALE:
            scale = np.float32(0)
        usable = np.isfinite(scale) and scale > 0
        scales.append(scale)
        codes.append(np.rint(block / scale) if usable else np.zeros_like(block))
    return np.array(scales, np.float32).tobytes() + np.concatenate([*codes, []]).astype(np.int8).tobytes()


def _topk(v: np.ndarray, k: int) -> bytes:
    """The k largest magnitudes, of equal ones the first; NaN counts as larger than infinity."""
    magnitude = (v.view(np.uint32) & 0x7FFFFFFF).astype(np.int64)
    indices = np.sort(np.argsort(-magnitude, kind="stable")[:k])
    return indices.astype(np.uint32).tobytes() + v[indices].tobytes()
