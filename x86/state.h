/*
 * The registers of one x86 CPU: their only home. Boot code, snapshots, gdb
 * and engine switches read and write this; interp and jit run on it in place.
 * Names are those of the Intel SDM. While a CPU runs its thread owns it.
 */
#ifndef X86_STATE_H
#define X86_STATE_H

#include "lodge/types.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13,
       R14, R15 };
enum { ES, CS, SS, DS, FS, GS };

/* RFLAGS */
enum {
    FLAG_CF = 1 << 0, FLAG_1 = 1 << 1, FLAG_PF = 1 << 2, FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6, FLAG_SF = 1 << 7, FLAG_TF = 1 << 8, FLAG_IF = 1 << 9,
    FLAG_DF = 1 << 10, FLAG_OF = 1 << 11, FLAG_IOPL = 3 << 12,
    FLAG_NT = 1 << 14, FLAG_RF = 1 << 16, FLAG_VM = 1 << 17,
    FLAG_AC = 1 << 18, FLAG_VIF = 1 << 19, FLAG_VIP = 1 << 20,
    FLAG_ID = 1 << 21,
    FLAGS_STATUS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

/*
 * A segment register with its hidden part. limit is in bytes, granularity
 * already applied. attr as in VMX access rights: type 3:0, S 4, DPL 6:5, P 7,
 * AVL 12, L 13, D/B 14, G 15, unusable 16.
 */
struct x86_seg {
    uint64_t base;
    uint32_t limit;
    uint32_t attr;
    uint16_t sel;
};
enum {
    SEG_TYPE = 0xf, SEG_ACCESSED = 1 << 0, SEG_WRITE = 1 << 1 /* data */,
    SEG_READ = 1 << 1 /* code */, SEG_DOWN = 1 << 2 /* data */,
    SEG_CONFORMING = 1 << 2 /* code */, SEG_CODE = 1 << 3, SEG_S = 1 << 4,
    SEG_DPL_SHIFT = 5, SEG_DPL = 3 << 5, SEG_P = 1 << 7, SEG_AVL = 1 << 12,
    SEG_L = 1 << 13, SEG_DB = 1 << 14, SEG_G = 1 << 15,
    SEG_UNUSABLE = 1 << 16,
};

struct x86_table {
    uint64_t base;
    uint16_t limit;
};

/* DR6, DR7 */
enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15 };
enum { DR7_GD = 1 << 13 };

enum { CR0_PE = 1 << 0, CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3,
       CR0_ET = 1 << 4, CR0_NE = 1 << 5, CR0_WP = 1 << 16, CR0_AM = 1 << 18,
       CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
#define CR0_PG (1u << 31)
enum { CR4_VME = 1 << 0, CR4_PVI = 1 << 1, CR4_TSD = 1 << 2, CR4_DE = 1 << 3,
       CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_MCE = 1 << 6, CR4_PGE = 1 << 7,
       CR4_PCE = 1 << 8, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10,
       CR4_UMIP = 1 << 11, CR4_LA57 = 1 << 12, CR4_VMXE = 1 << 13,
       CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18,
       CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR4_PKE = 1 << 22 };
enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10,
       EFER_NXE = 1 << 11, EFER_FFXSR = 1 << 14 };
enum { XCR0_X87 = 1 << 0, XCR0_SSE = 1 << 1, XCR0_AVX = 1 << 2,
       XCR0_OPMASK = 1 << 5, XCR0_ZMM_HI256 = 1 << 6,
       XCR0_HI16_ZMM = 1 << 7 };

enum x86_activity {
    CPU_RUNNING,
    CPU_HALTED,    /* HLT or MWAIT */
    CPU_WAIT_SIPI, /* after INIT on an application processor */
    CPU_SHUTDOWN,  /* triple fault */
};

struct x86_state {
    uint64_t gpr[16];
    uint64_t rip; /* offset in CS */
    uint64_t rflags; /* bits lazily held elsewhere while an engine runs */
    struct x86_seg seg[6];
    struct x86_seg ldt, tr;
    struct x86_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t efer, xcr0;
    uint64_t pdpte[4]; /* as loaded with CR3 under PAE paging */
    uint64_t dr[8];    /* 0–3, 6, 7 */

    /* MSRs (the APIC's and TSC_DEADLINE are in the interrupt controller) */
    uint64_t star, lstar, cstar, fmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t tsc_offset; /* guest TSC = host TSC scaled + this */
    uint64_t tsc_adjust, tsc_aux;
    uint64_t pat, misc_enable, spec_ctrl, xss;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t kvmclock_system, kvmclock_wall;

    /* Events in progress */
    uint8_t cpl;         /* = SS.DPL; 3 in virtual-8086, 0 in real mode */
    uint8_t activity;    /* enum x86_activity */
    bool sti_shadow;     /* one instruction after STI */
    bool movss_shadow;   /* one instruction after MOV SS, POP SS */
    bool nmi_blocked;    /* until IRET */
    bool in_smm;
    uint64_t pending_db; /* DR6 bits of traps for after this instruction */

    /* x87, MMX, SSE: FXSAVE64 layout (SDM 10.5.1); its XMM part unused. */
    _Alignas(16) uint8_t fxsave[512];
    uint32_t mxcsr;
    uint32_t pkru;
    uint64_t k[8];
    _Alignas(64) uint8_t zmm[32][64]; /* XMM and YMM are the low parts */
};

/* Copies the members of the named groups (STATE_* of lodge/engine.h). */
void x86_state_copy(struct x86_state *to, const struct x86_state *from,
                    uint32_t which);

#endif
