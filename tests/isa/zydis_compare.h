/* One decoding by us and by Zydis, compared. */
#ifndef TESTS_ISA_ZYDIS_COMPARE_H
#define TESTS_ISA_ZYDIS_COMPARE_H

#include <Zydis/Zydis.h>

#include "x86/opcode.h"

struct zydis {
    enum decode_mode mode;
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    uint64_t compared, valid, skipped;
};

/* What is compared: both decodings of the same bytes. */
struct zydis_pair {
    struct zydis *z;
    const uint8_t *bytes;
    enum decode_result result;
    struct insn i;
    const struct opcode *row; /* ours, when result is DECODE_OK */
    ZyanStatus status;
    ZydisDecodedInstruction zi;
    ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
    bool zok;
    char name[24]; /* our mnemonic for this size */
};

void zydis_open(struct zydis *z, enum decode_mode mode);
/* bytes: 15 at least. False, and why: they differ. */
bool zydis_same(struct zydis *z, const uint8_t *bytes, char *why, size_t n);

/* --- zydis_exceptions.c --- */
/* Whether Zydis knows it and we leave it out on purpose: ours must be #UD or
   a NOP. */
bool zydis_left_out(const struct zydis_pair *p);
/* Whether Zydis is known to be wrong here; each with its reason. */
bool zydis_wrong(const struct zydis_pair *p);

#endif
