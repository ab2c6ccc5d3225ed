/* The loops of delimited.h for one SIMD level: where cells end, and the numbers in them. */

/* A bit for each of the 64 bytes at p, the first lowest: whether it is c. */
INLINE uint64_t PASTE(where, is, LEVEL)(const char *p, char c)
{
#if VECTOR_BYTES == 64
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8(c));
#elif VECTOR_BYTES == 32
    __m256i low = _mm256_loadu_si256((const __m256i *)p), high = _mm256_loadu_si256((const __m256i *)(p + 32));
    uint32_t first = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, _mm256_set1_epi8(c)));
    return first | (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, _mm256_set1_epi8(c))) << 32;
#elif defined(__SSE2__)
    uint64_t bits = 0;
    for (int k = 0; k < 64; k += 16) {
        __m128i x = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + k)), _mm_set1_epi8(c));
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(x) << k;
    }
    return bits;
#else
    uint64_t bits = 0;
    for (int k = 0; k < 64; k += 8) {
        uint64_t x = load_word(p + k) ^ 0x0101010101010101u * (unsigned char)c; /* a byte is 0 where it is c */
        x = ~(((x & 0x7F7F7F7F7F7F7F7Fu) + 0x7F7F7F7F7F7F7F7Fu) | x) & 0x8080808080808080u;
        bits |= ((x >> 7) * 0x0102040810204080u >> 56) << k;
    }
    return bits;
#endif
}

/* Find the cells that end in the `size` bytes at p, a multiple of 64, and how many of them end with a newline. A cell
 * starts at p; two newlines have a cell between them. */
static void PASTE(find, cells, LEVEL)(const char *p, ptrdiff_t size, char delimiter, Window *w)
{
    ptrdiff_t n = 0, rows = 0;
    uint64_t quoted = 0, returns = 0; /* quoted: all ones where the text so far is inside quotes */
    w->strange = 0;
    w->starts[0] = 0;
    for (ptrdiff_t at = 0; at < size; at += 64) {
        const char *q = p + at;
        uint64_t newlines = PASTE(where, is, LEVEL)(q, '\n'), ends = newlines | PASTE(where, is, LEVEL)(q, delimiter);
        uint64_t quotes = PASTE(where, is, LEVEL)(q, '"'), carriage = PASTE(where, is, LEVEL)(q, '\r');
        if (__builtin_expect((quotes | quoted | carriage) != 0, 0)) {
            returns |= carriage;
            w->strange |= quotes || (carriage & ~(newlines >> 1 | (uint64_t)(carriage >> 63 && q[64] == '\n') << 63));
            for (int shift = 1; shift < 64; shift *= 2)
                quotes ^= quotes << shift; /* the parity of the quotes up to each byte */
            quotes ^= quoted;
            quoted = 0 - (quotes >> 63);
            ends &= ~quotes;
            newlines &= ~quotes;
        }
        rows += __builtin_popcountll(newlines);
        ptrdiff_t stop = n + __builtin_popcountll(ends);
        volatile uint16_t *stops = w->stops; /* a compiler would put each eight into a vector first, which is slower */
        for (; n < stop; n += 8)
            for (int k = 0; k < 8; k++) {
                stops[n + k] = (uint16_t)(at + __builtin_ctzll(ends | (uint64_t)1 << 63));
                ends &= ends - 1;
            }
        n = stop;
    }
    for (ptrdiff_t k = 0; k < n; k++)
        w->starts[k + 1] = (uint16_t)(w->stops[k] + 1);
    w->n = n;
    w->n_rows = rows;
    w->next = w->starts[n];
    w->returns = returns != 0;
    for (ptrdiff_t k = n; k < n + 8; k++)
        w->starts[k] = w->stops[k] = 0;
}

#if VECTOR_BYTES > 16
#define BYTES PASTE(cell, bytes, LEVEL)
#define WORDS PASTE(cell, words, LEVEL)
#define DOUBLES PASTE(cell, doubles, LEVEL)
#define UNSIGNED PASTE(cell, unsigned, LEVEL)
typedef int8_t BYTES __attribute__((vector_size(VECTOR_BYTES)));
typedef uint8_t UNSIGNED __attribute__((vector_size(VECTOR_BYTES)));
typedef uint64_t WORDS __attribute__((vector_size(VECTOR_BYTES)));
typedef double DOUBLES __attribute__((vector_size(VECTOR_BYTES)));
#if VECTOR_BYTES == 64
#define SIMD(name) _mm512_##name
#define VECTOR __m512i
#define SET_WORDS _mm512_set1_epi64
#else
#define SIMD(name) _mm256_##name
#define VECTOR __m256i
#define SET_WORDS _mm256_set1_epi64x
#endif
#define CONSTANT(table) (*(const BYTES *)(table))

/* Every other of the cells that stop at p + stops[0], p + stops[2], ..., of at most 16 bytes, a lane each: their digits
 * four by four, and what is told of them, in both halves of a lane:
 *   a point at byte k: 128 + k + 1; a minus sign: 32; any other byte, or one of those at a wrong place: 255
 * added up, so that 176 and more is no number. The cells end with the lanes. */
