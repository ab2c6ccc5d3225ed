# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""libsvm text to CSR arrays at the speed of memory; the plain twin and the grammar are in `libsvm_reference.py`.

One pass counts newlines and colons, which bounds rows and non-zeros, so that the arrays are allocated once; a second
pass fills them. The fast pass only accepts or stops: why a line is bad is said by the twin, in one place.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memchr

from .libsvm_reference import LibsvmError, parse_line
from .powers import leading_bits_of_fives

cdef enum:
    MAX_COLUMN = 2147483647

cdef extern from "number.h":
    enum: LEAST_POWER, GREATEST_POWER
    uint64_t FIVES[]
    const char *read_number(const char *p, const char *end, double *out) nogil

for power, word in enumerate(leading_bits_of_fives(LEAST_POWER, GREATEST_POWER)):
    FIVES[power] = word


cdef struct Progress:
    const char *line  # start of the line that is read or was refused
    int64_t lines, rows, nonzeros


cdef inline bint is_digit(char c) noexcept nogil:
    return c'0' <= c <= c'9'


cdef inline bint is_blank(char c) noexcept nogil:
    return c == c' ' or c == c'\t'


cdef int read_rows(const char *p, const char *end, double *labels, int64_t *indptr, int32_t *indices, double *values,
                   Progress *at) noexcept nogil:
    """Fill the arrays; return 1 when all is read and 0 when the line at ``at.line`` is refused."""
    cdef const char *line_end
    cdef const char *stop
    cdef const char *q
    cdef bint comments = memchr(p, c'#', end - p) != NULL
    cdef int64_t column, previous
    while p < end:
        at.line = p
        line_end = <const char *> memchr(p, c'\n', end - p)
        if line_end == NULL:
            line_end = end
        stop = line_end
        if stop > p and stop[-1] == c'\r':
            stop -= 1
        if comments:
            q = <const char *> memchr(p, c'#', stop - p)
            if q != NULL:
                stop = q
        while p < stop and is_blank(p[0]):
            p += 1
        if p < stop:
            p = read_number(p, stop, &labels[at.rows])
            if p == NULL or (p < stop and not is_blank(p[0])):
                return 0
            previous = 0
            while p < stop and is_blank(p[0]):
                p += 1
            if stop - p > 4 and p[0] == c'q' and p[1] == c'i' and p[2] == c'd' and p[3] == c':' and is_digit(p[4]):
                p += 4
                while p < stop and is_digit(p[0]):
                    p += 1
                if p < stop and not is_blank(p[0]):
                    return 0
            while True:
                while p < stop and is_blank(p[0]):
                    p += 1
                if p == stop:
                    break
                column = 0
                while p < stop and is_digit(p[0]):
                    column = column * 10 + (p[0] - c'0')
                    if column > MAX_COLUMN:
                        return 0
                    p += 1
                if p == stop or p[0] != c':' or column <= previous:
                    return 0
                previous = column
                p = read_number(p + 1, stop, &values[at.nonzeros])
                if p == NULL or (p < stop and not is_blank(p[0])):
                    return 0
                indices[at.nonzeros] = <int32_t> (column - 1)
                at.nonzeros += 1
            at.rows += 1
            indptr[at.rows] = at.nonzeros
        at.lines += 1
        p = line_end + 1 if line_end < end else end
    return 1


def parse(data):
    """Parse libsvm text into ``(labels, indptr, indices, values)``, the rows as CSR with columns counted from 0.

    `data` is any contiguous bytes-like object. `labels` is float64 (n,), `indptr` int64 (n + 1,), `indices` int32
    (nnz,), `values` float64 (nnz,); numbers are correctly rounded whatever the locale. The GIL is released.

    Raises LibsvmError (a ValueError) at the first bad line, with its number, the rows before it and the reason.
    """
    cdef const unsigned char[::1] view = data
    cdef Py_ssize_t size = view.shape[0], i
    if size == 0:
        return np.empty(0), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0)
    cdef const char *begin = <const char *> &view[0]
    cdef int64_t newlines = 0, colons = 0
    with nogil:
        for i in range(size):
            newlines += begin[i] == c'\n'
            colons += begin[i] == c':'
    # One entry more than the bounds: an address may be taken, though nothing written, behind the last colon's value.
    labels, indptr = np.empty(newlines + 1), np.zeros(newlines + 2, np.int64)
    indices, values = np.empty(colons + 1, np.int32), np.empty(colons + 1)
    cdef double[::1] labels_view = labels, values_view = values
    cdef int64_t[::1] indptr_view = indptr
    cdef int32_t[::1] indices_view = indices
    cdef Progress at = Progress(begin, 0, 0, 0)
    cdef int done
    with nogil:
        done = read_rows(begin, begin + size, &labels_view[0], &indptr_view[0], &indices_view[0], &values_view[0], &at)
    if not done:
        raise refused(bytes(view[at.line - begin:]).partition(b"\n")[0], at.lines, at.rows)
    return labels[:at.rows], indptr[:at.rows + 1], indices[:at.nonzeros], values[:at.nonzeros]


def refused(line, number, row):
    """The error for a line that the fast pass stopped at."""
    try:
        parse_line(line)
    except ValueError as error:
        return LibsvmError(number, row, str(error))
    return LibsvmError(number, row, "cannot be parsed")
