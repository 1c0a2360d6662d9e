/*
 * ELF kernels (System V ABI, chapters 4 and 5): segments by physical address,
 * and the PVH note (Xen ELF note 18, XEN_ELFNOTE_PHYS32_ENTRY).
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "machine/boot_internal.h"

enum {
    EI_CLASS = 4,
    EI_DATA = 5,
    EI_VERSION = 6,
    CLASS_32 = 1,
    CLASS_64 = 2,
    DATA_LSB = 1,
    ET_EXEC = 2,
    ET_DYN = 3,
    EM_386 = 3,
    EM_X86_64 = 62,
    PT_LOAD = 1,
    PT_NOTE = 4,
    NOTE_PHYS32_ENTRY = 18,
    NOTES_MAX = 4096, /* notes looked at, of all segments together */
};

/* Where the fields are, by class. */
struct elf_shape {
    uint8_t header, entry, phoff, phentsize, phnum, word;
    uint8_t ph, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
};
static const struct elf_shape shape32 = {52, 24, 28, 42, 44, 4, 32,
                                         4,  8,  12, 16, 20, 28};
static const struct elf_shape shape64 = {64, 24, 32, 54, 56, 8, 56,
                                         8,  16, 24, 32, 40, 48};

bool elf_is(const struct boot_bytes *file)
{
    return file->n >= 4 && !memcmp(file->p,
                                   "\x7f"
                                   "ELF",
                                   4);
}

static int damaged(const struct boot_bytes *file, const char *what,
                   struct err *e)
{
    return err_set(e, LE_FORMAT, "%s is a damaged ELF file: %s", file->name,
                   what);
}

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case 2:
    case 18:
    case 43: return "SPARC";
    case 8: return "MIPS";
    case 20:
    case 21: return "PowerPC";
    case 22: return "s390";
    case 40: return "32-bit ARM";
    case 183: return "arm64";
    case 243: return "RISC-V";
    case 258: return "LoongArch";
    default: return "another processor's";
    }
}

static int check_header(const struct boot_bytes *file, struct err *e)
{
    const uint8_t *p = file->p;
    unsigned type, machine;

    if (file->n < 52)
        return damaged(file, "it ends inside its header", e);
    type = load_le16(p + 16);
    machine = load_le16(p + 18);
    if (p[EI_DATA] != DATA_LSB)
        return err_set(e, LE_FORMAT,
                       "%s is a big-endian ELF file, not an x86 kernel",
                       file->name);
    if (machine != EM_386 && machine != EM_X86_64)
        return err_set(e, LE_FORMAT,
                       "%s is an ELF file of %s code (machine %u); Lodge runs "
                       "x86 kernels",
                       file->name, machine_name(machine), machine);
    if (p[EI_CLASS] != CLASS_32 && p[EI_CLASS] != CLASS_64)
        return damaged(file, "its class is neither 32-bit nor 64-bit", e);
    if (p[EI_CLASS] == CLASS_64 && file->n < 64)
        return damaged(file, "it ends inside its header", e);
    if (type != ET_EXEC && type != ET_DYN)
        return err_set(e, LE_FORMAT,
                       "%s is an ELF object file, not a linked kernel",
                       file->name);
    return 0;
}

/* The notes of one segment; stops at the first that makes no sense. */
static void find_pvh(const uint8_t *p, uint64_t n, uint64_t align,
                     unsigned *budget, struct elf_image *out)
{
    uint64_t off = 0, unit = align == 8 ? 8 : 4;

    for (; n - off >= 12 && *budget; --*budget) {
        uint64_t name_size = load_le32(p + off);
        uint64_t desc_size = load_le32(p + off + 4);
        uint32_t type = load_le32(p + off + 8);
        uint64_t name = off + 12, desc = align_up(name + name_size, unit);

        if (!range_ok(desc, desc_size, n))
            return;
        if (type == NOTE_PHYS32_ENTRY && name_size == 4 && desc_size >= 4 &&
            !memcmp(p + name, "Xen", 4)) {
            out->has_pvh = true;
            out->pvh_entry = load_le32(p + desc);
            return;
        }
        off = align_up(desc + desc_size, unit);
        if (off > n)
            return;
    }
}

