/* Decimal text to float64, correctly rounded whatever the locale: [+-] digits [. digits] [e [+-] digits].
 *
 * Of 32 bytes one look tells where the digits end; they are read eight at a time as one 64-bit word. Short numbers are a product or quotient of two exact ones (W. D.
 * Clinger, "How to read floating point numbers accurately", PLDI 1990); up to 19 digits are one or two products with a
 * 128-bit power of five (D. Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51,
 * 2021). The rest, which is rare, is left to Python, whose reader is exact.
 */
#ifndef DPMPI_NUMBER_H
#define DPMPI_NUMBER_H

#include <Python.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define LEAST_POWER -342
#define GREATEST_POWER 308

typedef unsigned __int128 uint128_t;

/* The 128 leading bits of 5**q, q from LEAST_POWER to GREATEST_POWER, high word first; filled when a module loads. */
static uint64_t FIVES[2 * (GREATEST_POWER - LEAST_POWER + 1)];

static const double EXACT_POWERS[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t WHOLE_POWERS[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

/* The eight bytes at p, the first in the lowest bits. */
static inline uint64_t load_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* A bit for each of the 16 bytes at p, the first lowest: whether it is no digit. */
static inline uint32_t other_bytes(const char *p)
{
#ifdef __SSE2__
    __m128i x = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8('0'));
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(x, _mm_set1_epi8(10)), x));
#else
    uint32_t bits = 0;
    for (int k = 0; k < 16; k += 8) {
        uint64_t x = load_word(p + k) ^ 0x3030303030303030u;
        x = ((((x & 0x7F7F7F7F7F7F7F7Fu) + 0x7676767676767676u) | x) & 0x8080808080808080u) >> 7;
        bits |= (uint32_t)(x * 0x0102040810204080u >> 56) << k;
    }
    return bits;
#endif
}

/* The whole number that the first n of eight digits write, n > 0: pairs, then fours, then all in two products. */
static inline uint64_t word_value(uint64_t word, ptrdiff_t n)
{
    uint64_t x = (word ^ 0x3030303030303030u) << (64 - 8 * n);
    x = x * 10 + (x >> 8);
    return ((x & 0x000000FF000000FFu) * 0x000F424000000064u + ((x >> 16) & 0x000000FF000000FFu) * 0x0000271000000001u)
           >> 32;
}

/* `value` with the n digits at p behind its own; eight bytes from each of them on are read. */
static inline uint64_t append_digits(uint64_t value, const char *p, ptrdiff_t n)
{
    for (; n > 8; n -= 8, p += 8)
        value = value * 100000000 + word_value(load_word(p), 8);
    return n ? value * WHOLE_POWERS[n] + word_value(load_word(p), n) : value;
}

/* mantissa * 10**power as a positive float64; 0 where this is not for sure (subnormal, or too great, or a near tie). */
static int scale(uint64_t mantissa, int64_t power, double *out)
{
    if (power < LEAST_POWER || power > GREATEST_POWER)
        return 0;
    const uint64_t *five = &FIVES[2 * (power - LEAST_POWER)];
    int zeros = __builtin_clzll(mantissa);
    mantissa <<= zeros;
    uint128_t product = (uint128_t)mantissa * five[0];
    uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
    if ((high & 0x1FF) == 0x1FF) { /* the product with the lower word may carry into the bits that count */
        uint64_t more = (uint64_t)((uint128_t)mantissa * five[1] >> 64);
        low += more;
        high += more > low;
    }
    if (low == UINT64_MAX && (power < -27 || power > 55))
        return 0;
    int top = (int)(high >> 63), shift = top + 9;
    uint64_t bits = high >> shift; /* 54 bits: one more than float64 holds */
    int64_t exponent = (((152170 + 65536) * power) >> 16) + 63 + top - zeros + 1023;
    if (exponent <= 0)
        return 0;
    /* Halfway between two float64, to the even one: only small powers of five divide 64 bits. */
    if (low <= 1 && power >= -4 && power <= 23 && (bits & 3) == 1 && bits << shift == high)
        bits &= ~(uint64_t)1;
    bits = (bits + (bits & 1)) >> 1;
    if (bits >> 53) {
        bits >>= 1;
        exponent++;
    }
    if (exponent >= 0x7FF)
        return 0;
    bits = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)exponent << 52;
    memcpy(out, &bits, 8);
    return 1;
}

/* The number that `start` to `end` writes, by Python; infinite where there is no memory for a copy. */
static double read_by_python(const char *start, const char *end)
{
    double value = HUGE_VAL;
    PyGILState_STATE state = PyGILState_Ensure();
    char *copy = PyMem_Malloc(end - start + 1);
    if (copy) {
        memcpy(copy, start, end - start);
        copy[end - start] = 0;
        value = PyOS_string_to_double(copy, NULL, NULL);
        PyMem_Free(copy);
    }
    PyErr_Clear();
    PyGILState_Release(state);
    return value;
}

