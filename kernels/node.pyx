"""All-reduce among the processes of one node through shared memory: see node.h."""

from numpy import ndarray

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy


cdef extern from "buffer.h":
    void *address(array) except NULL

cdef extern from "node.h":
    ctypedef void (*reduce_fn)(void *out, const void *x, Py_ssize_t n) nogil
    ctypedef void (*finish_fn)(void *x, Py_ssize_t n, int size) nogil
    enum:
        NODE_DONE, NODE_MISMATCH, NODE_INTERRUPTED, PART_HEADER
        REDUCE_SUM, REDUCE_PROD, REDUCE_MIN, REDUCE_MAX, REDUCE_LOGICAL_AND, REDUCE_LOGICAL_OR, REDUCE_LOGICAL_XOR
    ctypedef struct node_part:
        pass
    ctypedef struct node_team:
        int size
        int rank
        node_part **parts
        size_t stage
        int spins
        int (*interrupted)() noexcept with gil
    int simd_level()
    int reduce_dtype(const char *code, size_t itemsize)
    reduce_fn reduce_lookup(int op, int dtype, int level)
    finish_fn node_divide(int dtype)
    int node_agree(node_team *team, uint64_t signature) nogil
    int node_lead(node_team *team, uint64_t signature) nogil
    int node_follow(node_team *team, uint64_t signature) nogil
    void node_release(node_team *team, uint64_t signature) nogil
    void node_combine(char *out, char *const *buffers, int count, Py_ssize_t n, size_t itemsize, reduce_fn combine) nogil
    int node_allreduce_small(node_team *team, uint64_t signature, char *buffer, Py_ssize_t n, size_t itemsize,
                             reduce_fn combine, finish_fn finish) nogil
    int node_allreduce_shared(node_team *team, uint64_t signature, char *const *buffers, Py_ssize_t n, size_t itemsize,
                           reduce_fn combine, finish_fn finish) nogil
    int node_allreduce_staged(node_team *team, uint64_t signature, char *buffer, Py_ssize_t n, size_t itemsize,
                              reduce_fn combine, finish_fn finish) nogil


# What Team.allreduce returns besides these: NOT_HERE, when the array is not one that it takes as it is.
DONE = NODE_DONE
NOT_HERE = 3
PART_BYTES = PART_HEADER  # of a process's part before its four staging buffers

cdef int LEVEL = simd_level()
cdef enum:
    MEAN = 63
    LEARNT_KEPT = 256

cdef dict OP_CODES = {
    "sum": REDUCE_SUM, "mean": MEAN, "prod": REDUCE_PROD, "min": REDUCE_MIN, "max": REDUCE_MAX,
    "logical_and": REDUCE_LOGICAL_AND, "logical_or": REDUCE_LOGICAL_OR, "logical_xor": REDUCE_LOGICAL_XOR,
}


cdef int interrupted() noexcept with gil:
    """Whether a signal handler raised; the exception stays set for the caller."""
    return PyErr_CheckSignals() != 0


