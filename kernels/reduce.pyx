"""The reduction loops of a ring all-reduce: see reduce.h."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport strcmp


cdef extern from "reduce.h":
    ctypedef void (*reduce_fn)(void *out, const void *x, Py_ssize_t n) nogil
    enum:
        REDUCE_SUM, REDUCE_PROD, REDUCE_MIN, REDUCE_MAX
        REDUCE_bool, REDUCE_int8, REDUCE_uint8, REDUCE_float32, REDUCE_float64, REDUCE_longdouble
        REDUCE_complex64, REDUCE_complex128, REDUCE_clongdouble
    int simd_level()
    reduce_fn reduce_lookup(int op, int dtype, int level)

cdef int LEVEL = simd_level()


def sum_into(x, out):
    """``out[i] += x[i]``; for bool, logical or. Integers wrap.

    Parameters of all four: `x` and `out`, 1-D contiguous arrays of one length and dtype (bool, any NumPy integer,
    float32, float64, longdouble, or their complex kinds); `x` may be read-only, and may be `out` but not overlap it in
    part. The results are those of ``np.add(out, x, out=out)``, bit by bit. The GIL is released.

    Raises TypeError for another or an unequal dtype, ValueError for another shape, layout or a read-only `out`.
    """
    reduce_into(REDUCE_SUM, x, out)


def prod_into(x, out):
    """``out[i] *= x[i]``; for bool, logical and. Integers wrap. Arguments and errors as for `sum_into`."""
    reduce_into(REDUCE_PROD, x, out)


def min_into(x, out):
    """``out[i] = min(out[i], x[i])``; NaN wins, complex numbers compare by real part, then imaginary.

    Arguments and errors as for `sum_into`.
    """
    reduce_into(REDUCE_MIN, x, out)


def max_into(x, out):
    """``out[i] = max(out[i], x[i])``; NaN wins, complex numbers compare by real part, then imaginary.

    Arguments and errors as for `sum_into`.
    """
    reduce_into(REDUCE_MAX, x, out)


cdef int reduce_into(int op, x, out) except -1:
    cdef Py_buffer source, target
    try:
        PyObject_GetBuffer(out, &target, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE)
    except (BufferError, ValueError) as error:
        raise ValueError(f"out must be a writable contiguous array: {error}") from None
    try:
        try:
            PyObject_GetBuffer(x, &source, PyBUF_FORMAT | PyBUF_ND)
        except (BufferError, ValueError) as error:
            raise ValueError(f"x must be a contiguous array: {error}") from None
        try:
            return run(op, &source, &target)
        finally:
            PyBuffer_Release(&source)
    finally:
        PyBuffer_Release(&target)


cdef int run(int op, Py_buffer *x, Py_buffer *out) except -1:
    cdef int dtype = dtype_of(out)
    cdef Py_ssize_t n
    cdef char *a = <char *>out.buf
    cdef char *b = <char *>x.buf
    cdef reduce_fn loop
    if dtype < 0:
        raise TypeError(f"out has items of format {out.format.decode()!r}: "
                        "bool, integer, float32, float64, longdouble or complex of the native byte order is accepted")
    if dtype_of(x) != dtype:
        raise TypeError(f"x and out must have one dtype; their formats are {x.format.decode()!r} and "
                        f"{out.format.decode()!r}")
    if x.ndim != 1 or out.ndim != 1 or x.shape[0] != out.shape[0]:
        raise ValueError("x and out must be 1-D of one length; they have "
                         f"{[x.shape[i] for i in range(x.ndim)]} and {[out.shape[i] for i in range(out.ndim)]} items")
    if a != b and a < b + x.len and b < a + out.len:
        raise ValueError("x and out overlap in part")
    n = out.shape[0]
    loop = reduce_lookup(op, dtype, LEVEL)
    with nogil:
        loop(a, b, n)
    return 0


cdef int dtype_of(Py_buffer *view) noexcept nogil:
    """The dtype's number in reduce.h, or -1."""
    cdef const char *code = view.format
    cdef int log2 = 0 if view.itemsize == 1 else 1 if view.itemsize == 2 else 2 if view.itemsize == 4 else 3
    if code[0] == c'Z':
        return (REDUCE_complex64 if strcmp(code, "Zf") == 0 else REDUCE_complex128 if strcmp(code, "Zd") == 0 else
                REDUCE_clongdouble if strcmp(code, "Zg") == 0 else -1)
    if code[0] == 0 or code[1] != 0:
        return -1
    if code[0] == c'f':
        return REDUCE_float32
    if code[0] == c'd':
        return REDUCE_float64
    if code[0] == c'g':
        return REDUCE_longdouble
    if code[0] == c'?':
        return REDUCE_bool
    if code[0] in (c'b', c'h', c'i', c'l', c'q'):
        return REDUCE_int8 + log2
    if code[0] in (c'B', c'H', c'I', c'L', c'Q'):
        return REDUCE_uint8 + log2
    return -1
