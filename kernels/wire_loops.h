/* The conversions of wire.h for one SIMD level; all but the choice of the largest are SIMD code by the compiler. */

/* Encode v = x + residual by `encoded` (of the bits b of v), and keep what is lost: nothing of what is not finite. */
#define HALF(format)                                                                                                  \
    static void PASTE(encode, format, LEVEL)(const float *x, float *residual, void *out, ptrdiff_t n, ptrdiff_t k)    \
    {                                                                                                                 \
        uint16_t *to = out;                                                                                           \
        (void)k;                                                                                                      \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++)                                                         \
        {                                                                                                             \
            float v = x[i] + residual[i];                                                                             \
            uint32_t code = format##_of(bits_of(v));                                                                  \
            float lost = v - float_of(format##_bits(code));                                                           \
            to[i] = (uint16_t)code;                                                                                   \
            residual[i] = lost - lost == 0 ? lost : 0;                                                                \
        }                                                                                                             \
    }                                                                                                                 \
    static void PASTE(decode, format, LEVEL)(const void *data, float *out, ptrdiff_t n, ptrdiff_t k)                  \
    {                                                                                                                 \
        const uint16_t *from = data;                                                                                  \
        (void)k;                                                                                                      \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) out[i] = float_of(format##_bits(from[i]));              \
    }                                                                                                                 \
    static void PASTE(add, format, LEVEL)(const void *data, float *out, ptrdiff_t n, ptrdiff_t k)                     \
    {                                                                                                                 \
        const uint16_t *from = data;                                                                                  \
        (void)k;                                                                                                      \
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) out[i] += float_of(format##_bits(from[i]));             \
    }

HALF(bf16)
HALF(fp16)
#undef HALF

/* int8: one float scale per block, all scales in front, then the codes. */
static void PASTE(encode, int8, LEVEL)(const float *x, float *residual, void *out, ptrdiff_t n, ptrdiff_t k)
{
    float *scales = out;
    int8_t *codes = (int8_t *)(scales + int8_blocks(n));
    (void)k;
    for (ptrdiff_t low = 0; low < n; low += WIRE_BLOCK, scales++) {
        ptrdiff_t m = n - low < WIRE_BLOCK ? n - low : WIRE_BLOCK;
        const float *from = x + low;
        float *kept = residual + low, scale;
        int8_t *to = codes + low;
        uint32_t largest = 0;
        /* Of floats without their sign the bits are in the numbers' order, infinity and NaN above all of them. */
        _Pragma("omp simd reduction(max : largest)") for (ptrdiff_t i = 0; i < m; i++)
        {
            uint32_t b;
            kept[i] += from[i];
            b = bits_of(kept[i]) & 0x7fffffff;
            largest = b > largest ? b : largest;
        }
        if (largest >= INFINITE_BITS) {
            *scales = float_of(QUIET_NAN_BITS);
            memset(to, 0, m);
            memset(kept, 0, m * sizeof(float));
            continue;
        }
        /* Cut to 16 bits: its products with a code are exact, so the bits are those of any level. */
        scale = float_of(bits_of(float_of(largest) / 127) & ~0xffu);
        if (scale < FLT_MIN) { /* too small to divide by: it stays in the residual */
            *scales = 0;
            memset(to, 0, m);
            continue;
        }
        *scales = scale;
        _Pragma("omp simd") for (ptrdiff_t i = 0; i < m; i++)
        {
            /* To the nearest integer, ties to even: what is left of the fraction when 1.5 * 2^23 is added. */
            float shifted = kept[i] / scale + 12582912.0f;
            int32_t code = (int32_t)(bits_of(shifted) - bits_of(12582912.0f));
            to[i] = (int8_t)code;
            kept[i] -= (float)code * scale;
        }
    }
}

#define DECODE_INT8(name, assign)                                                                                     \
    static void PASTE(name, int8, LEVEL)(const void *data, float *out, ptrdiff_t n, ptrdiff_t k)                      \
    {                                                                                                                 \
        const float *scales = data;                                                                                   \
        const int8_t *codes = (const int8_t *)(scales + int8_blocks(n));                                              \
        (void)k;                                                                                                      \
        for (ptrdiff_t low = 0; low < n; low += WIRE_BLOCK, scales++) {                                               \
            ptrdiff_t m = n - low < WIRE_BLOCK ? n - low : WIRE_BLOCK;                                                \
            float scale = *scales;                                                                                    \
            _Pragma("omp simd") for (ptrdiff_t i = low; i < low + m; i++) out[i] assign(float) codes[i] * scale;      \
        }                                                                                                             \
    }
DECODE_INT8(decode, =)
DECODE_INT8(add, +=)
#undef DECODE_INT8

/* topk: k indices (uint32), then their k values: the largest by magnitude, of equal ones the first, NaN above all. The
 * least magnitude taken is found digit by digit, from how many numbers have each digit. */
static void PASTE(encode, topk, LEVEL)(const float *x, float *residual, void *out, ptrdiff_t n, ptrdiff_t k)
{
    uint32_t *indices = out, least = 0, fixed = 0;
    float *values = (float *)(indices + k);
    ptrdiff_t wanted = k, taken = 0;
    static const int shifts[] = {20, 10, 0};

    _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) residual[i] += x[i];
    for (int digit = 0; digit < 3; digit++) {
        ptrdiff_t count[2048] = {0};
        uint32_t mask = digit ? 1023 : 2047, d = mask;
        int shift = shifts[digit];
        for (ptrdiff_t i = 0; i < n; i++) {
            uint32_t b = bits_of(residual[i]) & 0x7fffffff;
            count[(b >> shift) & mask] += (b & fixed) == least;
        }
        while (count[d] < wanted) /* `wanted` of those with this beginning are to be taken: there are as many */
            wanted -= count[d--];
        least |= d << shift;
        fixed |= mask << shift;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t b = bits_of(residual[i]) & 0x7fffffff;
        if (b < least || (b == least && wanted-- <= 0))
            continue;
        indices[taken] = (uint32_t)i;
        values[taken++] = residual[i];
        residual[i] = 0;
    }
    _Pragma("omp simd") for (ptrdiff_t i = 0; i < n; i++) residual[i] =
        residual[i] - residual[i] == 0 ? residual[i] : 0;
}

static void PASTE(add, topk, LEVEL)(const void *data, float *out, ptrdiff_t n, ptrdiff_t k)
{
    const uint32_t *indices = data;
    const float *values = (const float *)(indices + k);
    (void)n;
    for (ptrdiff_t i = 0; i < k; i++)
        out[indices[i]] += values[i];
}

static void PASTE(decode, topk, LEVEL)(const void *data, float *out, ptrdiff_t n, ptrdiff_t k)
{
    memset(out, 0, n * sizeof(float));
    PASTE(add, topk, LEVEL)(data, out, n, k);
}
