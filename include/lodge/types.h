/* Addresses as the guest sees them. */
#ifndef LODGE_TYPES_H
#define LODGE_TYPES_H

#include "base/compiler.h"

typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest linear address */

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  (~(uint64_t)(PAGE_SIZE - 1))

#endif
