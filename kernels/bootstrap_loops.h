/* Sums over resamples of the rows, for one SIMD level. */

/* 32 random bits of a row and a resample: a hash of both (Wellons' lowbias32), so that they depend on nothing else. */
INLINE uint32_t PASTE(hash, 32, LEVEL)(uint32_t x)
{
    x ^= x >> 16;
    x *= UINT32_C(0x7feb352d);
    x ^= x >> 15;
    x *= UINT32_C(0x846ca68b);
    return x ^ (x >> 16);
}

/* out (2, resamples): adds the weights and the weighted x. Row i of the data set has in each resample a weight drawn
 * from the Poisson distribution of mean 1, by comparing 32 random bits with its distribution function. */
static void PASTE(bootstrap, sums, LEVEL)(ptrdiff_t n, const double *restrict x, uint64_t first_row, uint64_t seed,
                                          ptrdiff_t resamples, double *restrict out)
{
    double *weights = out, *sums = out + resamples;
    for (ptrdiff_t i = 0; i < n; i++) {
        uint64_t row = first_row + (uint64_t)i;
        uint32_t low = PASTE(hash, 32, LEVEL)((uint32_t)row ^ (uint32_t)seed);
        uint32_t key = PASTE(hash, 32, LEVEL)(low + (uint32_t)(row >> 32) + UINT32_C(0x9e3779b9) * (uint32_t)(seed >> 32));
        double value = x[i];
        _Pragma("omp simd") for (ptrdiff_t r = 0; r < resamples; r++)
        {
            uint32_t bits = PASTE(hash, 32, LEVEL)(key ^ PASTE(hash, 32, LEVEL)((uint32_t)r + UINT32_C(0x68bc21eb)));
            int32_t weight = 0;
            double w;
            /* 2^32 times the probability of at most 0, 1, ... */
            weight += bits >= UINT32_C(1580030169);
            weight += bits >= UINT32_C(3160060337);
            weight += bits >= UINT32_C(3950075422);
            weight += bits >= UINT32_C(4213413783);
            weight += bits >= UINT32_C(4279248373);
            weight += bits >= UINT32_C(4292415292);
            weight += bits >= UINT32_C(4294609778);
            weight += bits >= UINT32_C(4294923276);
            weight += bits >= UINT32_C(4294962463);
            weight += bits >= UINT32_C(4294966817);
            w = weight;
            weights[r] += w;
            sums[r] += w * value;
        }
    }
}
