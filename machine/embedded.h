/* Bytes that the build makes from dsdt.asl (iasl) and bios.asm (nasm). */
#ifndef MACHINE_EMBEDDED_H
#define MACHINE_EMBEDDED_H

#include <stddef.h>

extern const unsigned char dsdt_aml[];
extern const size_t dsdt_aml_size;
extern const unsigned char bios_code[]; /* 4 KB, for F000:F000 */
extern const size_t bios_code_size;

#endif
