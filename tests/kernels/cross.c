/* Every loop of the kernels on fixed data, one line a result: its name, its size, and each number times a weight, added
 * up. .ci/cross compares the lines of another processor or compiler with those of this machine's.
 *
 * In five parts, for each extension has its own copy of vector.h's functions: -DPART=1 to -DPART=5.
 * Lines that begin with "=" must be the same to the last digit, others within the rounding of their dtype.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if PART == 1
#include "linear.h"
#elif PART == 2
#include "moments.h"
#elif PART == 3
#include "rows.h"
#elif PART == 5
#include "classes.h"
#else
#include "bootstrap.h"
#include "delimited.h"
#include "node.h"
#include "wire.h"
#endif

enum { N = 307, MOST = 1 << 17 };

static uint64_t state;
static char text[256];

/* From -1 to 1, in steps that float32 has. */
static double number(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(int32_t)(state >> 40) / (1 << 23) - 1;
}

static void fill(void *x, ptrdiff_t n, int real_bytes)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        double v = number();
        if (real_bytes == 4)
            ((float *)x)[i] = (float)v;
        else
            ((double *)x)[i] = v;
    }
}

static void print(const char *name, const double *x, ptrdiff_t n)
{
    double sum = 0, size = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        sum += x[i] * (1 + (double)(i % 17) / 16);
        size += fabs(x[i]);
    }
    printf("%s %.17g %.17g\n", name, size, sum);
}

static void print_reals(const char *name, const void *x, ptrdiff_t n, int real_bytes)
{
    static double copy[MOST];
    for (ptrdiff_t i = 0; i < n; i++)
        copy[i] = real_bytes == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i];
    print(name, copy, n);
}

static void print_bytes(const char *name, const void *x, size_t n)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const unsigned char *)x)[i]) * UINT64_C(1099511628211);
    printf("=%s %zu %016llx\n", name, n, (unsigned long long)hash);
}

#if PART == 1
static void linear(int real_bytes, int level, ptrdiff_t d, int index_bytes)
{
    static double X[MOST], y[N], weight[N], out[MOST], coef[200], direction[200];
    static int64_t indptr[N + 1], indices[MOST];
    linear_problem p = {.n = N, .d = d, .stride = d + 3, .y = y, .weight = weight, .coef = coef, .constant = 0.25,
                        .direction = direction, .direction_constant = -0.5, .index_bytes = index_bytes};
    fill(X, N * (d + 3), real_bytes);
    fill(weight, N, real_bytes);
    fill(coef, d, 8), fill(direction, d, 8);
    for (int i = 0; i < N; i++) /* weights from 0 to 1 */
        if (real_bytes == 4)
            ((float *)weight)[i] *= ((float *)weight)[i];
        else
            weight[i] *= weight[i];
    if (index_bytes == 0)
        p.X = X;
    else {
        ptrdiff_t k = 0;
        for (int i = 0; i < N; i++) { /* unordered, some twice */
            for (int j = 0; j < i % 13 % (d + 1); j++, k++)
                if (index_bytes == 4)
                    ((int32_t *)indices)[k] = (int32_t)((i + 5 * j) % d);
                else
                    indices[k] = (i + 5 * j) % d;
            if (index_bytes == 4)
                ((int32_t *)indptr)[i + 1] = (int32_t)k;
            else
                indptr[i + 1] = k;
        }
        indptr[0] = index_bytes == 4 ? indptr[0] & ~INT64_C(0xffffffff) : 0;
        p.data = X, p.indptr = indptr, p.indices = indices, p.nnz = k;
    }
    for (int loss = 0; loss < N_LOSSES; loss++) {
        p.parameter = loss == LOSS_tweedie ? 1.5 : 0.5;
        for (int i = 0; i < N; i++) /* gamma's labels are to be positive */
            if (real_bytes == 4)
                ((float *)y)[i] = (float)(i % 3 != 0) + (loss == LOSS_gamma);
            else
                y[i] = (i % 3 != 0) + (loss == LOSS_gamma);
        for (int what = LINEAR_PREDICTOR; what <= LINEAR_HESSIAN_VECTOR; what++) {
            memset(out, 0, sizeof out);
            int status = linear_pick(real_bytes, level)(&p, what, loss, out);
            snprintf(text, sizeof text, "linear%d.%d d=%td loss=%d what=%d status=%d", real_bytes, index_bytes, d, loss,
                     what, status);
            print(text, out, N + d + 2);
        }
    }
}
#endif

