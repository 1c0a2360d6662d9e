/*
 * Random instructions with state and memory under which the host can run them
 * safely: whatever they access or jump to is in the arena or not mapped.
 */
#ifndef TESTS_ISA_HOST_CASES_H
#define TESTS_ISA_HOST_CASES_H

#include "encodings.h"
#include "host_guest.h"
#include "host_arena.h"

struct host_case {
    struct rng *r;
    enum decode_mode mode; /* DECODE_64, or DECODE_32: compatibility mode */
    uint8_t bytes[ENCODING_BYTES];
    struct insn i;
    const struct opcode *row;
    struct host_state *s;
    uint64_t target; /* linear address of the memory operand */
};

/* Rows that this host and the model can run at user level, by number; the
   count. only: a mnemonic, or NULL. */
unsigned cases_rows(uint16_t *rows, const struct cpu_model *m,
                    enum decode_mode mode, const char *only);
/* A case of that row; false: try again. Changes s and, at the target, the
   memory of both sides. */
bool case_make(struct host_case *c, unsigned row);
/* Memory is accessed by element or in several pieces: which byte of it faults
   first is the CPU's own affair. */
bool case_in_pieces(const struct host_case *c);
/* All registers anew. */
void case_fill(struct rng *r, struct host_state *s);

#endif
