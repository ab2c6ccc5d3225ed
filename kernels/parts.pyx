"""What the processes of a node need to work on one another's shared memory: counters, and the sum of a range.

And the two messages of an exchange between processes that share none.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "node.h":
    ctypedef void (*reduce_fn)(void *out, const void *x, ptrdiff_t n) noexcept nogil
    ctypedef struct node_counter:
        pass
    void node_publish(node_counter *counter, uint64_t value) nogil
    uint64_t node_read(node_counter *counter) nogil
    void node_combine(char *out, char *const *buffers, int count, ptrdiff_t n, size_t itemsize, reduce_fn combine) nogil

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
    cdef char *result = <char *>address(out)
    cdef int count = len(addresses), r
    cdef char **sources = <char **>malloc(count * sizeof(char *))
    if sources == NULL:
        raise MemoryError
    for r in range(count):
        sources[r] = <char *><uintptr_t>addresses[r]
    with nogil:
        node_combine(result, sources, count, n, itemsize, <reduce_fn>loop)
    free(sources)


HEAD_BYTES = 2 * sizeof(uint64_t)


cdef class MessagePair:
    """The message that this process sends in an exchange and the one that it gets: a head and an array behind it.

    The head holds a digest of the call and the array's bytes, and whether it is known that the processes' calls differ.

    Args:
        outgoing, incoming: memory for the two, uint8; the latter may hold another, longer message than is expected.
        data: this process's array, contiguous; if it is not the outgoing message's it is copied there and back.
        itemsize: of its items.
        loop: address of the reduction loop for them.
    """

    cdef uint64_t *sent
    cdef uint64_t *received
    cdef char *data
    cdef size_t n_bytes, itemsize
    cdef reduce_fn loop
    cdef object kept

    def __cinit__(self, outgoing, incoming, data, size_t itemsize, uintptr_t loop):
        self.sent = <uint64_t *>address(outgoing)
        self.received = <uint64_t *>address(incoming)
        self.data = <char *>address(data)
        self.n_bytes, self.itemsize, self.loop = data.nbytes, itemsize, <reduce_fn>loop
        self.kept = outgoing, incoming, data

    def begin(self, uint64_t digest, bint same):
        """Prepare the outgoing message."""
        self.sent[0], self.sent[1] = digest, 2 * self.n_bytes + (not same)
        if self.data != <char *>(self.sent + 2):
            memcpy(self.sent + 2, self.data, self.n_bytes)

    cdef bint fits(self) noexcept:
        """Whether both messages are of the same call, which no process knows to differ."""
        cdef bint same = self.sent[0] == self.received[0] and self.sent[1] == self.received[1] and not self.sent[1] & 1
        if not same:
            self.sent[1] |= 1
        return same

    def combine(self, bint to_the_right):
        """Combine the arrays of both in the outgoing message; its own stands to the right of the operator, or not."""
        cdef char *mine = <char *>(self.sent + 2)
        cdef char *theirs = <char *>(self.received + 2)
        if not self.fits() or self.n_bytes == 0:
            return
        with nogil:
            if to_the_right:
                self.loop(theirs, mine, self.n_bytes // self.itemsize)
                memcpy(mine, theirs, self.n_bytes)
            else:
                self.loop(mine, theirs, self.n_bytes // self.itemsize)

    def replace(self):
        """Put the incoming array into the outgoing message."""
        if self.fits():
            memcpy(self.sent + 2, self.received + 2, self.n_bytes)

    def end(self):
        """Hand out the result; return whether there is one."""
        if self.sent[1] & 1:
            return False
        if self.data != <char *>(self.sent + 2):
            memcpy(self.data, self.sent + 2, self.n_bytes)
        return True
