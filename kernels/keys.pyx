"""Numbers for keys by hash tables: of bytes for the arrays of a fixed item size, a dict for objects."""

import numpy as np

from cpython.dict cimport PyDict_GetItemWithError
from cpython.exc cimport PyErr_Occurred
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "keys.h":
    void prefetch "__builtin_prefetch" (const void *memory) nogil
    enum:
        KEYS_FOUND, KEYS_NO_MEMORY
    ctypedef struct key_array:
        const char *items
        Py_ssize_t n, stride, size
    Py_ssize_t keys_in(const key_array *keys, const key_array *categories, int64_t *out) nogil
    Py_ssize_t keys_distinct(const key_array *keys, int64_t *out, int64_t *rows) nogil

cdef enum:
    AHEAD = 16  # objects, by which prefetching runs ahead


def has_bytes(dtype):
    """Are two items of this dtype equal just where their bytes are, and are those within reach? Not so floats."""
    return dtype.kind in "USbiumM" and dtype.isnative


def numbers_in(keys, categories):
    """The number of each key (n,) in categories (K,), both of one dtype, of which has_bytes or object: int64 (n,).

    Of equal categories the first; also the first row whose key is not among them, or -1.
    """
    cdef Py_ssize_t missing
    cdef key_array some, known
    numbers = np.empty(len(keys), np.int64)
    cdef int64_t *out = <int64_t *>address(numbers)
    if keys.dtype.kind == "O":
        return numbers, objects_in(keys, first_numbers(categories.tolist()), out)
    describe(keys, &some)
    describe(categories, &known)
    with nogil:
        missing = keys_in(&some, &known, out)
    if missing == KEYS_NO_MEMORY:
        raise MemoryError
    return numbers, -1 if missing == KEYS_FOUND else missing


def numbers_of_distinct(keys):
    """The distinct ones of keys (n,), of which has_bytes, as the rows where each comes first, in the order of these,
    and the number among them of each key: two arrays of int64."""
    cdef Py_ssize_t count
    cdef key_array some
    numbers, rows = np.empty((2, len(keys)), np.int64)
    cdef int64_t *out = <int64_t *>address(numbers)
    cdef int64_t *first = <int64_t *>address(rows)
    describe(keys, &some)
    with nogil:
        count = keys_distinct(&some, out, first)
    if count == KEYS_NO_MEMORY:
        raise MemoryError
    return rows[:count], numbers


cdef dict first_numbers(list categories):
    number = {}
    for k, key in enumerate(categories):
        number.setdefault(key, k)
    return number


cdef int describe(keys, key_array *array) except -1:
    array.n = len(keys)
    array.stride = keys.strides[0]
    array.size = keys.itemsize
    # Dates have no buffer of their own.
    array.items = <const char *>address(keys.view(np.int64) if keys.dtype.kind in "mM" else keys)
    return 0


cdef Py_ssize_t objects_in(keys, dict number, int64_t *out) except? -2:
    cdef Py_ssize_t i, n = len(keys), stride = keys.strides[0]
    cdef const char *items = <const char *>address(keys)
    cdef PyObject *key
    cdef PyObject *found
    for i in range(n):
        if i + AHEAD < n:
            prefetch((<PyObject **>(items + (i + AHEAD) * stride))[0])  # the objects lie anywhere
        key = (<PyObject **>(items + i * stride))[0]
        found = PyDict_GetItemWithError(number, <object>key if key is not NULL else None)
        if found is NULL:
            if PyErr_Occurred():
                return -2
            return i
        out[i] = <object>found
    return -1
