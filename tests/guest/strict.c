/*
 * What QEMU's TCG lets pass, so that it would not survive: reserved and
 * contradictory control-register bits (SDM 2.5), LTR of a null selector.
 */
#include "guest.h"

#define CODE(name, text)                                                       \
    __asm__(".text\n" #name ": " text "; ret\n");                              \
    void name(void *);

CODE(cr0_pg_only, "mov %cr0, %rax; btr $0, %rax; mov %rax, %cr0")
CODE(cr0_high, "mov %cr0, %rax; bts $32, %rax; mov %rax, %cr0")
CODE(cr0_nw, "mov %cr0, %rax; bts $29, %rax; btr $30, %rax; mov %rax, %cr0")
CODE(cr3_high, "mov %cr3, %rax; bts $52, %rax; mov %rax, %cr3")
CODE(cr4_reserved, "mov %cr4, %rax; bts $30, %rax; mov %rax, %cr4")
CODE(cr4_pae, "mov %cr4, %rax; btr $5, %rax; mov %rax, %cr4")
CODE(cr8_reserved, "mov $0x10, %eax; mov %rax, %cr8")
CODE(efer_reserved, "mov $0xc0000080, %ecx; rdmsr; bts $20, %eax; wrmsr")
CODE(efer_lme, "mov $0xc0000080, %ecx; rdmsr; btr $8, %eax; wrmsr")
CODE(msr_unknown, "mov $0x12345678, %ecx; rdmsr")
CODE(msr_far, "mov $0xc0000100, %ecx; xor %eax, %eax; mov $0x80000000, %edx;"
              "wrmsr")
CODE(dr7_high, "xor %eax, %eax; bts $32, %rax; mov %rax, %dr7")
CODE(lgdt_far, "sub $32, %rsp; sgdt 16(%rsp); movabs $0x8000000000000000, %rax;"
               "mov %rax, 2(%rsp); movw $8, (%rsp); lgdt (%rsp);"
               "lgdt 16(%rsp); add $32, %rsp")
CODE(ltr_null, "xor %eax, %eax; ltr %ax")
CODE(cr4_pcide, "mov %cr3, %rcx; mov %rcx, %rax; or $1, %al; mov %rax, %cr3;"
                "mov %cr4, %rax; bts $17, %rax; mov %rax, %cr4")

static const struct {
    const char *name;
    void (*fn)(void *);
} rows[] = {
    {"cr0 pg without pe", cr0_pg_only},
    {"cr0 bit 32", cr0_high},
    {"cr0 nw without cd", cr0_nw},
    {"cr3 bit 52", cr3_high},
    {"cr4 reserved", cr4_reserved},
    {"cr4 pae off in long mode", cr4_pae},
    {"cr4 pcide with a pcid", cr4_pcide},
    {"cr8 reserved", cr8_reserved},
    {"efer reserved", efer_reserved},
    {"efer lme off while paging", efer_lme},
    {"rdmsr unknown", msr_unknown},
    {"wrmsr not canonical", msr_far},
    {"dr7 bit 32", dr7_high},
    {"lgdt not canonical", lgdt_far},
    {"ltr null", ltr_null},
};

void test_main(void)
{
    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++)
        check(rows[n].name, trap_code(guard(rows[n].fn, 0)), 0xd0000);
}
