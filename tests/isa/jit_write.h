/*
 * Writing random programs (jit_cases.h) byte by byte: encodings, pointers
 * whose values are known, single instructions by their row.
 */
#ifndef TESTS_ISA_JIT_WRITE_H
#define TESTS_ISA_JIT_WRITE_H

#include "jit_cases.h"

void put(struct program *p, unsigned byte);
void put32(struct program *p, uint32_t v);
void put_sized(struct program *p, unsigned n, uint32_t v);
/*
 * Before an opcode: the bytes of its immediate, or displacement as branches
 * have it, 4 or, in 16-bit code, 2; there now and then 4, after a prefix.
 */
unsigned operand_bytes(struct program *p);
/* Those bytes just before p->bytes[after.at]. */
struct hole {
    unsigned at, n;
};
struct hole put_hole(struct program *p, unsigned n);
void fill_hole(struct program *p, struct hole h, uint32_t v);
enum decode_mode program_decode_mode(const struct program *p);
/* No room, or nothing left of the budget. */
bool full(const struct program *p);
/* A new instruction begins. */
void part(struct program *p);
void rex(struct program *p, bool w, unsigned reg, unsigned index,
         unsigned base);
void modrm_reg(struct program *p, unsigned reg, unsigned rm);
void modrm_mem(struct program *p, unsigned reg, unsigned base, int32_t disp);
/* [linear address], no registers, which are 2 or 4 bytes */
void modrm_fixed(struct program *p, unsigned reg, uint32_t address);
/* mov reg, imm32 (zero-extended) */
void set_reg(struct program *p, unsigned reg, uint32_t v);

unsigned any_reg(struct program *p);
/* One that is no pointer. */
unsigned free_reg(struct program *p);
/* What is in reg is no longer known. */
void changed(struct program *p, unsigned reg);

/* Somewhere in the data pages; now and then where it faults. */
uint32_t pick_address(struct program *p);
/*
 * A pointer register with something known in it; high 0 or 8: with the same
 * bit 3 in its number, 16: any. 16: there is none.
 */
unsigned pick_pointer(struct program *p, unsigned high);
int32_t pick_disp(struct program *p, unsigned reg, unsigned align);

/* An instruction of that row; false: none that fits. */
bool put_row(struct program *p, unsigned row);

/* --- jit_odd.c: pieces of a program --- */
void odd_bit_string(struct program *p);
void odd_compare(struct program *p);
void odd_segment(struct program *p);
void odd_address(struct program *p);
void odd_remap(struct program *p);
void odd_iret(struct program *p);
/* --- jit_segments.c: likewise, where there are segments --- */
void odd_load(struct program *p);

#endif
