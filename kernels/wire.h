/* Numbers on a slow wire: float32 arrays as fewer bytes and back, with what is lost kept for the next time.
 *
 * Format  bytes for n numbers             error of a number v, at most
 * bf16    2 n                             |v| / 256, to the nearest, ties to even; infinity and NaN are kept
 * fp16    2 n                             |v| / 2048 or 3e-8, to the nearest; from 65520 on infinity; NaN is kept
 * int8    n + 4 for every WIRE_BLOCK      1/254 of the block's largest magnitude (or 1.5e-36); a block that holds
 *                                         an infinity or NaN is NaN as a whole
 * topk    8 k                             all but the k largest magnitudes
 *
 * encode(x, residual, out, n, k): out = code of x + residual, residual = what the code loses of it, 0 where that is not
 * finite. decode(data, out, n, k): out = the numbers; add: out += the numbers.
 */
#ifndef DPMPI_WIRE_H
#define DPMPI_WIRE_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

enum { WIRE_BF16, WIRE_FP16, WIRE_INT8, WIRE_TOPK, WIRE_FORMATS, WIRE_BLOCK = 256 };
enum { INFINITE_BITS = 0x7f800000, QUIET_NAN_BITS = 0x7fc00000 };

typedef void (*encode_fn)(const float *x, float *residual, void *out, ptrdiff_t n, ptrdiff_t k);
typedef void (*decode_fn)(const void *data, float *out, ptrdiff_t n, ptrdiff_t k);

#define WIRE_INLINE static inline __attribute__((always_inline))

WIRE_INLINE uint32_t bits_of(float x)
{
    union { float x; uint32_t b; } u = {x};
    return u.b;
}

WIRE_INLINE float float_of(uint32_t b)
{
    union { uint32_t b; float x; } u = {b};
    return u.x;
}

WIRE_INLINE ptrdiff_t int8_blocks(ptrdiff_t n) { return (n + WIRE_BLOCK - 1) / WIRE_BLOCK; }

/* bfloat16 is the upper half of a float. */
WIRE_INLINE uint32_t bf16_of(uint32_t b)
{
    uint32_t rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
    return (b & 0x7fffffff) > INFINITE_BITS ? (b >> 16) | 0x40 : rounded;
}

WIRE_INLINE uint32_t bf16_bits(uint32_t code) { return code << 16; }

/* IEEE half precision. The exponent is biased by 15 in place of 127; a subnormal's last bit is that of a sum with 0.5,
 * which rounds it. */
WIRE_INLINE uint32_t fp16_of(uint32_t b)
{
    uint32_t sign = (b >> 16) & 0x8000, a = b & 0x7fffffff;
    uint32_t normal = (a - (112u << 23) + 0xfff + ((a >> 13) & 1)) >> 13;
    uint32_t subnormal = bits_of(float_of(a) + 0.5f) - bits_of(0.5f);
    uint32_t code = a < (113u << 23) ? subnormal : normal;
    code = a >= 0x477ff000 ? 0x7c00 : code; /* 65520 and more */
    return sign | (a > INFINITE_BITS ? 0x7e00 : code);
}

WIRE_INLINE uint32_t fp16_bits(uint32_t code)
{
    uint32_t sign = (code & 0x8000) << 16, a = (code & 0x7fff) << 13;
    uint32_t normal = a + (112u << 23);
    uint32_t subnormal = bits_of(float_of(a + (113u << 23)) - float_of(113u << 23));
    uint32_t special = a + (224u << 23); /* exponent 31 to 255 */
    uint32_t number = a < (1u << 23) ? subnormal : normal;
    return sign | (a >= (31u << 23) ? special : number);
}

#define LOOPS "wire_loops.h"
#include "each_level.h"

static inline encode_fn wire_encode(int format, int level)
{
    static const encode_fn loops[WIRE_FORMATS][SIMD_LEVELS] = {
        EACH_LEVEL(encode_bf16), EACH_LEVEL(encode_fp16), EACH_LEVEL(encode_int8), EACH_LEVEL(encode_topk)};
    return loops[format][level];
}

static inline decode_fn wire_decode(int format, int level)
{
    static const decode_fn loops[WIRE_FORMATS][SIMD_LEVELS] = {
        EACH_LEVEL(decode_bf16), EACH_LEVEL(decode_fp16), EACH_LEVEL(decode_int8), EACH_LEVEL(decode_topk)};
    return loops[format][level];
}

static inline decode_fn wire_add(int format, int level)
{
    static const decode_fn loops[WIRE_FORMATS][SIMD_LEVELS] = {EACH_LEVEL(add_bf16), EACH_LEVEL(add_fp16),
                                                               EACH_LEVEL(add_int8), EACH_LEVEL(add_topk)};
    return loops[format][level];
}

#endif
