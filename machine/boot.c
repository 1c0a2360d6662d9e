/* What kind of kernel it is, and the CPU state that each protocol asks for. */
#include "base/endian.h"
#include "machine/boot_internal.h"

/* File types a user may well try; the text says what to do instead. */
static const struct {
    uint32_t off;
    const char *magic, *what;
} known_others[] = {
    {0x38, "ARM\x64", "an arm64 kernel image; Lodge runs x86 kernels"},
    {0x24, "\x18\x28\x6f\x01", "a 32-bit ARM kernel; Lodge runs x86 kernels"},
    {0x38, "RSC\x05", "a RISC-V kernel image; Lodge runs x86 kernels"},
    {0, "MZ",
     "a Windows or EFI program, or cut off before its Linux boot header"},
    {0, "\x1f\x8b", "a gzip file; unpack it first, or give the bzImage"},
    {0,
     "\xfd"
     "7zXZ",
     "an xz file; unpack it first, or give the bzImage"},
    {0, "\x28\xb5\x2f\xfd",
     "a zstd file; unpack it first, or give the bzImage"},
    {0, "QFI\xfb", "a qcow2 disk image; boot it with --disk"},
    {0, "070701", "an initramfs; give it with --initrd"},
    {0, "!<arch>", "an archive (a Debian package?), not a kernel"},
};

static int not_a_kernel(const struct boot_bytes *k, struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(known_others); i++) {
        size_t off = known_others[i].off, n = strlen(known_others[i].magic);

        if (k->n >= off + n && !memcmp(k->p + off, known_others[i].magic, n))
            return err_set(e, LE_FORMAT, "%s is %s", k->name,
                           known_others[i].what);
    }
    return err_set(e, LE_FORMAT,
                   "%s is no kernel Lodge knows; give a Linux bzImage, an ELF "
                   "file with a PVH note, or a multiboot kernel",
                   k->name);
}

static int load_elf(struct boot_layout *l, struct boot_image *out,
                    struct err *e)
{
    const struct boot_bytes *k = &l->req->kernel;
    struct elf_image elf;
    int r = elf_parse(k, &elf, e);

    if (r)
        return r;
    if (!elf.has_pvh)
        return err_set(e, LE_UNSUPPORTED,
                       "%s is an ELF file without a PVH note or a multiboot "
                       "header; give the bzImage, or build the kernel with "
                       "CONFIG_PVH",
                       k->name);
    return pvh_load(l, k, &elf, out, e);
}

static int wrong_entry(const struct boot_request *r, const char *kind,
                       struct err *e)
{
    return err_set(e, LE_USAGE, "%s is %s and has no such entry",
                   r->kernel.name, kind);
}

int boot_load(const struct boot_request *r, const struct boot_ram *ram,
              struct boot_image *out, struct err *e)
{
    const struct boot_bytes *k = &r->kernel;
    struct boot_layout l;

    layout_init(&l, r, ram);
    *out = (struct boot_image){0};
    if (!k->p || !k->n)
        return err_set(e, LE_FORMAT, "%s is empty", k->name);
    if (r->initrd.p && !r->initrd.n)
        return err_set(e, LE_FORMAT, "%s is empty", r->initrd.name);
    /* A multiboot kernel is usually an ELF file as well, and so can one with
       a PVH note be: the note is asked for by name only. */
    if (linux_is(k))
        return linux_load(&l, out, e);
    if (multiboot_is(k) && r->entry != BOOT_PVH)
        return r->entry == BOOT_AUTO ? multiboot_load(&l, out, e)
                                     : wrong_entry(r, "a multiboot kernel", e);
    if (elf_is(k))
        return r->entry == BOOT_AUTO || r->entry == BOOT_PVH
                   ? load_elf(&l, out, e)
                   : wrong_entry(r, "an ELF file", e);
    return not_a_kernel(k, e);
}

static struct x86_seg flat(uint16_t sel, uint32_t attr)
{
    return (struct x86_seg){
        .limit = 0xffffffff, .attr = attr | SEG_S | SEG_P | SEG_G, .sel = sel};
}

static struct x86_seg real(uint16_t sel)
{
    return (struct x86_seg){.base = (uint64_t)sel << 4,
                            .limit = 0xffff,
                            .attr = SEG_S | SEG_P | SEG_WRITE | SEG_ACCESSED,
                            .sel = sel};
}

static void set_segments(const struct boot_image *im, struct x86_state *s)
{
    enum { CODE = SEG_CODE | SEG_READ | SEG_ACCESSED };
    const uint32_t data = SEG_WRITE | SEG_ACCESSED | SEG_DB;

    for (unsigned i = 0; i < 6; i++)
        s->seg[i] = im->mode == BOOT_MODE_REAL ? real(i == CS ? im->cs : im->ds)
                                               : flat(im->ds, data);
    if (im->mode == BOOT_MODE_PROTECTED)
        s->seg[CS] = flat(im->cs, CODE | SEG_DB);
    if (im->mode == BOOT_MODE_LONG)
        s->seg[CS] = flat(im->cs, CODE | SEG_L);
}

int boot_state(const struct boot_image *im, struct x86_state *s)
{
    enum { TSS_BUSY = 0xb };

    if (im->mode > BOOT_MODE_LONG || (im->mode != BOOT_MODE_REAL && !im->gdt))
        return -LE_UNSUPPORTED;
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = 0;
    s->gpr[RAX] = im->rax;
    s->gpr[RBX] = im->rbx;
    s->gpr[RSI] = im->rsi;
    s->gpr[RSP] = im->rsp;
    s->rip = im->rip;
    s->rflags = FLAG_1;
    s->cpl = 0;
    s->activity = CPU_RUNNING;
    set_segments(im, s);
    s->idt = (struct x86_table){0, im->mode == BOOT_MODE_REAL ? 0x3ff : 0};
    /* Caches on, as firmware leaves them. */
    s->cr0 &= ~(uint64_t)(CR0_CD | CR0_NW);
    if (im->mode == BOOT_MODE_REAL)
        return 0;
    s->gdt = (struct x86_table){im->gdt, BOOT_DS + 7};
    s->tr = (struct x86_seg){.limit = 0x67, .attr = TSS_BUSY | SEG_P};
    s->cr0 |= CR0_PE;
    if (im->mode == BOOT_MODE_LONG) {
        s->cr3 = im->cr3;
        s->cr4 |= CR4_PAE;
        s->efer |= EFER_LME | EFER_LMA;
        s->cr0 |= CR0_PG;
    }
    return 0;
}
