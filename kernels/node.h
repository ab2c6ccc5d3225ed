/* All-reduce among the processes of one node, through memory that they share.
 *
 * Every process has a part of the shared memory that only it writes: two lines, two counters, a staging area. Others
 * read it after an acquire load of the sequence number or counter that its owner stored with release; so the code is
 * right on weakly ordered processors too. Nothing here knows MPI: the caller hands over addresses.
 *
 * Line s & 1 announces the process's s-th call: a signature of the call (all must announce the same) and up to
 * LINE_PAYLOAD bytes of data. It is written again at call s + 2, which its owner can only begin when every other
 * process has announced call s + 1 and so has read everything of call s: no barrier is needed behind a call.
 */
#ifndef DPMPI_NODE_H
#define DPMPI_NODE_H

#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "reduce.h"

enum { LINE_PAYLOAD = 48, PART_HEADER = 4096, REDUCE_BLOCK = 8192 };

/* Returned by the functions below: done; the processes announced different calls; the wait was interrupted. */
enum { NODE_DONE = 0, NODE_MISMATCH = 1, NODE_INTERRUPTED = 2 };

typedef struct {
    _Alignas(64) _Atomic uint64_t sequence;
    uint64_t signature;
    char payload[LINE_PAYLOAD];
} node_line;

typedef struct {
    _Alignas(64) _Atomic uint64_t count;
} node_counter;

static inline void node_publish(node_counter *counter, uint64_t value)
{
    atomic_store_explicit(&counter->count, value, memory_order_release);
}

static inline uint64_t node_read(node_counter *counter)
{
    return atomic_load_explicit(&counter->count, memory_order_acquire);
}

/* The head of a process's part; its staging area follows at PART_HEADER. */
typedef struct {
    node_line line[2];
    node_counter filled, reduced;
} node_part;

typedef struct {
    int size, rank;
    node_part **parts;    /* of every process */
    size_t stage;         /* bytes of one staging buffer: each process has two for input and two for results */
    uint64_t sequence;    /* calls so far */
    uint64_t segments;    /* staged segments so far: what `filled` and `reduced` count */
    int spins;            /* polls before the processor is yielded at each */
    int (*interrupted)(void); /* asked now and then while waiting */
} node_team;

static inline void node_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline char *node_stage(const node_team *team, int rank, int which)
{
    return (char *)team->parts[rank] + PART_HEADER + which * team->stage;
}

static inline int node_wait(const node_team *team, _Atomic uint64_t *value, uint64_t target)
{
    for (long polls = 0; atomic_load_explicit(value, memory_order_acquire) < target; polls++) {
        if (polls < team->spins)
            node_pause();
        else if (((polls - team->spins) & 0xffff) == 0xffff && team->interrupted())
            return NODE_INTERRUPTED;
        else
            sched_yield();
    }
    return NODE_DONE;
}

/* Announce the next call. */
static inline void node_post(node_team *team, uint64_t signature, const void *payload, size_t bytes)
{
    uint64_t s = ++team->sequence;
    node_line *mine = &team->parts[team->rank]->line[s & 1];

    mine->signature = signature;
    if (bytes)
        memcpy(mine->payload, payload, bytes);
    atomic_store_explicit(&mine->sequence, s, memory_order_release);
}

/* Wait until process r has announced the call that this one is at. */
static inline int node_meet(const node_team *team, int r, uint64_t signature)
{
    node_line *line = &team->parts[r]->line[team->sequence & 1];

    if (node_wait(team, &line->sequence, team->sequence))
        return NODE_INTERRUPTED;
    return line->signature == signature ? NODE_DONE : NODE_MISMATCH;
}

/* Announce the next call, and wait until every process has announced it. */
static inline int node_announce(node_team *team, uint64_t signature, const void *payload, size_t bytes)
{
    int status = NODE_DONE;

    node_post(team, signature, payload, bytes);
    for (int r = 0; r < team->size && status != NODE_INTERRUPTED; r++) {
        int met = node_meet(team, r, signature);
        if (met)
            status = met;
    }
    return status;
}

