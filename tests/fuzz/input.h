/* Fuzz input as a stream of numbers; zeroes once it is used up. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include "base/compiler.h"

struct input {
    const uint8_t *p, *end;
};

static UNUSED uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)(in->p < in->end ? *in->p++ : 0) << 8 * i;
    return v;
}

static UNUSED bool more(const struct input *in)
{
    return in->p < in->end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
