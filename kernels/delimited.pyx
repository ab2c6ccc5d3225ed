# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""CSV and TSV text to arrays at the speed of memory: see delimited.h; the plain twin is in `delimited_reference.py`."""

import numpy as np

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr

from .delimited_reference import KINDS, check_places
from .powers import leading_bits_of_fives

cdef extern from "delimited.h":
    ctypedef struct Target:
        int kind
        double *at
        Py_ssize_t step
    enum: LEAST_POWER, GREATEST_POWER
    uint64_t FIVES[]
    int64_t read_rows(const char *p, const char *end, char delimiter, Target *targets, Py_ssize_t n_columns) nogil

for number, word in enumerate(leading_bits_of_fives(LEAST_POWER, GREATEST_POWER)):
    FIVES[number] = word


def parse(data, delimiter, kinds, places, n_features):
    """Parse rows of text into ``(X, others)``, or return None where a line is not plain enough to be sure of.

    `data` is any contiguous bytes-like object, of whole lines; `delimiter` one ASCII character. For each column of the
    text `kinds` holds one of KINDS, and `places` where it goes: below `n_features` a column of X, float64 (n,
    n_features), from there on a row of `others`, float64 (n_others, n). Every column of X and row of `others` has to be
    named once; what is skipped has the place -1. Blank lines are no rows. Numbers are correctly rounded whatever the
    locale, and finite, or NaN where they are missing in a column of the kind "gaps". The GIL is released.
    """
    n_others = check_places(kinds, places, n_features)
    if not bytes(data[-1:]) == b"\n":
        data = bytes(data) + b"\n"
    cdef const unsigned char[::1] view = data
    cdef const char *begin = <const char *> &view[0]
    cdef const char *end = begin + view.shape[0]
    cdef const char *p = begin
    cdef char separator = ord(delimiter)
    cdef int64_t lines = 0, rows
    cdef Py_ssize_t n_columns = len(kinds), j
    with nogil:
        while p < end:
            p = <const char *> memchr(p, c'\n', end - p) + 1
            lines += 1
    X, others = np.empty((lines, n_features)), np.empty((n_others, lines))
    cdef double[:, ::1] X_view = X, others_view = others
    cdef Target *targets = <Target *> malloc(max(1, n_columns) * sizeof(Target))
    if targets == NULL:
        raise MemoryError
    try:
        for j in range(n_columns):
            targets[j].kind = KINDS.index(kinds[j])
            if targets[j].kind == 0:
                continue
            if places[j] < n_features:
                targets[j].at, targets[j].step = &X_view[0, <Py_ssize_t> places[j]], n_features
            else:
                targets[j].at, targets[j].step = &others_view[<Py_ssize_t> places[j] - <Py_ssize_t> n_features, 0], 1
        with nogil:
            rows = read_rows(begin, end, separator, targets, n_columns)
    finally:
        free(targets)
    return None if rows < 0 else (X[:rows], others[:, :rows])
