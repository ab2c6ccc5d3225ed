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

/* The number of at most 16 bytes from p to `stop`, of up to 8 digits; 16 bytes are read. Returns 0 where it is none. */
static inline int read_short_number(const char *p, const char *stop, double *out)
{
    ptrdiff_t length = stop - p;
    int negative = *p == '-';
    uint32_t others = other_bytes(p) & (((uint32_t)1 << length) - 1) & ~(uint32_t)negative;
    int digits = (int)length - negative - (others != 0), whole = digits, fraction = 0;
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

/* Whether a cell is what most are, and is read. 40 bytes are read from p on. */
static inline int is_plain_cell(const char *p, const char *stop, int clean, const Target *target)
{
    if (target->kind == NUMBER || target->kind == GAPS)
        return stop - p <= 16 ? read_short_number(p, stop, target->at) : read_plain_number(p, target->at) == stop;
    return target->kind == SKIPPED && clean;
}

/* Read the cell at p of a column, behind which `next` has to stand; return the place behind that, or NULL. */
static const char *take_cell(const char *p, const char *end, char delimiter, const Target *target, char next)
{
    int plain = (target->kind == NUMBER || target->kind == GAPS) && end - p >= 40;
    const char *stop = plain ? read_plain_number(p, target->at) : NULL;
    if (stop == NULL || *stop != next) {
        stop = read_cell(p, end, delimiter, target->kind, target->at);
        if (stop == NULL)
            return NULL;
        stop += next == '\n' && *stop == '\r';
    }
    return *stop == next ? stop + 1 : NULL;
}

/* Of bytes, 16 or 8 together: where they equal c, in a form that can be combined by | and turned into bits. */
#ifdef __SSE2__
typedef __m128i Bytes;
enum { BYTES = 16 };
static inline Bytes equal(const char *p, char c)
{
    return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(c));
}
static inline uint64_t one_bit_each(Bytes equal) { return (uint32_t)_mm_movemask_epi8(equal); }
#else
typedef uint64_t Bytes;
enum { BYTES = 8 };
static inline Bytes equal(const char *p, char c)
{
    uint64_t x = load_word(p) ^ 0x0101010101010101u * (unsigned char)c; /* 0 where it is */
    return ~(((x & 0x7F7F7F7F7F7F7F7Fu) + 0x7F7F7F7F7F7F7F7Fu) | x) & 0x8080808080808080u;
}
static inline uint64_t one_bit_each(Bytes equal) { return (equal >> 7) * 0x0102040810204080u >> 56; }
#endif

enum { WINDOW = 1024 };

/* Where delimiters and newlines stand in the WINDOW bytes at p: their offsets, and how many there are. `clean` tells
 * that there is no quote and no carriage return. Up to 8 offsets too many are written. */
static ptrdiff_t find_ends(const char *p, char delimiter, uint16_t *ends, int *clean)
{
    ptrdiff_t n = 0;
    Bytes strange = equal(p, '"') | equal(p, '\r');
    for (int at = 0; at < WINDOW; at += 64) {
        uint64_t found = 0;
        for (int k = 0; k < 64; k += BYTES) {
            const char *q = p + at + k;
            found |= one_bit_each(equal(q, delimiter) | equal(q, '\n')) << k;
            strange |= equal(q, '"') | equal(q, '\r');
        }
        ptrdiff_t stop = n + __builtin_popcountll(found);
        for (; n < stop; n += 8)
            for (int k = 0; k < 8; k++) {
                ends[n + k] = (uint16_t)(at + (found ? __builtin_ctzll(found) : 0));
                found &= found - 1;
            }
        n = stop;
    }
    *clean = one_bit_each(strange) == 0;
    return n;
}

/* Read rows from `p` to `end`, where a newline stands; blank lines are none. Returns their number, or -1 at a line that
 * is refused. The targets' `at` move on.
 *
 * The ends of many cells are found first: where a cell starts then depends on no number before it, and the processor
 * works on several at a time. For long cells this does not pay; it is tried again now and then. */
static int64_t read_rows(const char *p, const char *end, char delimiter, Target *targets, ptrdiff_t n_columns)
{
    int64_t rows = 0;
    ptrdiff_t j = 0, k = 0, n = 0;
    const char *window = p, *again = p;
    uint16_t ends[WINDOW + 8];
    int clean = 0;
    while (p < end) {
        if (k == n) {
            window = p;
            k = 0;
            n = p >= again && end - p >= WINDOW + 64 ? find_ends(p, delimiter, ends, &clean) : 0;
            if (n < WINDOW / 16 && p >= again) {
                n = 0;
                again = p + 16 * WINDOW;
            }
        }
        if (j == 0 && (*p == '\n' || (*p == '\r' && p[1] == '\n'))) {
            p += 1 + (*p == '\r');
            k += k < n;
            continue;
        }
        Target *target = &targets[j];
        char next = j + 1 < n_columns ? delimiter : '\n';
        const char *stop = k < n ? window + ends[k] : p;
        if (__builtin_expect(k < n && *stop == next && is_plain_cell(p, stop, clean, target), 1)) {
            p = stop + 1;
            k++;
        } else {
            p = take_cell(p, end, delimiter, target, next);
            if (p == NULL)
                return -1;
            while (k < n && window + ends[k] < p)
                k++;
        }
        target->at += target->step;
        if (++j == n_columns) {
            j = 0;
            rows++;
        }
    }
    return rows;
}

#endif
