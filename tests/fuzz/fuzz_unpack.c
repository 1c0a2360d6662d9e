/*
 * Decompression of boot files: whatever the bytes are, no more than cap come
 * out, and an error has a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "lodge/host.h"

enum { CAP = 65536, GUARD = 0x5c };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[CAP + 1];
    struct err e = {0};
    enum host_pack format = host_pack_probe(data, size);
    size_t len;
    int rc;

    out[CAP] = GUARD;
    rc = host_unpack(format, data, size, out, CAP, &len, &e);
    if (out[CAP] != GUARD || len > CAP || (rc && (len || !e.text[0])))
        abort();
    return 0;
}