/* A call in two: all announce the first half to process 0, which waits for them; and then, when it has done something
 * that may take long, announces the second to all. The others wait for that, and announce nothing: nobody needs it. */
static inline int node_follow(node_team *team, uint64_t signature)
{
    node_post(team, signature, NULL, 0);
    team->sequence++;
    return node_meet(team, 0, signature);
}

static inline int node_lead(node_team *team, uint64_t signature)
{
    return node_announce(team, signature, NULL, 0);
}

static inline void node_release(node_team *team, uint64_t signature)
{
    node_post(team, signature, NULL, 0);
}

/* Agree on a call; see node_announce. */
static inline int node_agree(node_team *team, uint64_t signature)
{
    return node_announce(team, signature, NULL, 0);
}

/* What is done to a combined result before it is handed out; NULL for nothing. */
typedef void (*finish_fn)(void *x, ptrdiff_t n, int size);

#define DIVIDE(tag, type, width)                                                                                      \
    static void divide_##tag(void *x, ptrdiff_t n, int size)                                                          \
    {                                                                                                                 \
        type *a = x;                                                                                                  \
        for (ptrdiff_t i = 0; i < width * n; i++)                                                                     \
            a[i] /= size;                                                                                             \
    }
DIVIDE(float32, float, 1)
DIVIDE(float64, double, 1)
DIVIDE(longdouble, long double, 1)
DIVIDE(complex64, float, 2)
DIVIDE(complex128, double, 2)
DIVIDE(clongdouble, long double, 2)
#undef DIVIDE

/* The division that makes a mean of a sum; NULL for a dtype that has no means. */
static inline finish_fn node_divide(int dtype)
{
    switch (dtype) {
    case REDUCE_float32: return divide_float32;
    case REDUCE_float64: return divide_float64;
    case REDUCE_longdouble: return divide_longdouble;
    case REDUCE_complex64: return divide_complex64;
    case REDUCE_complex128: return divide_complex128;
    case REDUCE_clongdouble: return divide_clongdouble;
    default: return NULL;
    }
}

/* Combine arrays into `out` in their order, by blocks that stay in the cache. */
static inline void node_combine(
    char *out, char *const *buffers, int count, ptrdiff_t n, size_t itemsize, reduce_fn combine)
{
    ptrdiff_t block = REDUCE_BLOCK > itemsize ? REDUCE_BLOCK / itemsize : 1;

    for (ptrdiff_t i = 0; i < n; i += block) {
        ptrdiff_t m = n - i < block ? n - i : block;
        memcpy(out + i * itemsize, buffers[0] + i * itemsize, m * itemsize);
        for (int r = 1; r < count; r++)
            combine(out + i * itemsize, buffers[r] + i * itemsize, m);
    }
}

/* Small buffers, combined in rank order: every process reads those of all, after one announcement. */
static inline int node_allreduce_small(
    node_team *team, uint64_t signature, char *buffer, ptrdiff_t n, size_t itemsize, reduce_fn combine,
    finish_fn finish)
{
    size_t bytes = n * itemsize;
    int odd = (team->sequence + 1) & 1, in_line = bytes <= LINE_PAYLOAD, status;

    if (!in_line)
        memcpy(node_stage(team, team->rank, odd), buffer, bytes);
    status = node_announce(team, signature, buffer, in_line ? bytes : 0);
    if (status)
        return status;
    for (int r = 0; r < team->size; r++) {
        const char *theirs = in_line ? team->parts[r]->line[odd].payload : node_stage(team, r, odd);
        if (r == 0)
            memcpy(buffer, theirs, bytes);
        else
            combine(buffer, theirs, n);
    }
    if (finish)
        finish(buffer, n, team->size);
    return NODE_DONE;
}

/* Every process has its buffer in shared memory: each reduces its slice of all of them into the first, and copies it
 * to all the others. */
