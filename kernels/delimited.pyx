# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""CSV and TSV text to arrays at the speed of memory: see delimited.h; the plain twin is in `delimited_reference.py`."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcpy

from .delimited_reference import KINDS, check_places
from .powers import leading_bits_of_fives

cdef extern from "delimited.h":
    ctypedef struct Run:
        Py_ssize_t first, n, place
        double *at
        Py_ssize_t step
    ctypedef struct Place:
        const uint8_t *kinds
        bint words
        Py_ssize_t n_columns, column, run, n_runs
        int64_t rows, room
        Run *runs
    enum: LEAST_POWER, GREATEST_POWER, FULL
    uint64_t FIVES[]
    int simd_level()
    int64_t read_rows(const char *p, const char *end, char delimiter, Place *at, int level) nogil

cdef int LEVEL = simd_level()

for number, word in enumerate(leading_bits_of_fives(LEAST_POWER, GREATEST_POWER)):
    FIVES[number] = word


def parse(data, delimiter, kinds, places, n_features):
    """``Parser(delimiter, kinds, places, n_features).parse(data)``."""
    return Parser(delimiter, kinds, places, n_features).parse(data)


cdef int64_t count_newlines(const unsigned char[::1] data) noexcept:
    cdef int64_t n = 0
    cdef const unsigned char *p = &data[0]
    cdef const unsigned char *end = p + data.shape[0]
    with nogil:
        while p < end:
            p = <const unsigned char *> memchr(p, c'\n', end - p)
            if p == NULL:
                break
            p += 1
            n += 1
    return n


cdef class Parser:
    """What the cells of rows are, and where they go.

    `delimiter` is one ASCII character. For each column of the text `kinds` holds one of KINDS, and `places` where it
    goes: below `n_features` a column of X, from there on one of the other arrays. Each of these has to be named once;
    what is skipped has the place -1. Raises ValueError for kinds and places that do not fit together.
    """

    cdef readonly Py_ssize_t n_features, n_others
    cdef char separator
    cdef bytes kinds
    cdef Place at

    def __cinit__(self, delimiter, kinds, places, n_features):
        cdef Py_ssize_t j
        cdef Run *run = NULL
        self.n_others, self.n_features = check_places(kinds, places, n_features), n_features
        self.separator = ord(delimiter)
        self.kinds = bytes([KINDS.index(kind) for kind in kinds])
        self.at.kinds = self.kinds
        self.at.words = "boolean" in kinds
        self.at.n_columns = len(kinds)
        self.at.runs = <Run *> malloc(self.at.n_columns * sizeof(Run))
        if self.at.runs == NULL:
            raise MemoryError
        for j, place in enumerate(places):
            if kinds[j] == "skipped":
                continue
            if run != NULL and run.first + run.n == j and run.place + run.n == place < n_features:
                run.n += 1
                continue
            run = &self.at.runs[self.at.n_runs]
            self.at.n_runs += 1
            run.first, run.n, run.place = j, 1, place

    def __dealloc__(self):
        free(self.at.runs)

    def parse(self, data):
        """Parse whole lines into ``(X, others)``, or return None where a line is not plain enough to be sure of.

        As `parse_into`; X is float64 (n, n_features), others float64 (n_others, n).
        """
        n = count_newlines(data) + 1
        X, others = np.empty((n, self.n_features)), np.empty((self.n_others, n))
        rows = self.parse_into(data, X, list(others), 0)
        return None if rows is None else (X[:rows], others[:, :rows])

    def parse_into(self, data, double[:, ::1] X, others, Py_ssize_t row):
        """Parse whole lines into X[row:] and the other arrays from `row` on; return how many rows they are.

        `data` is any contiguous bytes-like object, X float64 (n, n_features), `others` a list of n_others arrays, float64 (n,). Returns None where a line is not
        plain enough to be sure of, and -1 where there is no room for all rows; what was written then means nothing.
        Blank lines are no rows. Numbers are correctly rounded whatever the locale, and finite, or NaN where they are
        missing in a column of the kind "gaps". The GIL is released.
        """
        if X.shape[1] != self.n_features or len(others) != self.n_others or not 0 <= row <= X.shape[0]:
            raise ValueError(f"X {(X.shape[0], X.shape[1])} and {len(others)} other arrays do not take rows from {row} "
                             f"on of {self.n_features} features and {self.n_others} other columns")
        if not bytes(data[-1:]) == b"\n":
            data = bytes(data) + b"\n"
        cdef const unsigned char[::1] view = data
        cdef const char *begin = <const char *> &view[0]
        cdef const char *end = begin + view.shape[0]
        cdef double[::1] other
        cdef Place at = self.at
        cdef Py_ssize_t j
        cdef Run *run
        cdef int64_t rows
        at.room = X.shape[0] - row
        at.runs = <Run *> malloc(at.n_columns * sizeof(Run))
        if at.runs == NULL:
            raise MemoryError
        memcpy(at.runs, self.at.runs, at.n_runs * sizeof(Run))
        try:
            for j in range(at.n_runs):
                run = &at.runs[j]
                if run.place < self.n_features:
                    run.at, run.step = &X[0, 0] + row * self.n_features + run.place, self.n_features
                else:
                    other = others[run.place - self.n_features]
                    if other.shape[0] != X.shape[0]:
                        raise ValueError(f"X has room for {X.shape[0]} rows, another array for {other.shape[0]}")
                    run.at, run.step = &other[0] + row, 1
            with nogil:
                rows = read_rows(begin, end, self.separator, &at, LEVEL)
        finally:
            free(at.runs)
        return -1 if rows == FULL else None if rows < 0 else rows