static int parse_segment(const struct boot_bytes *file, const uint8_t *ph,
                         const struct elf_shape *s, unsigned *budget,
                         struct elf_image *out, struct err *e)
{
    uint32_t type = load_le32(ph);
    struct elf_segment g = {
        .off = load_le(ph + s->p_offset, s->word),
        .file_size = load_le(ph + s->p_filesz, s->word),
        .paddr = load_le(ph + s->p_paddr, s->word),
        .vaddr = load_le(ph + s->p_vaddr, s->word),
        .mem_size = load_le(ph + s->p_memsz, s->word),
    };
    uint64_t end;

    if (type != PT_LOAD && type != PT_NOTE)
        return 0;
    if (!range_ok(g.off, g.file_size, file->n))
        return damaged(file,
                       "a segment lies past the end of the file "
                       "(truncated?)",
                       e);
    if (type == PT_NOTE) {
        if (!out->has_pvh)
            find_pvh(file->p + g.off, g.file_size,
                     load_le(ph + s->p_align, s->word), budget, out);
        return 0;
    }
    if (g.file_size > g.mem_size || !add_ok(g.paddr, g.mem_size, &end))
        return damaged(file, "a segment's sizes contradict each other", e);
    if (!g.mem_size)
        return 0;
    if (out->n == BOOT_SEGMENTS)
        return damaged(file, "it has too many segments", e);
    out->seg[out->n++] = g;
    return 0;
}

int elf_parse(const struct boot_bytes *file, struct elf_image *out,
              struct err *e)
{
    const struct elf_shape *s;
    unsigned count, size, budget = NOTES_MAX;
    uint64_t phoff;
    int r = check_header(file, e);

    if (r)
        return r;
    *out = (struct elf_image){.wide = file->p[EI_CLASS] == CLASS_64};
    s = out->wide ? &shape64 : &shape32;
    out->entry = load_le(file->p + s->entry, s->word);
    phoff = load_le(file->p + s->phoff, s->word);
    size = load_le16(file->p + s->phentsize);
    count = load_le16(file->p + s->phnum);
    if (size < s->ph || !range_ok(phoff, (uint64_t)size * count, file->n))
        return damaged(file,
                       "its program headers lie past its end "
                       "(truncated?)",
                       e);
    for (unsigned i = 0; i < count; i++) {
        r = parse_segment(file, file->p + phoff + (uint64_t)i * size, s,
                          &budget, out, e);
        if (r)
            return r;
    }
    for (unsigned i = 0; i < out->n; i++) {
        struct elf_segment *g = &out->seg[i];

        g->headers_only = !g->off && g->mem_size == g->file_size &&
                          g->file_size <= phoff + (uint64_t)size * count;
    }
    return out->n ? 0 : damaged(file, "it has nothing to load", e);
}

static bool is_left_out(const struct boot_layout *l,
                        const struct elf_segment *g)
{
    return g->headers_only && !e820_is_ram(l->req->map, g->paddr, g->mem_size);
}

int elf_load(struct boot_layout *l, const struct boot_bytes *file,
             const struct elf_image *elf, struct err *e)
{
    for (unsigned i = 0; i < elf->n; i++) {
        const struct elf_segment *g = &elf->seg[i];
        int r = 0;

        if (!is_left_out(l, g))
            r = layout_claim(l, g->paddr, g->mem_size, "the kernel", e);
        if (r)
            return r;
    }
    for (unsigned i = 0; i < elf->n; i++) {
        const struct elf_segment *g = &elf->seg[i];
        int r;

        if (is_left_out(l, g))
            continue;
        r = boot_store(l, g->paddr, file->p + g->off, g->file_size, e);
        if (!r)
            r = boot_zero(l, g->paddr + g->file_size,
                          g->mem_size - g->file_size, e);
        if (r)
            return r;
    }
    return 0;
}

bool elf_holds(const struct elf_image *elf, uint64_t paddr)
{
    for (unsigned i = 0; i < elf->n; i++)
        if (!elf->seg[i].headers_only && paddr >= elf->seg[i].paddr &&
            paddr - elf->seg[i].paddr < elf->seg[i].mem_size)
            return true;
    return false;
}