#if PART == 2
static void moments(int real_bytes, int level)
{
    enum { D = 21 };
    static double X[N * D], shift[D], out[5 * D];
    fill(X, N * D, real_bytes), fill(shift, D, 8);
    memset(out, 0, sizeof out);
    moments_pick(real_bytes, level)(N, D, X, D, shift, out);
    print(real_bytes == 4 ? "moments4" : "moments8", out, 5 * D);
}
#endif

#if PART == 3
static void rows(int real_bytes, int level)
{
    enum { D = 21, K = 16, WIDTH = 16, WIDE = 32 };
    static double X[MOST], points[MOST], room[2 * K * WIDE], columns[MOST], constant[WIDTH], scores[MOST], sums[MOST],
        out[MOST];
    static int64_t y[N], counts[K];
    fill(X, N * D, real_bytes), fill(points, K * D, real_bytes), fill(columns, D * WIDTH, real_bytes);
    fill(constant, WIDTH, real_bytes);
    score_pick(real_bytes, level)(N, D, WIDTH, X, D, columns, constant, scores);
    snprintf(text, sizeof text, "score%d", real_bytes), print_reals(text, scores, N * WIDTH, real_bytes);
    memset(sums, 0, sizeof sums);
    add_outer_pick(real_bytes, level)(N, D, K, WIDTH, X, D, scores, sums);
    snprintf(text, sizeof text, "add_outer%d", real_bytes), print_reals(text, sums, K * D, real_bytes);
    for (int i = 0; i < N; i++)
        y[i] = i % K;
    for (int k = 0; k < K; k++)
        memcpy((char *)room + 2 * k * WIDE * real_bytes, (char *)points + k * D * real_bytes, D * real_bytes);
    memset(out, 0, sizeof out);
    add_nearest_pick(real_bytes, level)(N, D, K, WIDTH, X, D, room, WIDE, scores, counts, out);
    snprintf(text, sizeof text, "add_nearest%d", real_bytes), print(text, out, 1 + K + K * D);
    for (int i = 0; i < N; i++)
        out[i] = 1e9;
    lower_to_nearest_pick(real_bytes, level)(N, D, K, WIDTH, X, D, points, scores, out);
    snprintf(text, sizeof text, "lower_to_nearest%d", real_bytes), print(text, out, N);
    memset(out, 0, sizeof out);
    cluster_pick(real_bytes, level)(N, D, K, WIDTH, X, D, room, WIDE, columns, constant, scores, counts, out);
    snprintf(text, sizeof text, "cluster%d", real_bytes), print(text, out, 1 + K + K * D);
}
#endif

