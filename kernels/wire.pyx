"""Numbers on a slow wire: float32 arrays as fewer bytes and back; see wire.h for the formats and their errors."""

cdef extern from "wire.h":
    ctypedef void (*encode_fn)(const float *x, float *residual, void *out, Py_ssize_t n, Py_ssize_t k) noexcept nogil
    ctypedef void (*decode_fn)(const void *data, float *out, Py_ssize_t n, Py_ssize_t k) noexcept nogil
    enum:
        WIRE_BF16, WIRE_FP16, WIRE_INT8, WIRE_TOPK, WIRE_BLOCK
    int simd_level()
    Py_ssize_t int8_blocks(Py_ssize_t n)
    encode_fn wire_encode(int format, int level)
    decode_fn wire_decode(int format, int level)
    decode_fn wire_add(int format, int level)

cdef int LEVEL = simd_level()
cdef dict FORMATS = {"bf16": WIRE_BF16, "fp16": WIRE_FP16, "int8": WIRE_INT8, "topk": WIRE_TOPK}

BLOCK = WIRE_BLOCK


def wire_bytes(format, Py_ssize_t n, Py_ssize_t k=0):
    """Return how many bytes `n` numbers take in a format: "bf16", "fp16", "int8", or "topk" with `k` of them kept."""
    cdef int number = checked(format, n, k)
    if number == WIRE_TOPK:
        return 8 * k
    return n + 4 * int8_blocks(n) if number == WIRE_INT8 else 2 * n


def encode(format, const float[::1] x, float[::1] residual, unsigned char[::1] out, Py_ssize_t k=0):
    """Write the code of ``x + residual`` to `out`, and what the code loses of it to `residual`.

    x, residual: float32 (n,), contiguous, apart from one another. out: uint8 (wire_bytes(format, n, k),), starting at a
    multiple of 4 bytes. Where the sum is not finite the residual becomes 0. The GIL is released.

    Raises ValueError for another format, length or k; TypeError or ValueError for another dtype or layout.
    """
    cdef int number = checked(format, x.shape[0], k)
    cdef Py_ssize_t n = x.shape[0]
    cdef encode_fn loop = wire_encode(number, LEVEL)
    if residual.shape[0] != n or out.shape[0] != wire_bytes(format, n, k):
        raise ValueError(f"residual must have {n} numbers and out {wire_bytes(format, n, k)} bytes; they have "
                         f"{residual.shape[0]} and {out.shape[0]}")
    if n:
        check_aligned(<size_t>&out[0])
        with nogil:
            loop(&x[0], &residual[0], &out[0], n, k)


def decode(format, const unsigned char[::1] data, float[::1] out, Py_ssize_t k=0):
    """Write the numbers that `data` codes to `out`, float32 (n,). Arguments and errors as for `encode`."""
    run_decode(wire_decode(checked(format, out.shape[0], k), LEVEL), format, data, out, k)


def decode_add(format, const unsigned char[::1] data, float[::1] out, Py_ssize_t k=0):
    """Add the numbers that `data` codes to `out`, float32 (n,). Arguments and errors as for `encode`."""
    run_decode(wire_add(checked(format, out.shape[0], k), LEVEL), format, data, out, k)


cdef int run_decode(decode_fn loop, format, const unsigned char[::1] data, float[::1] out, Py_ssize_t k) except -1:
    cdef Py_ssize_t n = out.shape[0]
    if data.shape[0] != wire_bytes(format, n, k):
        raise ValueError(f"data must have {wire_bytes(format, n, k)} bytes, not {data.shape[0]}")
    if n:
        check_aligned(<size_t>&data[0])
        if format == "topk":
            check_indices(data, n, k)
        with nogil:
            loop(&data[0], &out[0], n, k)
    return 0


cdef int check_indices(const unsigned char[::1] data, Py_ssize_t n, Py_ssize_t k) except -1:
    """What comes from elsewhere must not write behind the array."""
    cdef const unsigned int *indices = <const unsigned int *>&data[0]
    cdef unsigned int largest = 0
    cdef Py_ssize_t i
    for i in range(k):
        largest = max(largest, indices[i])
    if largest >= <size_t>n:
        raise ValueError(f"data has an index {largest} of {n} numbers")
    return 0


cdef int check_aligned(size_t start) except -1:
    if start % 4:
        raise ValueError("the bytes must start at a multiple of 4")
    return 0


cdef int checked(format, Py_ssize_t n, Py_ssize_t k) except -1:
    number = FORMATS.get(format)
    if number is None:
        raise ValueError(f"unknown wire format {format!r}; choose one of {', '.join(FORMATS)}")
    if k < 0 or k > n or (number == WIRE_TOPK and k == 0 < n):
        raise ValueError(f"k must be between 1 and the {n} numbers, not {k}")
    return number