cdef class Team:
    """The processes of one node that reduce together.

    Args:
        parts: addresses of every process's part of the shared memory, in rank order: PART_BYTES and four staging
            buffers each, zeroed before the first call.
        rank: which of them is this process's.
        stage: bytes of a staging buffer.
        small: arrays of at most so many bytes (no more than `stage`) are read by everyone, larger ones are sliced.
        small_shared: the same for arrays that lie in shared memory.
        spins: polls before a waiting process yields its processor.

    Every process makes the same calls in the same order.
    """

    cdef node_team team
    cdef size_t small, small_shared
    cdef public size_t high, users_high  # below so many bytes `allreduce` takes arrays, with an operator of the user's
    cdef int last  # what `allreduce` returned
    cdef bint closed  # the shared memory is gone
    cdef dict learnt  # the user's operators by id: (operator, code, {dtype: address of the loop})

    def __cinit__(self, list parts, int rank, size_t stage, size_t small, size_t small_shared, int spins):
        self.team.size = len(parts)
        self.team.rank = rank
        self.team.parts = <node_part **>calloc(len(parts), sizeof(node_part *))
        if self.team.parts == NULL:
            raise MemoryError
        for i, address in enumerate(parts):
            self.team.parts[i] = <node_part *><uintptr_t>address
        self.team.stage = stage
        self.team.spins = spins
        self.team.interrupted = interrupted
        self.small, self.small_shared = min(small, stage), min(small_shared, stage)
        self.high = self.users_high = <size_t>-1
        self.learnt = {}

    def __dealloc__(self):
        free(self.team.parts)

    def close(self):
        """Say that the shared memory is freed: what needs it raises RuntimeError from now on."""
        self.closed = True

    cdef int check_open(self) except -1:
        if self.closed:
            raise RuntimeError("this Communicator is closed")
        return 0

    def take_mismatch(self):
        """Return whether the last `allreduce` found that the processes announced different calls; once."""
        differ = self.last == NODE_MISMATCH
        self.last = NODE_DONE
        return differ

    def agree(self, uint64_t signature):
        """Announce a call and wait for all; True when all announced the same."""
        cdef int status
        self.check_open()
        with nogil:
            status = node_agree(&self.team, signature)
        return self._checked(status) == NODE_DONE

    def learn(self, operator, uint64_t code, dtype, uintptr_t loop):
        """Let `allreduce` take the user's `operator` on arrays of `dtype`; `code` is for the signature."""
        cdef int number = dtype_number(dtype)
        if number >= 0:
            if len(self.learnt) >= LEARNT_KEPT:
                self.learnt.clear()
            self.learnt.setdefault(id(operator), (operator, code, {}))[2][number] = loop

    def allreduce(self, array, op):
        """Combine the processes' arrays in place; DONE, MISMATCH, or NOT_HERE before anything was announced.

        `array` is taken as it is when it is C-contiguous, writable, of a native boolean, integer, real or complex
        dtype, and smaller than `high` or `users_high`. `op` is one of the operators with a name but the bitwise ones, or was learnt.
        """
        cdef Py_buffer view
        cdef int dtype, status
        cdef uint64_t code
        cdef uintptr_t loop
        cdef reduce_fn combine
        cdef finish_fn finish = NULL
        self.check_open()
        named = OP_CODES.get(op) if isinstance(op, str) else None
        users = None if named is not None else self.learnt.get(id(op))
        if named is None and users is None or type(array) is not ndarray:  # a subclass may mean something else
            return NOT_HERE
        try:
            PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE)
        except (BufferError, TypeError, ValueError):
            return NOT_HERE
        try:
            dtype = reduce_dtype(view.format, view.itemsize)
            if dtype < 0 or <size_t>view.len >= (self.high if users is None else self.users_high):
                return NOT_HERE
            if users is not None:
                code, loops = users[1], users[2]
                found = loops.get(dtype)
                if found is None:
                    return NOT_HERE
                loop = found
                combine = <reduce_fn>loop
            else:
                code = named
                if code == MEAN:
                    finish = node_divide(dtype)
                    if finish == NULL:
                        return NOT_HERE
                combine = reduce_lookup(<int>code if code != MEAN else REDUCE_SUM, dtype, LEVEL)
            status = self._run(<char *>view.buf, view.len // view.itemsize, view.itemsize,
                               mixed(code, dtype, view.len // view.itemsize), combine, finish)
        finally:
            PyBuffer_Release(&view)
        self.last = status
        return self._checked(status)

    def plan(self, uint64_t signature, list addresses, array, Py_ssize_t n, size_t itemsize, uintptr_t loop, mean_code,
             on_mismatch):
        """Return a `NodePlan` for the array at `addresses`: of all processes where it is shared, else this one's."""
        return NodePlan(self, signature, addresses, array, n, itemsize, loop, mean_code, on_mismatch)

    cdef int _run(self, char *buffer, Py_ssize_t n, size_t itemsize, uint64_t signature, reduce_fn combine,
                  finish_fn finish) noexcept:
        cdef int status
        with nogil:
            if n * itemsize <= self.small:
                status = node_allreduce_small(&self.team, signature, buffer, n, itemsize, combine, finish)
            else:
                status = node_allreduce_staged(&self.team, signature, buffer, n, itemsize, combine, finish)
        return status

    cdef _checked(self, int status):
        if status == NODE_INTERRUPTED:
            PyErr_CheckSignals()
            raise KeyboardInterrupt
        return status


cdef class NodePlan:
    """One all-reduce on one array, prepared: `run` costs no more than a C call. Made by `Team.plan`.

    Args:
        team: the processes.
        signature: of the call, the same in every process.
        addresses: where the array begins in every process, in rank order and in shared memory; or one address, that
            of this process's private array.
        array: this process's, kept alive.
        n, itemsize: its elements.
        loop: address of the operator's loop; see `dpmpi.kernels.reduce.loop`.
        mean_code: the dtype's code in the buffer protocol if the result is to be divided by the processes, else None.
        on_mismatch: called when the processes announce different calls; raises.
    """

    cdef Team team
    cdef uint64_t signature
    cdef char **addresses
    cdef int shared
    cdef Py_ssize_t n
    cdef size_t itemsize
    cdef reduce_fn combine
    cdef finish_fn finish
    cdef object on_mismatch, array
    cdef bint closed

    def __cinit__(self, Team team, uint64_t signature, list addresses, array, Py_ssize_t n, size_t itemsize,
                  uintptr_t loop, mean_code, on_mismatch):
        self.addresses = <char **>calloc(len(addresses), sizeof(char *))
        if self.addresses == NULL:
            raise MemoryError
        for i, address in enumerate(addresses):
            self.addresses[i] = <char *><uintptr_t>address
        self.team, self.signature, self.n, self.itemsize = team, signature, n, itemsize
        self.shared = len(addresses) > 1
        self.combine = <reduce_fn>loop
        self.finish = NULL if mean_code is None else node_divide(reduce_dtype(mean_code, itemsize))
        self.on_mismatch = on_mismatch
        self.array, self.closed = array, False

    def __dealloc__(self):
        free(self.addresses)

    def close(self):
        """Let go of the array; `run` raises RuntimeError from now on."""
        self.array, self.closed = None, True

    def run(self):
        """Combine the arrays in place."""
        cdef int status
        if self.closed:
            raise RuntimeError("this plan is closed")
        self.team.check_open()
        cdef size_t mine = self.team.team.rank
        if not self.shared:
            status = self.team._run(self.addresses[0], self.n, self.itemsize, self.signature, self.combine, self.finish)
        elif self.n * self.itemsize <= self.team.small_shared:
            with nogil:
                status = node_allreduce_small(&self.team.team, self.signature, self.addresses[mine], self.n,
                                              self.itemsize, self.combine, self.finish)
        else:
            with nogil:
                status = node_allreduce_shared(&self.team.team, self.signature, self.addresses, self.n, self.itemsize,
                                            self.combine, self.finish)
        if status != NODE_DONE:
            self.team._checked(status)
            self.on_mismatch()


cdef class Relay:
    """An all-reduce of which the first process does a part with the result of this node, prepared; run many times.

    Every process calls `begin`, which waits for the first process's `end` in the others. Inputs and result stand in
    shared memory; they are in use from `begin` to the next call of the team.

    Args:
        team: the processes.
        inputs: where each of them puts its array, in rank order.
        result: the array of the first process, in which it is combined and all find the result.
        data: this process's array, contiguous, combined in place.
        itemsize: of its items.
        loop: address of the operator's loop.
    """

    cdef Team team
    cdef char **inputs
    cdef char *result
    cdef char *data
    cdef size_t n_bytes, itemsize
    cdef reduce_fn combine
    cdef object kept

    def __cinit__(self, Team team, list inputs, result, data, size_t itemsize, uintptr_t loop):
        self.inputs = <char **>calloc(len(inputs), sizeof(char *))
        if self.inputs == NULL:
            raise MemoryError
        for i, place in enumerate(inputs):
            self.inputs[i] = <char *><uintptr_t>place
        self.team, self.itemsize, self.combine = team, itemsize, <reduce_fn>loop
        self.result, self.data, self.n_bytes = <char *>address(result), <char *>address(data), data.nbytes
        self.kept = result, data

    def __dealloc__(self):
        free(self.inputs)

    def begin(self, uint64_t signature):
        """Announce the call. Return whether all announced the same: in the first process all of the node, which are
        then combined; in the others all that its `end` told of, and the result is in the array."""
        cdef int status
        cdef node_team *team = &self.team.team
        self.team.check_open()
        with nogil:
            memcpy(self.inputs[team.rank], self.data, self.n_bytes)
            if team.rank == 0:
                status = node_lead(team, signature)
                if status == NODE_DONE:
                    node_combine(self.result, self.inputs, team.size, self.n_bytes // self.itemsize, self.itemsize,
                                 self.combine)
            else:
                status = node_follow(team, signature)
                if status == NODE_DONE:
                    memcpy(self.data, self.result, self.n_bytes)
        return self.team._checked(status) == NODE_DONE

    def end(self, uint64_t signature, bint same):
        """Let the others have the result, or know that not all calls are the same; return `same`."""
        node_release(&self.team.team, signature if same else signature + 1)
        if same:
            memcpy(self.data, self.result, self.n_bytes)
        return same


def signature(op, dtype, Py_ssize_t n):
    """Return the signature under which `Team.allreduce` announces a call; 0 if it can't.

    `op` is an operator's name, or the code of one of the user's; `n` the number of elements.
    """
    code = OP_CODES.get(op) if isinstance(op, str) else op
    cdef int number = dtype_number(dtype)
    return 0 if code is None or number < 0 else mixed(code, number, n)


cdef int dtype_number(dtype) except -2:
    """The number of a NumPy dtype in reduce.h, -1 if there is none."""
    if dtype.kind not in "biufc" or not dtype.isnative:
        return -1
    return reduce_dtype(memoryview(dtype.type(0)).format.encode(), dtype.itemsize)


cdef inline uint64_t mixed(uint64_t op, uint64_t dtype, uint64_t n) noexcept:
    """A signature of a call: different calls differ in all likelihood; never 0."""
    cdef uint64_t x = (n * 64 + dtype) * 64 + op + <uint64_t>0x9E3779B97F4A7C15ULL
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9ULL
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EBULL
    return (x ^ (x >> 31)) | 1