#if PART == 5
static void classes(int real_bytes, int level)
{
    enum { D = 21, K = 5, WIDTH = 16, EACH = 4 };
    static double scores[N * WIDTH], along[N * WIDTH], weight[N], data[N * EACH], columns[D * WIDTH], sums[D * WIDTH];
    static int64_t y[N], wide[N * EACH], wide_starts[N + 1];
    static int32_t narrow[N * EACH], narrow_starts[N + 1];
    fill(along, N * WIDTH, real_bytes), fill(weight, N, real_bytes), fill(data, N * EACH, real_bytes);
    fill(columns, D * WIDTH, 8);
    for (int i = 0; i < N; i++)
        y[i] = i % K;
    for (int i = 0; i <= N; i++)
        wide_starts[i] = narrow_starts[i] = i * EACH;
    for (int e = 0; e < N * EACH; e++)
        wide[e] = narrow[e] = e * 7 % D;
    for (int index_bytes = 4; index_bytes <= 8; index_bytes += 4) {
        const void *starts = index_bytes == 4 ? (void *)narrow_starts : (void *)wide_starts;
        const void *indices = index_bytes == 4 ? (void *)narrow : (void *)wide;
        csr_scores_pick(real_bytes, index_bytes, level)(N, D, WIDTH, starts, indices, data, N * EACH, columns, columns,
                                                        scores);
        snprintf(text, sizeof text, "csr_scores%d", real_bytes), print_reals(text, scores, N * WIDTH, real_bytes);
        memset(sums, 0, sizeof sums);
        csr_outer_pick(real_bytes, index_bytes, level)(N, WIDTH, starts, indices, data, scores, sums);
        snprintf(text, sizeof text, "csr_outer%d", real_bytes), print(text, sums, D * WIDTH);
    }
    softmax_pick(real_bytes, level)(N, K, WIDTH, scores, y, weight);
    snprintf(text, sizeof text, "softmax%d", real_bytes), print_reals(text, scores, N * WIDTH, real_bytes);
    softmax_curve_pick(real_bytes, level)(N, K, WIDTH, scores, along, weight);
    snprintf(text, sizeof text, "softmax_curve%d", real_bytes), print_reals(text, scores, N * WIDTH, real_bytes);
}
#endif

#if PART == 4
static void exact(int level)
{
    static uint64_t a[4 * N], b[4 * N]; /* of 8 bytes or less; of 16 (long double) they are no numbers */
    static float x[N], residual[N], back[N];
    static char coded[16 * N];
    static double resampled[2 * 50], values[N];
    for (int dtype = 0; dtype < REDUCE_DTYPES; dtype++)
        for (int op = 0; op <= REDUCE_BITWISE_XOR; op++) {
            reduce_fn loop = reduce_lookup(op, dtype, level);
            if (loop == NULL || dtype == REDUCE_longdouble || dtype == REDUCE_clongdouble)
                continue;
            int single = dtype == REDUCE_float32 || dtype == REDUCE_complex64;
            int real = single || dtype == REDUCE_float64 || dtype == REDUCE_complex128;
            for (int i = 0; i < 4 * N; i++) {
                double v = 64 * number(), w = 64 * number();
                if (real && single)
                    ((float *)a)[i] = (float)rint(v), ((float *)b)[i] = (float)rint(w);
                else if (real)
                    ((double *)a)[i] = rint(v), ((double *)b)[i] = rint(w);
                else
                    a[i] = (uint64_t)(int64_t)(v * 1e15), b[i] = (uint64_t)(int64_t)(w * 1e15);
            }
            if (dtype == REDUCE_bool)
                for (size_t i = 0; i < sizeof a; i++)
                    ((char *)a)[i] &= 1, ((char *)b)[i] &= 1;
            loop(a, b, N);
            snprintf(text, sizeof text, "reduce dtype=%d op=%d", dtype, op), print_bytes(text, a, sizeof a);
        }
    for (int format = 0; format < WIRE_FORMATS; format++) {
        ptrdiff_t bytes[WIRE_FORMATS] = {2 * N, 2 * N, N + 4 * ((N + WIRE_BLOCK - 1) / WIRE_BLOCK), 8 * 20};
        fill(x, N, 4), fill(residual, N, 4);
        wire_encode(format, level)(x, residual, coded, N, 20);
        snprintf(text, sizeof text, "wire format=%d", format), print_bytes(text, coded, (size_t)bytes[format]);
        wire_decode(format, level)(coded, back, N, 20);
        wire_add(format, level)(coded, back, N, 20);
        print_bytes(text, back, sizeof back), print_bytes(text, residual, sizeof residual);
    }
    fill(values, N, 8);
    bootstrap_pick(level)(N, values, UINT64_C(0xfffffff0), 7, 50, resampled);
    print_bytes("bootstrap weights", resampled, 50 * sizeof(double)), print("bootstrap sums", resampled + 50, 50);

    /* Long enough for the windows of cells that are found together. */
    enum { REPEATS = 60, ROWS_OF_TEXT = 5 };
    static const char lines[] = "1.5,-2e-310,true\n0.1,123456789012345678901234567890,0\n-0.123456,-71.25,1\n"
                                "2.2250738585072011e-308,,1\n.5,1e400,false\n";
    static char csv[REPEATS * sizeof lines + 64];
    static double cells[REPEATS * ROWS_OF_TEXT * 3];
    for (int i = 0; i < REPEATS; i++)
        strcat(csv + i * (sizeof lines - 1), lines);
    const uint8_t kinds[] = {NUMBER, GAPS, BOOLEAN};
    Run runs[] = {{0, 1, 0, cells, 3}, {1, 1, 1, cells + 1, 3}, {2, 1, 2, cells + 2, 3}};
    Place at = {.kinds = kinds, .words = 1, .n_columns = 3, .n_runs = 3, .room = REPEATS * ROWS_OF_TEXT, .runs = runs};
    printf("=delimited rows=%lld\n", (long long)read_rows(csv, csv + strlen(csv), ',', &at, level));
    for (int i = 0; i < REPEATS * ROWS_OF_TEXT * 3; i++)
        cells[i] = isnan(cells[i]) ? -1 : cells[i];
    print_bytes("delimited", cells, sizeof cells);
}