static inline int node_allreduce_shared(
    node_team *team, uint64_t signature, char *const *buffers, ptrdiff_t n, size_t itemsize, reduce_fn combine,
    finish_fn finish)
{
    ptrdiff_t low = n / team->size * team->rank + n % team->size * team->rank / team->size;
    ptrdiff_t high = n / team->size * (team->rank + 1) + n % team->size * (team->rank + 1) / team->size;
    ptrdiff_t block = REDUCE_BLOCK / itemsize;
    int status = node_agree(team, signature);

    if (status)
        return status;
    for (ptrdiff_t i = low; i < high; i += block) {
        ptrdiff_t m = high - i < block ? high - i : block;
        for (int r = 1; r < team->size; r++)
            combine(buffers[0] + i * itemsize, buffers[r] + i * itemsize, m);
        if (finish)
            finish(buffers[0] + i * itemsize, m, team->size);
        for (int r = 1; r < team->size; r++)
            memcpy(buffers[r] + i * itemsize, buffers[0] + i * itemsize, m * itemsize);
    }
    return node_agree(team, signature);
}

/* The private `buffer` of every process travels through the staging areas, a segment at a time. Of a segment each
 * process reduces one slice: it copies the others' slices in for them, reduces its own, and copies theirs out. While
 * one segment is being reduced by the others, the next is copied in. */
static inline int node_allreduce_staged(
    node_team *team, uint64_t signature, char *buffer, ptrdiff_t n, size_t itemsize, reduce_fn combine,
    finish_fn finish)
{
    int size = team->size, me = team->rank, status = node_agree(team, signature);
    ptrdiff_t length = team->stage / itemsize, block = REDUCE_BLOCK / itemsize;
    ptrdiff_t segments = (n + length - 1) / length;
    uint64_t before = team->segments;
    node_part *mine = team->parts[me];

    if (status)
        return status;
    team->segments += segments;
    for (ptrdiff_t k = 0; k <= segments; k++) {
        ptrdiff_t m = k < segments ? (n - k * length < length ? n - k * length : length) : 0;
        ptrdiff_t low = m * me / size, high = m * (me + 1) / size;
        char *own = buffer + k * length * itemsize;
        if (k < segments) {
            char *in = node_stage(team, me, k & 1);
            memcpy(in, own, low * itemsize);
            memcpy(in + high * itemsize, own + high * itemsize, (m - high) * itemsize);
            atomic_store_explicit(&mine->filled.count, before + k + 1, memory_order_release);
        }
        if (k > 0) {
            ptrdiff_t previous = n - (k - 1) * length < length ? n - (k - 1) * length : length;
            char *out = buffer + (k - 1) * length * itemsize;
            for (int step = 1; step < size; step++) {
                int r = (me + step) % size;
                ptrdiff_t from = previous * r / size, to = previous * (r + 1) / size;
                if (node_wait(team, &team->parts[r]->reduced.count, before + k))
                    return NODE_INTERRUPTED;
                memcpy(out + from * itemsize, node_stage(team, r, 2 + ((k - 1) & 1)), (to - from) * itemsize);
            }
        }
        if (k < segments) {
            for (int r = 0; r < size; r++)
                if (node_wait(team, &team->parts[r]->filled.count, before + k + 1))
                    return NODE_INTERRUPTED;
            for (ptrdiff_t i = low; i < high; i += block) {
                ptrdiff_t c = high - i < block ? high - i : block;
                char *result = node_stage(team, me, 2 + (k & 1)) + (i - low) * itemsize;
                for (int r = 0; r < size; r++) {
                    const char *theirs = (r == me ? own : node_stage(team, r, k & 1)) + i * itemsize;
                    if (r == 0)
                        memcpy(result, theirs, c * itemsize);
                    else
                        combine(result, theirs, c);
                }
                if (finish)
                    finish(result, c, size);
                memcpy(own + i * itemsize, result, c * itemsize);
            }
            atomic_store_explicit(&mine->reduced.count, before + k + 1, memory_order_release);
        }
    }
    return NODE_DONE;
}

#endif
