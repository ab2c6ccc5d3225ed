/* Compiles the file named by LOOPS_OF_REAL for float and for double: REAL, its size REAL_BYTES, integers of the same
 * size BITS, its LARGEST and SMALLEST (normal, positive) number, and NAME(name), which tells them apart. */

#define NAME(name) PASTE(name, REAL, LEVEL)
#define INAME(name) PASTE4(name, REAL, INDEX, LEVEL)

#define REAL float
#define REAL_BYTES 4
#define BITS int32_t
#define LARGEST FLT_MAX
#define SMALLEST FLT_MIN
#include LOOPS_OF_REAL
#undef REAL
#undef REAL_BYTES
#undef BITS
#undef LARGEST
#undef SMALLEST

#define REAL double
#define REAL_BYTES 8
#define BITS int64_t
#define LARGEST DBL_MAX
#define SMALLEST DBL_MIN
#include LOOPS_OF_REAL
#undef REAL
#undef REAL_BYTES
#undef BITS
#undef LARGEST
#undef SMALLEST

#undef NAME
#undef INAME
