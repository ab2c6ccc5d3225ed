# cython: language_level=3, boundscheck=False, wraparound=False
"""Counts the lines of text; the plain twin is in `delimited_reference.py`."""

import numpy as np

from libc.stdint cimport int64_t
from libc.string cimport memchr


cdef int64_t walk(const unsigned char *begin, const unsigned char *end, int64_t *newlines, int64_t *doubtful) noexcept nogil:
    """Count the lines that may be no rows, and where `doubtful` is not NULL put down where they start."""
    cdef const unsigned char *p = begin
    cdef int64_t found = 0
    newlines[0] = 0
    while p < end:
        if p[0] <= 32 or p[0] == c'#':
            if doubtful != NULL:
                doubtful[found] = p - begin
            found += 1
        p = <const unsigned char *> memchr(p, c'\n', end - p)
        if p == NULL:
            break
        newlines[0] += 1
        p += 1
    return found


def count_lines(data):
    """Return the number of newlines in text, and where the lines begin that may be blank or a comment (int64 array).

    These start with a blank, another control character or "#". `data` is any contiguous bytes-like object. The GIL is
    released.
    """
    if len(data) == 0:
        return 0, np.empty(0, np.int64)
    cdef const unsigned char[::1] view = data
    cdef const unsigned char *begin = &view[0]
    cdef const unsigned char *end = begin + view.shape[0]
    cdef int64_t newlines, found
    with nogil:
        found = walk(begin, end, &newlines, NULL)
    doubtful = np.empty(found, np.int64)
    cdef int64_t[::1] doubtful_view = doubtful
    if found:
        with nogil:
            walk(begin, end, &newlines, &doubtful_view[0])
    return newlines, doubtful
