"""What the processes of a node need to work on one another's shared memory: counters, and the sum of a range."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef extern from "node.h":
    ctypedef void (*reduce_fn)(void *out, const void *x, ptrdiff_t n) noexcept nogil
    enum:
        REDUCE_BLOCK
    ctypedef struct node_counter:
        pass
    void node_publish(node_counter *counter, uint64_t value) nogil
    uint64_t node_read(node_counter *counter) nogil

COUNTER_BYTES = sizeof(node_counter)


cdef class Counters:
    """One counter of every process of a node, each written by its owner only, stored with release, read with acquire.

    Who reads a value sees everything that its owner wrote to memory before it published that value.

    Args:
        addresses: of every process's counter in shared memory, on COUNTER_BYTES of its own, zero at first.
        rank: which of them is this process's.
    """

    cdef node_counter **counters
    cdef int size, rank

    def __cinit__(self, list addresses, int rank):
        self.size, self.rank = len(addresses), rank
        self.counters = <node_counter **>malloc(max(1, len(addresses)) * sizeof(node_counter *))
        if self.counters == NULL:
            raise MemoryError
        for i, address in enumerate(addresses):
            self.counters[i] = <node_counter *><uintptr_t>address

    def __dealloc__(self):
        free(self.counters)

    def publish(self, uint64_t value):
        """Set this process's counter; never to less than it was."""
        node_publish(self.counters[self.rank], value)

    def read(self, int rank):
        """Return the counter of a process."""
        return node_read(self.counters[rank])

    def least(self):
        """Return the least of all counters."""
        cdef uint64_t value, found = <uint64_t>-1
        for i in range(self.size):
            value = node_read(self.counters[i])
            if value < found:
                found = value
        return found


def combine_ranges(uintptr_t loop, list addresses, Py_ssize_t n, Py_ssize_t itemsize, out):
    """Combine the `n` items at each of the `addresses`, in this order, into the contiguous array `out` of n items.

    `loop` is the address of a reduction loop (see `reduce.loop`). The GIL is released; nothing is checked.
    """
    cdef unsigned char[::1] view = out.view("u1")
    cdef char *result
    cdef char **sources
    cdef int count = len(addresses), r
    cdef Py_ssize_t i, m, block = max(1, REDUCE_BLOCK // itemsize)
    if n == 0:
        return
    result = <char *>&view[0]
    sources = <char **>malloc(count * sizeof(char *))
    if sources == NULL:
        raise MemoryError
    for r in range(count):
        sources[r] = <char *><uintptr_t>addresses[r]
    with nogil:
        i = 0
        while i < n:  # by blocks that stay in the cache
            m = min(block, n - i)
            memcpy(result + i * itemsize, sources[0] + i * itemsize, m * itemsize)
            for r in range(1, count):
                (<reduce_fn>loop)(result + i * itemsize, sources[r] + i * itemsize, m)
            i += m
    free(sources)