/* A positive value with its sign, without a branch: signs are mostly random. */
static inline double with_sign(double value, int negative)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    bits |= (uint64_t)negative << 63;
    memcpy(&value, &bits, 8);
    return value;
}

/* The number of a mantissa of so many digits; 0 where this is not for sure. */
static inline int finish(uint64_t mantissa, int64_t digits, int64_t power, double *out)
{
    if (__builtin_expect(digits > 19, 0)) /* more than 64 bits hold */
        return 0;
    if (__builtin_expect(mantissa <= (uint64_t)1 << 53 && power >= -22 && power <= 22, 1))
        *out = power < 0 ? (double)mantissa / EXACT_POWERS[-power] : (double)mantissa * EXACT_POWERS[power];
    else if (mantissa == 0)
        *out = 0;
    else
        return scale(mantissa, power, out);
    return 1;
}

/* `read_number` byte by byte. */
static const char *read_any_number(const char *p, const char *end, double *out)
{
    const char *start = p;
    uint64_t mantissa = 0;
    int64_t power = 0, digits = 0, given = 0;
    int some = 0, point = 0, down = 0, negative = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    for (; p < end && ((unsigned char)(*p - '0') < 10 || (*p == '.' && !point)); p++) {
        if (*p == '.') {
            point = 1;
            continue;
        }
        some = 1;
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        digits += digits || mantissa; /* zeros in front do not count */
        power -= point;
    }
    if (!some)
        return NULL;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '-' || *p == '+'))
            down = *p++ == '-';
        if (p == end || (unsigned char)(*p - '0') >= 10)
            return NULL;
        for (; p < end && (unsigned char)(*p - '0') < 10; p++)
            if (given < 1000000000000)
                given = given * 10 + (*p - '0');
        power += down ? -given : given;
    }
    if (!finish(mantissa, digits, power, out)) {
        *out = fabs(read_by_python(start, p));
        if (isinf(*out))
            return NULL;
    }
    *out = with_sign(*out, negative);
    return p;
}

/* Of up to 8 digits at p, fewer than 8 of them in front of the point, and their sign; 9 bytes are read. */
static inline double short_value(const char *p, int whole, int fraction, int negative)
{
    static const double powers[2][9] = {{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8},
                                        {-1e0, -1e1, -1e2, -1e3, -1e4, -1e5, -1e6, -1e7, -1e8}};
    uint64_t left = ((uint64_t)1 << (8 * whole)) - 1;
    uint64_t word = (load_word(p) & left) | (load_word(p + 1) & ~left); /* the digits on both sides of the point */
    return (double)(int64_t)word_value(word, whole + fraction) / powers[negative][fraction];
}

/* Read a number without exponent at p, of up to 19 digits, and return where its digits end; NULL where there is none.
 *
 * 40 bytes are read from p on: 32 to look at, and a word from the last of them on.
 */
static inline const char *read_plain_number(const char *p, double *out)
{
    int negative = *p == '-';
    uint32_t others = (other_bytes(p) | other_bytes(p + 16) << 16) & ~(uint32_t)negative;
    if (__builtin_expect(others == 0, 0))
        return NULL;
    int point = __builtin_ctz(others), stop = point, whole = point - negative, fraction = 0;
    if (p[point] == '.') {
        others &= others - 1;
        if (__builtin_expect(others == 0, 0))
            return NULL;
        stop = __builtin_ctz(others);
        fraction = stop - point - 1;
    }
    const char *first = p + negative;
    int digits = whole + fraction;
    if (__builtin_expect((unsigned)(digits - 1) < 8 && whole < 8, 1)) {
        *out = short_value(first, whole, fraction, negative);
        return p + stop;
    }
    uint64_t mantissa = append_digits(0, first, whole);
    if (fraction)
        mantissa = append_digits(mantissa, first + whole + 1, fraction);
    if (digits == 0 || !finish(mantissa, digits, -fraction, out))
        return NULL;
    *out = with_sign(*out, negative);
    return p + stop;
}

/* Read the finite number at p and return the place behind it, or NULL where there is none. Reads nothing at `end`. */
static inline const char *read_number(const char *p, const char *end, double *out)
{
    if (__builtin_expect(end - p >= 40, 1)) {
        const char *stop = read_plain_number(p, out);
        if (stop && *stop != '.' && (*stop | 32) != 'e')
            return stop;
    }
    return read_any_number(p, end, out);
}

#endif
