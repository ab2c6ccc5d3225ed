/* The shared loop of all linear models, for one SIMD level and REAL: X is read once, a block of rows at a time.
 *
 * Per block: z = X c; the loss and its derivative g by z; X^T g while the block is still in the cache. float32 is
 * summed in float32 over up to SUMMED_ROWS rows and in float64 beyond, so that the error does not grow with the rows.
 */

#include "vector.h"
#include "elementary.h"
#include "losses.h"
#include "loss_loops.h"
#include "dense.h"

#define INDEX int32_t
#define UINDEX uint32_t
#include "csr.h"
#undef INDEX
#undef UINDEX
#define INDEX int64_t
#define UINDEX uint64_t
#include "csr.h"
#undef INDEX
#undef UINDEX

/* What is set up once and used by every block. */
typedef struct {
    const linear_problem *p;
    NAME(windows) windows;
    ptrdiff_t block;              /* rows */
    int prefetching;              /* of the next block, which then lies right behind this one */
    REAL *coef, *direction, *sum; /* windowed; dense X only */
    ptrdiff_t summed;             /* rows in sum */
    void *memory;
} NAME(workspace);

static int NAME(set_up)(NAME(workspace) *work, const linear_problem *p, int gradient)
{
    ptrdiff_t length = (p->d / LANES + 2) * LANES;
    *work = (NAME(workspace)){.p = p, .windows = NAME(windows_of)(p->d)};
    if (p->X == NULL) {
        work->block = block_rows(csr_row_bytes(p, sizeof(REAL)));
        return LINEAR_OK;
    }
    work->block = block_rows(p->d * sizeof(REAL));
    /* A single pass over short rows is left to the hardware. */
    work->prefetching = p->stride < 2 * p->d && (gradient || p->d * REAL_BYTES >= 256);
    work->memory = calloc(3 * length + LANES, sizeof(REAL));
    if (work->memory == NULL)
        return LINEAR_NO_MEMORY;
    work->coef = (REAL *)(((uintptr_t)work->memory + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES);
    work->sum = work->coef + length;
    work->direction = work->sum + length;
    NAME(to_windowed)(&work->windows, p->coef, work->coef);
    if (p->direction != NULL)
        NAME(to_windowed)(&work->windows, p->direction, work->direction);
    return LINEAR_OK;
}

/* The next block, which both passes over the one at `start` prefetch. */
static const char *NAME(next_block)(const NAME(workspace) *work, ptrdiff_t start)
{
    const linear_problem *p = work->p;
    ptrdiff_t row = start + work->block;
    return work->prefetching && row + work->block <= p->n ? (const char *)((const REAL *)p->X + row * p->stride) : NULL;
}

/* Checks the block's column indices and computes X c + constant, for c the coefficients or the direction. */
static int NAME(predict)(const NAME(workspace) *work, ptrdiff_t start, ptrdiff_t n, int along_direction, REAL *z)
{
    const linear_problem *p = work->p;
    const double *c = along_direction ? p->direction : p->coef;
    double constant = along_direction ? p->direction_constant : p->constant;
    if (p->X != NULL) {
        ptrdiff_t readable = NAME(readable)(&work->windows, p->n - start, p->stride);
        NAME(dense_predict)(&work->windows, n, readable, (const REAL *)p->X + start * p->stride, p->stride,
                            along_direction ? work->direction : work->coef, (REAL)constant, z,
                            along_direction ? NULL : NAME(next_block)(work, start));
    } else if (p->index_bytes == 4) {
        const int32_t *indptr = (const int32_t *)p->indptr + start;
        if (!PASTE4(csr_valid, REAL, int32_t, LEVEL)(n, indptr, p->nnz, p->indices, p->d))
            return LINEAR_BAD_INDEX;
        PASTE4(csr_predict, REAL, int32_t, LEVEL)(n, indptr, p->indices, p->data, c, constant, z);
    } else {
        const int64_t *indptr = (const int64_t *)p->indptr + start;
        if (!PASTE4(csr_valid, REAL, int64_t, LEVEL)(n, indptr, p->nnz, p->indices, p->d))
            return LINEAR_BAD_INDEX;
        PASTE4(csr_predict, REAL, int64_t, LEVEL)(n, indptr, p->indices, p->data, c, constant, z);
    }
    return LINEAR_OK;
}

/* out += X^T g over the block. */
static void NAME(add_gradient)(NAME(workspace) *work, ptrdiff_t start, ptrdiff_t n, const REAL *g, double *out)
{
    const linear_problem *p = work->p;
    if (p->X != NULL) {
        ptrdiff_t readable = NAME(readable)(&work->windows, p->n - start, p->stride);
        NAME(dense_gradient)(&work->windows, n, readable, (const REAL *)p->X + start * p->stride, p->stride, g,
                             work->sum, NAME(next_block)(work, start));
        work->summed += n;
        if (work->summed >= SUMMED_ROWS || start + n == p->n) {
            NAME(add_windowed)(&work->windows, work->sum, out);
            memset(work->sum, 0, (work->windows.whole + LANES) * sizeof(REAL));
            work->summed = 0;
        }
    } else if (p->index_bytes == 4)
        PASTE4(csr_gradient, REAL, int32_t, LEVEL)(n, (const int32_t *)p->indptr + start, p->indices, p->data, g, out);
    else
        PASTE4(csr_gradient, REAL, int64_t, LEVEL)(n, (const int64_t *)p->indptr + start, p->indices, p->data, g, out);
}

/* Adds `what` over all rows to out: see the enumeration in linear.h for its layout. */
static int NAME(linear_run)(const linear_problem *p, int what, int loss, double *out)
{
    const NAME(loss_entry) *entry = &NAME(loss_table)[loss];
    NAME(loss_loop) loop = what == LINEAR_LOSS || what == LINEAR_GRADIENT ? entry->gradient : entry->curvature;
    REAL z[MAX_BLOCK], g[MAX_BLOCK], along[MAX_BLOCK], ones[MAX_BLOCK];
    NAME(workspace) work;
    int valid = 1;
    int status = NAME(set_up)(&work, p, what == LINEAR_GRADIENT || what == LINEAR_HESSIAN_VECTOR);
    if (p->custom != NULL)
        loop = (NAME(loss_loop))(uintptr_t)p->custom;
    for (int i = 0; i < MAX_BLOCK; i++)
        ones[i] = 1;
    for (ptrdiff_t start = 0; start < p->n && status == LINEAR_OK; start += work.block) {
        ptrdiff_t n = p->n - start < work.block ? p->n - start : work.block;
        const REAL *weight = p->weight == NULL ? ones : (const REAL *)p->weight + start;
        REAL total, sum = 0;
        if ((status = NAME(predict)(&work, start, n, 0, z)) != LINEAR_OK)
            break;
        if (what == LINEAR_PREDICTOR) {
            for (ptrdiff_t i = 0; i < n; i++)
                out[start + i] += z[i];
            continue;
        }
        total = loop(n, (const REAL *)p->y + start, weight, z, (REAL)p->parameter, entry->low, entry->high, g, &sum,
                     &valid);
        if (what == LINEAR_LOSS || what == LINEAR_GRADIENT)
            out[0] += total;
        if (what == LINEAR_GRADIENT) {
            out[1 + p->d] += sum;
            NAME(add_gradient)(&work, start, n, g, out + 1);
        } else if (what == LINEAR_CURVATURE) {
            for (ptrdiff_t i = 0; i < n; i++)
                out[start + i] += g[i];
        } else if (what == LINEAR_HESSIAN_VECTOR) {
            NAME(predict)(&work, start, n, 1, along);
            sum = 0;
            for (ptrdiff_t i = 0; i < n; i++)
                sum += g[i] *= along[i];
            out[p->d] += sum;
            NAME(add_gradient)(&work, start, n, g, out);
        }
        if (!valid)
            status = LINEAR_BAD_VALUE;
    }
    free(work.memory);
    return status;
}

#undef V
#undef LANES