INLINE VECTOR PASTE(cell, digits, LEVEL)(const char *p, const uint16_t *stops, BYTES lengths, WORDS *told)
{
#define CELL(k) _mm_loadu_si128((const __m128i *)(p + stops[k] - 16))
#if VECTOR_BYTES == 64
    __m512i text = _mm512_castsi128_si512(CELL(0));
    text = _mm512_inserti64x2(_mm512_inserti64x2(_mm512_inserti64x2(text, CELL(2), 1), CELL(4), 2), CELL(6), 3);
#else
    __m256i text = _mm256_inserti128_si256(_mm256_castsi128_si256(CELL(0)), CELL(2), 1);
#endif
#undef CELL
    BYTES x = (BYTES)text, digits = (BYTES)((UNSIGNED)x - '0');
    BYTES inside = lengths > CONSTANT(FROM_END), is_digit = (BYTES)((UNSIGNED)digits < 10);
    BYTES others = inside & ~is_digit, point = x == '.', sign = (x == '-') & (lengths == CONSTANT(IF_SIGN));
    BYTES code = others & ~(point & ~CONSTANT(IF_POINT)) & ~(sign & ~32);
    VECTOR sum = SIMD(sad_epu8)((VECTOR)code, (VECTOR)(code ^ code));
    *told = (WORDS)sum + (WORDS)SIMD(shuffle_epi32)(sum, 0x4E);
    /* The digits in front of the point move up to those behind it. */
    digits &= inside & is_digit;
    BYTES moved = ((BYTES)SIMD(shuffle_epi8)((VECTOR)*told, (VECTOR)(code ^ code)) & 31) > CONSTANT(PLACE);
    digits = (digits & ~moved) | ((BYTES)SIMD(bslli_epi128)((VECTOR)digits, 1) & moved);
    VECTOR pairs = SIMD(maddubs_epi16)((VECTOR)digits, SIMD(set1_epi16)(1 << 8 | 10));
    return SIMD(madd_epi16)(pairs, SIMD(set1_epi32)(1 << 16 | 100));
}

/* The numbers in VECTOR_BYTES / 8 cells; returns a bit for each that holds none for sure. */
INLINE unsigned PASTE(cell, numbers, LEVEL)(const char *p, const uint16_t *starts, const uint16_t *stops, double *out)
{
    const WORDS exponent = (WORDS)SET_WORDS(0x4330000000000000); /* of 2**52, in whose last bits numbers fit */
    __m128i differences = _mm_sub_epi16(_mm_loadu_si128((const __m128i *)stops), _mm_loadu_si128((const __m128i *)starts));
    /* At most 127; at least 1, the byte in front of an empty cell, so that this is no number. */
    __m128i lengths = _mm_max_epu8(_mm_packs_epi16(differences, differences), _mm_set1_epi8(1));
    VECTOR all = SIMD(broadcastq_epi64)(lengths);
    WORDS even_told, odd_told;
    BYTES even_lengths = (BYTES)SIMD(shuffle_epi8)(all, (VECTOR)CONSTANT(EVEN));
    BYTES odd_lengths = (BYTES)SIMD(shuffle_epi8)(all, (VECTOR)(CONSTANT(EVEN) + 1));
    VECTOR even = PASTE(cell, digits, LEVEL)(p, stops, even_lengths, &even_told);
    VECTOR odd = PASTE(cell, digits, LEVEL)(p, stops + 1, odd_lengths, &odd_told);
    WORDS told = (WORDS)SIMD(unpacklo_epi64)((VECTOR)even_told, (VECTOR)odd_told);
    /* The upper and lower eight digits of each; then all as float64, exact, or rounded once where they are 16. */
    WORDS halves = (WORDS)SIMD(madd_epi16)(SIMD(packus_epi32)(even, odd), SIMD(set1_epi32)(1 << 16 | 10000));
    DOUBLES upper = (DOUBLES)((halves & 0xFFFFFFFF) | exponent) - (DOUBLES)exponent;
    DOUBLES lower = (DOUBLES)((halves >> 32) | exponent) - (DOUBLES)exponent;
    DOUBLES value = upper * 1e8 + lower;
    /* Ten to the power of the digits behind the point. */
#if VECTOR_BYTES == 64
    DOUBLES power = (DOUBLES)_mm512_permutex2var_pd(_mm512_loadu_pd(POWERS), (__m512i)told, _mm512_loadu_pd(POWERS + 8));
#else
    WORDS point = told & 15;
    DOUBLES power = {POWERS[point[0]], POWERS[point[1]], POWERS[point[2]], POWERS[point[3]]};
#endif
    value = (DOUBLES)((WORDS)(value / power) | (told << 58 & (uint64_t)1 << 63));
    memcpy(out, &value, sizeof value);
    unsigned none = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(lengths, _mm_set1_epi8(16)));
#if VECTOR_BYTES == 64
    return (none & 255) | _mm512_cmpgt_epi64_mask((__m512i)told, _mm512_set1_epi64(175));
#else
    return (none & 15) | (unsigned)_mm256_movemask_pd((__m256d)_mm256_cmpgt_epi64((__m256i)told, _mm256_set1_epi64x(175)));
#endif
}
#endif

/* The numbers in the cells of the text at p, and a bit in `odd` for each cell that holds none for sure. */
static unsigned PASTE(convert, cells, LEVEL)(const char *p, Window *w)
{
    unsigned all = 0;
    for (ptrdiff_t k = 0; k < w->n; k += 8) {
        unsigned odd = 0;
#if VECTOR_BYTES > 16
        for (int i = 0; i < 8; i += VECTOR_BYTES / 8)
            odd |= PASTE(cell, numbers, LEVEL)(p, w->starts + k + i, w->stops + k + i, w->values + k + i) << i;
#else
        for (int i = 0; i < 8; i++)
            odd |= (unsigned)!read_short_number(p + w->starts[k + i], w->stops[k + i] - w->starts[k + i], &w->values[k + i]) << i;
#endif
        odd &= k + 8 > w->n ? (1u << (w->n - k)) - 1 : 255;
        w->odd[k / 8] = (uint8_t)odd;
        all |= odd;
    }
    return all;
}

#if VECTOR_BYTES > 16
#undef BYTES
#undef UNSIGNED
#undef WORDS
#undef DOUBLES
#undef SIMD
#undef SET_WORDS
#undef VECTOR
#undef CONSTANT
#endif
