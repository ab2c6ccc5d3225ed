/* Rows of a CSV or TSV file, straight into the matrix that a kernel wants.
 *
 * The pass accepts or stops: lines it does not know for sure are left to a slower reader, which also says what is wrong.
 */
#ifndef DPMPI_DELIMITED_H
#define DPMPI_DELIMITED_H

#include "number.h"
#include "simd.h"
#if SIMD_X86
#include <immintrin.h>
#endif

/* What a column's cells are: left out; numbers; numbers or missing (NaN); true or false. */
enum { SKIPPED, NUMBER, GAPS, BOOLEAN };

/* Columns that stand side by side, and whose numbers do too. */
typedef struct {
    ptrdiff_t first, n; /* its columns */
    ptrdiff_t place;    /* of the first among those that are taken */
    double *at;         /* where their cells of the next row go */
    ptrdiff_t step;     /* from one row to the next, in numbers */
} Run;

static const char *const MISSING[] = {"",     "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND",
                                      "1.#QNAN", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"};

static int is_missing(const char *p, ptrdiff_t n)
{
    for (size_t k = 0; k < sizeof MISSING / sizeof *MISSING; k++)
        if (strlen(MISSING[k]) == (size_t)n && memcmp(p, MISSING[k], n) == 0)
            return 1;
    return 0;
}

/* 1, 0, or -1 where it is neither true nor false. */
static int truth(const char *p, ptrdiff_t n)
{
    if (n == 1 && (*p == '0' || *p == '1'))
        return *p == '1';
    if (n == 4 && (!memcmp(p, "true", 4) || !memcmp(p, "True", 4) || !memcmp(p, "TRUE", 4)))
        return 1;
    if (n == 5 && (!memcmp(p, "false", 5) || !memcmp(p, "False", 5) || !memcmp(p, "FALSE", 5)))
        return 0;
    return -1;
}

static inline int ends_cell(const char *p, char delimiter)
{
    return *p == delimiter || *p == '\n' || (*p == '\r' && p[1] == '\n');
}

/* The end of a cell that is not looked at, or NULL. The text from p on holds a newline. */
static const char *skip_cell(const char *p, char delimiter)
{
    if (*p == '"') {
        for (p++; *p != '"' || *++p == '"'; p++)
            if (*p == '\n')
                return NULL;
        return ends_cell(p, delimiter) ? p : NULL;
    }
    while (*p != delimiter && *p != '\n') {
        if (*p == '"' || (*p == '\r' && p[1] != '\n'))
            return NULL;
        p++;
    }
    return *p == '\n' && p[-1] == '\r' ? p - 1 : p;
}

/* Read the cell at p into *out; return its end or NULL. The text from p on holds a newline. */
static const char *read_cell(const char *p, const char *end, char delimiter, int kind, double *out)
{
    const char *start = p, *q;
    if (kind == SKIPPED)
        return skip_cell(p, delimiter);
    if (kind == BOOLEAN) {
        q = skip_cell(p, delimiter);
        int value = q ? truth(p, q - p) : -1;
        *out = value;
        return value < 0 ? NULL : q;
    }
    int quoted = *p == '"';
    p += quoted;
    while (*p == ' ')
        p++;
    q = read_number(p, end, out);
    if (q != NULL) {
        while (*q == ' ')
            q++;
        if ((!quoted || *q++ == '"') && ends_cell(q, delimiter))
            return q;
    }
    q = kind == GAPS ? skip_cell(start, delimiter) : NULL;
    *out = NAN;
    return q && is_missing(start, q - start) ? q : NULL;
}

/* What is found in a stretch of text: its cells, counted from 0, and their places, counted from its start. */
enum { WINDOW = 2048 };
typedef struct {
    ptrdiff_t n, n_rows, next;                      /* n_rows: that end; next: where the cell behind the last starts */
    int strange, returns;                           /* strange: there is a quote, or a return that ends no line */
    uint16_t starts[WINDOW + 9], stops[WINDOW + 8]; /* of the text of each cell */
    uint8_t odd[WINDOW / 8 + 1];                    /* a bit for each cell that holds no plain number */
    double values[WINDOW + 8];                      /* the numbers in the others */
} Window;

/* The number of `length` bytes at p, of up to 8 digits; 16 bytes are read. Returns 0 where it is none. */
static inline int read_short_number(const char *p, int length, double *out)
{
    if (length > 16)
        return 0;
    int negative = *p == '-';
    uint32_t others = other_bytes(p) & (((uint32_t)1 << length) - 1) & ~(uint32_t)negative;
    int digits = length - negative - (others != 0), whole = digits, fraction = 0;
    if (others) {
        int point = __builtin_ctz(others);
        if (__builtin_expect((others & (others - 1)) || p[point] != '.', 0))
            return 0;
        whole = point - negative;
        fraction = digits - whole;
    }
    if (__builtin_expect((unsigned)(digits - 1) >= 8 || whole >= 8, 0))
        return 0;
    *out = short_value(p + negative, whole, fraction, negative);
    return 1;
}

#if SIMD_X86
/* For lanes of 16 bytes. Which byte it is; how many are behind it; how long a cell is whose first byte it is, but for
 * the last, which has to be a digit; and what is told where it is a point. */
#define FOUR_TIMES(...) {__VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__}
static const int8_t PLACE[64] __attribute__((aligned(64))) =
    FOUR_TIMES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
static const int8_t FROM_END[64] __attribute__((aligned(64))) =
    FOUR_TIMES(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
static const int8_t IF_SIGN[64] __attribute__((aligned(64))) =
    FOUR_TIMES(16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 0);
static const int8_t IF_POINT[64] __attribute__((aligned(64))) =
    FOUR_TIMES(-127, -126, -125, -124, -123, -122, -121, -120, -119, -118, -117, -116, -115, -114, -113, -1);
static const int8_t EVEN[64] __attribute__((aligned(64))) = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6};
/* What to divide by where a point is at byte k - 1; by 1 where there is none. */
static const double POWERS[16] = {1e0, 1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9,
                                  1e8, 1e7,  1e6,  1e5,  1e4,  1e3,  1e2,  1e1};
#endif

#define LOOPS "delimited_loops.h"
#include "each_level.h"

typedef void (*find_fn)(const char *p, ptrdiff_t size, char delimiter, Window *window);
typedef unsigned (*convert_fn)(const char *p, Window *window);

/* Where reading stands: in a row, the next column, and the first run that is not behind it. */
typedef struct {
    const uint8_t *kinds;
    int words; /* whether there are columns that hold no numbers and are not skipped */
    ptrdiff_t n_columns, column, run, n_runs;
    int64_t rows, room; /* rows that are read, and that there is room for */
    Run *runs;
} Place;

/* Put `n` cells, from the place's column on and within a row, where they go. */
static void put_cells(const double *values, ptrdiff_t n, Place *at)
{
    ptrdiff_t stop = at->column + n;
    for (; at->run < at->n_runs && at->runs[at->run].first < stop; at->run++) {
        Run *run = &at->runs[at->run];
        ptrdiff_t low = run->first > at->column ? run->first : at->column, end = run->first + run->n;
        ptrdiff_t high = end < stop ? end : stop;
        if (run->n == 1)
            *run->at = values[low - at->column];
        else
            memcpy(run->at + (low - run->first), values + (low - at->column), (high - low) * sizeof(double));
        if (high < end)
            break;
        run->at += run->step;
    }
    at->column = stop;
    if (stop == at->n_columns) {
        at->column = at->run = 0;
        at->rows++;
    }
}

/* Read one cell at p and put it; return the place behind the end of its cell, or NULL. */
static const char *take_cell(const char *p, const char *end, char delimiter, Place *at)
{
    double value = 0;
    char next = at->column + 1 < at->n_columns ? delimiter : '\n';
    p = read_cell(p, end, delimiter, at->kinds[at->column], &value);
    if (p == NULL)
        return NULL;
    p += next == '\n' && *p == '\r';
    if (*p != next)
        return NULL;
    put_cells(&value, 1, at);
    return p + 1;
}

/* Whether the rows in a window end where they should, and none of them is a blank line. Returns that belong to the
 * newlines are taken from the cells. */
static int end_rows(const char *p, Window *w, const Place *at)
{
    ptrdiff_t k = at->n_columns - at->column - 1, rows = 0;
    for (; k < w->n; k += at->n_columns, rows++) {
        if (p[w->stops[k]] != '\n')
            return 0;
        w->stops[k] = (uint16_t)(w->stops[k] - (w->returns && w->stops[k] && p[w->stops[k] - 1] == '\r'));
        if (at->n_columns == 1 && w->stops[k] == w->starts[k])
            return 0;
    }
    return rows == w->n_rows;
}

/* Read the cells of a window for which the numbers are not at hand. Returns 0 where one is refused. */
static int read_odd_cells(const char *p, const char *end, char delimiter, Window *w, const Place *at)
{
    ptrdiff_t column = at->column;
    for (ptrdiff_t k = 0; k < w->n; k++) {
        int kind = at->kinds[column];
        if (kind > GAPS || (w->odd[k / 8] >> (k % 8) & 1 && (kind != SKIPPED || w->strange)))
            if (read_cell(p + w->starts[k], end, delimiter, kind, &w->values[k]) != p + w->stops[k])
                return 0;
        column = column + 1 < at->n_columns ? column + 1 : 0;
    }
    return 1;
}

enum { REFUSED = -1, FULL = -2 };

/* Read rows from `p` to `end`, where a newline stands; blank lines are none. Returns their number, REFUSED at a line
 * that is not known for sure, or FULL where there is no room for a row.
 *
 * The cells of a window are found first and their numbers read together, whatever row they are in, without a branch for
 * any of them: the processor works on many at a time. */
static int64_t read_rows(const char *p, const char *end, char delimiter, Place *at, int level)
{
    static const find_fn FIND[SIMD_LEVELS] = EACH_LEVEL(find_cells);
    static const convert_fn CONVERT[SIMD_LEVELS] = EACH_LEVEL(convert_cells);
    const char *again = p + 16; /* the bytes in front of a window are read */
    Window w;
    while (p < end) {
        ptrdiff_t size = end - p < WINDOW ? (end - p) & ~(ptrdiff_t)63 : WINDOW;
        if (p >= again && size) {
            FIND[level](p, size, delimiter, &w);
            if (w.n && end_rows(p, &w, at)) {
                if (at->room - at->rows < w.n_rows + (w.n_rows * at->n_columns < at->column + w.n))
                    return FULL;
                if ((CONVERT[level](p, &w) || at->words) && !read_odd_cells(p, end, delimiter, &w, at))
                    return REFUSED;
                for (ptrdiff_t k = 0, n; k < w.n; k += n) {
                    n = at->n_columns - at->column < w.n - k ? at->n_columns - at->column : w.n - k;
                    put_cells(w.values + k, n, at);
                }
                p += w.next;
                continue;
            }
            again = p + size;
        }
        if (at->column == 0 && (*p == '\n' || (*p == '\r' && p[1] == '\n')))
            p += 1 + (*p == '\r');
        else if (at->rows == at->room)
            return FULL;
        else if ((p = take_cell(p, end, delimiter, at)) == NULL)
            return REFUSED;
    }
    return at->rows;
}

#endif
