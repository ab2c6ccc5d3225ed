/* Numbers for keys of a fixed number of bytes, by a hash table: open addressing, linear probing, at most half full.
 *
 * Two keys are the same when their bytes are. The table holds a number and 32 bits of the hash for each distinct key,
 * whose bytes stay where they lie. Hashes are formed for some keys together, and their places in the table prefetched.
 */
#ifndef DPMPI_KEYS_H
#define DPMPI_KEYS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_FOUND = -1, KEYS_NO_MEMORY = -2, KEYS_TOGETHER = 16 };

typedef struct {
    const char *items; /* `stride` bytes apart */
    ptrdiff_t n, stride, size;
} key_array;

typedef struct {
    uint32_t tag;   /* of the hash: its low bits are the place where the search begins */
    int32_t number; /* -1: free */
} key_slot;

typedef struct {
    key_slot *slots;
    size_t mask; /* slots - 1, a power of two less 1 */
} key_table;

static inline uint64_t key_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* Fewer than 8 bytes. */
static inline uint64_t key_short(const char *p, ptrdiff_t size)
{
    uint64_t word = 0;
    uint32_t half;
    if (size == 4) {
        memcpy(&half, p, 4);
        return half;
    }
    for (ptrdiff_t i = 0; i < size; i++)
        word = word << 8 | (unsigned char)p[i];
    return word;
}

static inline uint64_t key_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

/* The last word overlaps the one before where the size is no multiple of 8. */
static inline uint32_t key_tag(const char *p, ptrdiff_t size)
{
    uint64_t hash = 0;
    if (size < 8)
        hash = key_mix(hash, key_short(p, size));
    else {
        for (ptrdiff_t i = 0; i + 8 < size; i += 8)
            hash = key_mix(hash, key_word(p + i));
        hash = key_mix(hash, key_word(p + size - 8));
    }
    return (uint32_t)((hash * 0x9E3779B97F4A7C15u) >> 32);
}

static inline int key_same(const char *a, const char *b, ptrdiff_t size)
{
    if (size < 8)
        return key_short(a, size) == key_short(b, size);
    for (ptrdiff_t i = 0; i + 8 < size; i += 8)
        if (key_word(a + i) != key_word(b + i))
            return 0;
    return key_word(a + size - 8) == key_word(b + size - 8);
}

/* A free table of twice as many slots as `keys` or more, with those of `old`. */
static int key_table_of(key_table *table, size_t keys, const key_table *old)
{
    size_t slots = 16;
    while (slots < 2 * keys)
        slots *= 2;
    table->mask = slots - 1;
    table->slots = malloc(slots * sizeof *table->slots);
    if (table->slots == NULL)
        return 0;
    memset(table->slots, -1, slots * sizeof *table->slots);
    for (size_t i = 0; old != NULL && i <= old->mask; i++)
        if (old->slots[i].number >= 0) {
            size_t place = old->slots[i].tag & table->mask;
            while (table->slots[place].number >= 0)
                place = (place + 1) & table->mask;
            table->slots[place] = old->slots[i];
        }
    return 1;
}

/* The slot of a key, or the free one where it belongs; its number's bytes are those of the item rows[number], or of the
 * item `number` where rows is NULL. */
static inline key_slot *key_find(const key_table *table, uint32_t tag, const char *key, const key_array *known,
                                 const int64_t *rows)
{
    for (size_t place = tag & table->mask;; place = (place + 1) & table->mask) {
        key_slot *slot = table->slots + place;
        if (slot->number < 0)
            return slot;
        if (slot->tag == tag) {
            ptrdiff_t row = rows == NULL ? slot->number : (ptrdiff_t)rows[slot->number];
            if (key_same(known->items + row * known->stride, key, known->size))
                return slot;
        }
    }
}

static inline void key_tags(const key_array *keys, ptrdiff_t start, ptrdiff_t n, const key_table *table, uint32_t *tags)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        tags[i] = key_tag(keys->items + (start + i) * keys->stride, keys->size);
        __builtin_prefetch(table->slots + (tags[i] & table->mask));
    }
}

/* out[i]: the number of key i among the categories, of the same size, the first of equal ones. Returns KEYS_FOUND, the
 * first row whose key is not among them, or KEYS_NO_MEMORY. */
static ptrdiff_t keys_in(const key_array *keys, const key_array *categories, int64_t *out)
{
    key_table table;
    uint32_t tags[KEYS_TOGETHER];
    ptrdiff_t missing = KEYS_FOUND;
    if (categories->n > INT32_MAX || !key_table_of(&table, (size_t)categories->n, NULL))
        return KEYS_NO_MEMORY;
    for (ptrdiff_t k = 0; k < categories->n; k++) {
        const char *key = categories->items + k * categories->stride;
        uint32_t tag = key_tag(key, categories->size);
        key_slot *slot = key_find(&table, tag, key, categories, NULL);
        if (slot->number < 0)
            *slot = (key_slot){tag, (int32_t)k};
    }
    for (ptrdiff_t start = 0; start < keys->n && missing == KEYS_FOUND; start += KEYS_TOGETHER) {
        ptrdiff_t n = keys->n - start < KEYS_TOGETHER ? keys->n - start : KEYS_TOGETHER;
        key_tags(keys, start, n, &table, tags);
        for (ptrdiff_t i = 0; i < n && missing == KEYS_FOUND; i++) {
            const char *key = keys->items + (start + i) * keys->stride;
            int32_t number = key_find(&table, tags[i], key, categories, NULL)->number;
            out[start + i] = number;
            if (number < 0)
                missing = start + i;
        }
    }
    free(table.slots);
    return missing;
}

/* out[i]: the number of key i among the distinct ones in the order of their first rows, which go to rows (at most n).
 * Returns how many there are, or KEYS_NO_MEMORY. */
static ptrdiff_t keys_distinct(const key_array *keys, int64_t *out, int64_t *rows)
{
    key_table table, wider;
    uint32_t tags[KEYS_TOGETHER];
    ptrdiff_t count = 0;
    if (!key_table_of(&table, 1024, NULL))
        return KEYS_NO_MEMORY;
    for (ptrdiff_t start = 0; start < keys->n; start += KEYS_TOGETHER) {
        ptrdiff_t n = keys->n - start < KEYS_TOGETHER ? keys->n - start : KEYS_TOGETHER;
        if (2 * (size_t)(count + n) > table.mask) {
            int grown = count < INT32_MAX / 2 && key_table_of(&wider, 2 * (table.mask + 1), &table);
            free(table.slots);
            if (!grown)
                return KEYS_NO_MEMORY;
            table = wider;
        }
        key_tags(keys, start, n, &table, tags);
        for (ptrdiff_t i = 0; i < n; i++) {
            const char *key = keys->items + (start + i) * keys->stride;
            key_slot *slot = key_find(&table, tags[i], key, keys, rows);
            if (slot->number < 0) {
                *slot = (key_slot){tags[i], (int32_t)count};
                rows[count++] = start + i;
            }
            out[start + i] = slot->number;
        }
    }
    free(table.slots);
    return count;
}

#endif