static int never(void) { return 0; }

/* All-reduces of integers among processes through shared memory; the sums are known. */
static void node(int level)
{
    enum { SIZE = 3, STAGE = 4096, LONG = 3000, ROUNDS = 200 };
    size_t part = PART_HEADER + 4 * STAGE;
    char *memory = mmap(NULL, SIZE * part + SIZE * LONG * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    node_part *parts[SIZE];
    char *buffers[SIZE];
    int failures = 0;
    if (memory == MAP_FAILED)
        exit(1);
    for (int r = 0; r < SIZE; r++)
        parts[r] = (node_part *)(memory + r * part), buffers[r] = memory + SIZE * part + r * LONG * 8;
    fflush(stdout);
    for (int r = 0; r < SIZE; r++)
        if (fork() == 0) {
            static int64_t own[LONG];
            node_team team = {.size = SIZE, .rank = r, .parts = parts, .stage = STAGE, .spins = 50, .interrupted = never};
            reduce_fn sum = reduce_lookup(REDUCE_SUM, REDUCE_int64, level);
            int wrong = 0;
            for (int round = 0; round < ROUNDS; round++) {
                ptrdiff_t lengths[3] = {round % 12, LONG - round, LONG - round};
                for (int way = 0; way < 3; way++) {
                    int64_t *x = way == 1 ? (int64_t *)buffers[r] : own;
                    ptrdiff_t n = lengths[way];
                    for (ptrdiff_t i = 0; i < n; i++)
                        x[i] = (r + 1) * (i + round);
                    if (way == 0)
                        wrong += node_allreduce_small(&team, 7, (char *)x, n, 8, sum, NULL) != NODE_DONE;
                    else if (way == 1)
                        wrong += node_allreduce_shared(&team, 8, buffers, n, 8, sum, NULL) != NODE_DONE;
                    else
                        wrong += node_allreduce_staged(&team, 9, (char *)x, n, 8, sum, NULL) != NODE_DONE;
                    for (ptrdiff_t i = 0; i < n; i++)
                        wrong += x[i] != 6 * (i + round);
                    wrong += node_agree(&team, 10) != NODE_DONE;
                }
            }
            _exit(wrong != 0);
        }
    for (int r = 0; r < SIZE; r++) {
        int status;
        wait(&status);
        failures += status != 0;
    }
    printf("=node %d failures\n", failures);
}

#endif

int main(void)
{
    const int level = simd_level();
#if PART == 4
    exact(level);
    node(level);
#else
    for (int real_bytes = 4; real_bytes <= 8; real_bytes += 4) {
#if PART == 1
        const ptrdiff_t columns[] = {1, 3, 8, 17, 64, 131};
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
            for (int index_bytes = 0; index_bytes <= 8; index_bytes += 4)
                linear(real_bytes, level, columns[i], index_bytes);
#elif PART == 2
        moments(real_bytes, level);
#elif PART == 5
        classes(real_bytes, level);
#else
        rows(real_bytes, level);
#endif
    }
#endif
    return 0;
}
