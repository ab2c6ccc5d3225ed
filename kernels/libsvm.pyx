# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""libsvm text to CSR arrays at the speed of memory; the plain twin and the grammar are in `libsvm_reference.py`.

One pass counts newlines and colons, which bounds rows and non-zeros, so that the arrays are allocated once; a second
pass fills them. The fast pass only accepts or stops: why a line is bad is said by the twin, in one place.
"""

import numpy as np

from libc.math cimport isfinite, ldexp
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memchr

from .libsvm_reference import LibsvmError, parse_line

cdef enum:
    MAX_COLUMN = 2147483647

# Powers of ten that float64 holds exactly: one rounding, in the product or quotient, hence a correctly rounded number.
cdef double[23] POWERS = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]
cdef uint64_t EXACT = 1ull << 53  # whole numbers up to here are exact in float64
cdef uint64_t FULL = (0xFFFFFFFFFFFFFFFFull - 9) // 10  # up to here one more digit fits

cdef extern from *:
    """
    typedef unsigned __int128 uint128_t;
    """
    ctypedef unsigned long long uint128_t  # its real width is known to the C compiler alone


cdef struct Progress:
    const char *line  # start of the line that is read or was refused
    int64_t lines, rows, nonzeros


cdef inline bint is_digit(char c) noexcept nogil:
    return c'0' <= c <= c'9'


cdef inline bint is_blank(char c) noexcept nogil:
    return c == c' ' or c == c'\t'


cdef double quotient(uint64_t mantissa, int power) noexcept nogil:
    """``mantissa / 10**power``, correctly rounded, for mantissa > 2**53 and 0 < power <= 18.

    These are the numbers of 16 to 19 digits that repr writes. The quotient of whole numbers is taken with 64 bits behind
    the point, hence has 58 bits or more; what is cut off sets its last bit, so that the one rounding, from 64 bits to 53,
    sees on which side of the middle the number lies.
    """
    cdef uint128_t scaled = <uint128_t> mantissa << 64
    cdef uint64_t divisor = <uint64_t> POWERS[power]
    cdef uint128_t whole = scaled // divisor
    cdef int excess = 0
    if whole * divisor != scaled:
        whole |= 1
    while whole >> 64:
        whole = (whole >> 1) | (whole & 1)
        excess += 1
    return ldexp(<double> <uint64_t> whole, excess - 64)


cdef const char *read_number(const char *p, const char *end, double *out) except? NULL nogil:
    """Read the finite number at `p`, return the place behind it, or NULL where there is none."""
    cdef const char *start = p
    cdef uint64_t mantissa = 0
    cdef bint exact = True, digits = False, negative = False, negative_power = False
    cdef int exponent = 0, power = 0
    if p < end and (p[0] == c'-' or p[0] == c'+'):
        negative = p[0] == c'-'
        p += 1
    while p < end and is_digit(p[0]):
        digits = True
        if mantissa <= FULL:
            mantissa = mantissa * 10 + <uint64_t> (p[0] - c'0')
        else:
            exact = False
        p += 1
    if p < end and p[0] == c'.':
        p += 1
        while p < end and is_digit(p[0]):
            digits = True
            if mantissa <= FULL and exponent > -10000:
                mantissa = mantissa * 10 + <uint64_t> (p[0] - c'0')
                exponent -= 1
            else:
                exact = False
            p += 1
    if not digits:
        return NULL
    if p < end and (p[0] == c'e' or p[0] == c'E'):
        p += 1
        if p < end and (p[0] == c'-' or p[0] == c'+'):
            negative_power = p[0] == c'-'
            p += 1
        if p == end or not is_digit(p[0]):
            return NULL
        while p < end and is_digit(p[0]):
            if power < 10000:
                power = power * 10 + (p[0] - c'0')
            p += 1
        exponent += -power if negative_power else power
    if exact and mantissa <= EXACT and -22 <= exponent <= 22:
        out[0] = <double> mantissa
        out[0] = out[0] * POWERS[exponent] if exponent >= 0 else out[0] / POWERS[-exponent]
        if negative:
            out[0] = -out[0]
        return p
    if exact and mantissa > EXACT and -18 <= exponent < 0:
        out[0] = quotient(mantissa, -exponent)
        if negative:
            out[0] = -out[0]
        return p
    with gil:  # rare: long numbers and huge powers. Python's float is correctly rounded and knows no locale.
        out[0] = float(start[:p - start])
    return p if isfinite(out[0]) else NULL


cdef int read_rows(const char *p, const char *end, double *labels, int64_t *indptr, int32_t *indices, double *values,
                   Progress *at) except -1 nogil:
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
