/* Rows of a CSV or TSV file, straight into the matrix that a kernel wants.
 *
 * The pass accepts or stops: lines it does not know for sure are left to a slower reader, which also says what is wrong.
 */
#ifndef DPMPI_DELIMITED_H
#define DPMPI_DELIMITED_H

#include "number.h"

/* What a column's cells are: left out; numbers; numbers or missing (NaN); true or false. */
enum { SKIPPED, NUMBER, GAPS, BOOLEAN };

typedef struct {
    int kind;
    double *at;     /* where its cell of the next row goes */
    ptrdiff_t step; /* from one row to the next, in numbers */
} Target;

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

/* Read rows from `p` to `end`, where a newline stands; blank lines are none. Returns their number, or -1 at a line that
 * is refused. The targets' `at` move on. */
static int64_t read_rows(const char *p, const char *end, char delimiter, Target *targets, ptrdiff_t n_columns)
{
    int64_t rows = 0;
    while (p < end) {
        if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
            p += 1 + (*p == '\r');
            continue;
        }
        for (ptrdiff_t j = 0; j < n_columns; j++) {
            Target *target = &targets[j];
            char next = j + 1 < n_columns ? delimiter : '\n';
            int plain = (target->kind == NUMBER || target->kind == GAPS) && end - p >= 40;
            const char *stop = plain ? read_plain_number(p, target->at) : NULL;
            if (__builtin_expect(stop == NULL || *stop != next, 0)) {
                stop = read_cell(p, end, delimiter, target->kind, target->at);
                if (stop == NULL)
                    return -1;
                stop += next == '\n' && *stop == '\r';
                if (*stop != next)
                    return -1;
            }
            target->at += target->step;
            p = stop + 1;
        }
        rows++;
    }
    return rows;
}

#endif
