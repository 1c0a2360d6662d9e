/* VGA: the adapter on the PCI bus, QEMU's "standard VGA". */
#include "base/bits.h"
#include "hw/video/vga.h"

enum {
    FIRST_PORT = 0x3b0,
    PORTS = 0x30,
    VBE_INDEX_PORT = 0x1ce,
    ROM_MIN = 2048,
    ROM_MAX = 1 << 20,
};

#define VRAM_MIN (1ull << 20)
#define VRAM_MAX (1ull << 28)
#define VRAM_DEF (1ull << 26) /* 4K at 32 bits, with room to spare */

/* --- ports --- */

static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return vga_port_read(dev, FIRST_PORT + (unsigned)off);
}

static void ports_write(void *dev, uint64_t off, uint64_t value,
                        unsigned bytes UNUSED)
{
    vga_port_write(dev, FIRST_PORT + (unsigned)off, (uint8_t)value);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 1};

static uint64_t index_read(void *dev, uint64_t off UNUSED,
                           unsigned bytes UNUSED)
{
    return ((struct vga *)dev)->vbe_index;
}

static void index_write(void *dev, uint64_t off UNUSED, uint64_t value,
                        unsigned bytes UNUSED)
{
    ((struct vga *)dev)->vbe_index = (uint16_t)value;
}

static uint64_t data_read(void *dev, uint64_t off UNUSED, unsigned bytes UNUSED)
{
    return vbe_read(dev, ((struct vga *)dev)->vbe_index);
}

static void data_write(void *dev, uint64_t off UNUSED, uint64_t value,
                       unsigned bytes UNUSED)
{
    vbe_write(dev, ((struct vga *)dev)->vbe_index, (uint16_t)value);
}

static const struct region_ops index_ops = {index_read, index_write, 2, 2};
static const struct region_ops data_ops = {data_read, data_write, 2, 2};

/* --- life --- */

/* Firmware takes an adapter that does not decode I/O for one that is off. The
   window and ports of a VGA are not in base address registers: they are there
   in any case, as the only adapter's. There is no third base address, with the
   registers and an EDID in memory, as some adapters of this name have it: the
   VGA BIOS would read it beyond the 64 KB that a loader like U-Boot, which
   starts it in real mode proper, leaves it. */
static const struct pci_reg vga_pci_regs[] = {
    {PCI_COMMAND, 2, 0, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER, 0},
    PCI_REG_END,
};

static const struct pci_id vga_id = {
    .vendor = 0x1234,
    .device = 0x1111,
    .class_code = 0x030000,
    .revision = 2,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .regs = vga_pci_regs,
};

static void set_regions(struct vga *v)
{
    v->window = (struct region){.name = "VGA window",
                                .size = VGA_WINDOW_SIZE,
                                .ops = &vga_window_ops,
                                .dev = v,
                                .late = true};
    v->ports = (struct region){
        .name = "VGA ports", .size = PORTS, .ops = &ports_ops, .dev = v};
    v->vbe_index_port = (struct region){
        .name = "VBE index", .size = 2, .ops = &index_ops, .dev = v};
    for (unsigned i = 0; i < 2; i++)
        v->vbe_data_port[i] = (struct region){
            .name = "VBE data", .size = 2, .ops = &data_ops, .dev = v};
    v->frame = (struct region){
        .name = "frame buffer", .size = v->vram_size, .ram = v->vram};
}

static void unmap_all(struct vga *v)
{
    space_unmap(&v->window);
    space_unmap(&v->ports);
    space_unmap(&v->vbe_index_port);
    for (unsigned i = 0; i < 2; i++)
        space_unmap(&v->vbe_data_port[i]);
}

/* The VBE data register is a word at 0x1cf, or at 0x1d0: the later ones lie
   above those that reach into them. */
static int map_all(struct vga *v)
{
    struct env *env = v->dev.env;
    int r = space_map(env->mem, VGA_WINDOW, &v->window, 0);

    if (!r)
        r = space_map(env->io, FIRST_PORT, &v->ports, 0);
    if (!r)
        r = space_map(env->io, VBE_INDEX_PORT, &v->vbe_index_port, 0);
    for (unsigned i = 0; !r && i < 2; i++)
        r = space_map(env->io, VBE_INDEX_PORT + 1 + i, &v->vbe_data_port[i],
                      1 + (int)i);
    return r;
}

/* The ROM's bytes, in a piece that a base address register can have. */
static int add_rom(struct vga *v, struct err *e)
{
    v->rom_size = ROM_MIN;
    if (!v->rom.p)
        return 0;
    if (v->rom.n > ROM_MAX)
        return err_set(e, LE_USAGE, "a ROM of a VGA has at most 1 MB");
    while (v->rom_size < v->rom.n)
        v->rom_size *= 2;
    v->rom_image = host_ram_alloc(v->rom_size);
    if (!v->rom_image)
        return err_set(e, LE_NOMEM, "no memory left for a ROM");
    memcpy(v->rom_image, v->rom.p, v->rom.n);
    v->rom_region = (struct region){.name = "VGA ROM",
                                    .size = v->rom_size,
                                    .ram = v->rom_image,
                                    .readonly = true};
    return pci_add_bar(&v->pci, PCI_BAR_ROM, PCI_BAR_MEM32, &v->rom_region);
}

static void vga_detach(struct dev *d)
{
    struct vga *v = container_of(d, struct vga, dev);

    d->env->display = (struct display_source){0};
    unmap_all(v);
    pci_detach(&v->pci);
    if (v->vram)
        host_ram_free(v->vram, v->vram_size);
    if (v->rom_image)
        host_ram_free(v->rom_image, v->rom_size);
}

static int vga_attach(struct dev *d, struct env *env, struct err *e)
{
    struct vga *v = container_of(d, struct vga, dev);
    int r;

    d->env = env;
    if (!is_power_of_two(v->vram_size))
        return err_set(e, LE_USAGE, "%s: vram takes a power of two", d->id);
    v->vram = host_ram_alloc(v->vram_size);
    if (!v->vram)
        return err_set(e, LE_NOMEM, "no memory left for a frame buffer");
    set_regions(v);
    r = pci_attach(&v->pci, d, &vga_id, NULL, -1, e);
    if (!r)
        r = pci_add_bar(&v->pci, 0, PCI_BAR_MEM32 | PCI_BAR_PREFETCH,
                        &v->frame);
    if (!r)
        r = add_rom(v, e);
    if (!r && map_all(v))
        r = err_set(e, LE_NOMEM, "cannot map the VGA");
    if (r) {
        vga_detach(d);
        return r;
    }
    env->display = (struct display_source){
        .mode = vga_mode, .update = vga_update, .text = vga_text, .dev = v};
    return 0;
}

static void vga_reset(struct dev *d, bool cold UNUSED)
{
    struct vga *v = container_of(d, struct vga, dev);

    pci_reset(&v->pci);
    vga_regs_reset(v);
    v->vbe_index = 0;
    memset(v->vbe, 0, sizeof v->vbe);
    v->vbe[VBE_ID] = 0xb0c5;
}

static int vga_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct vga *v = container_of(d, struct vga, dev);

    vga_regs_check(v);
    if (vbe_on(v))
        vbe_fix(v);
    return pci_loaded(&v->pci);
}

static bool vga_memory(struct dev *d, unsigned n, struct span *out)
{
    struct vga *v = container_of(d, struct vga, dev);

    *out = (struct span){v->vram, (size_t)v->vram_size};
    return n == 0;
}

static const struct prop vga_props[] = {
    {"slot", "PCI slot", offsetof(struct vga, pci.slot), PROP_U32, false, 0, 0,
     31},
    {"vram", "bytes of video memory, a power of two",
     offsetof(struct vga, vram_size), PROP_U64, false, VRAM_DEF, VRAM_MIN,
     VRAM_MAX},
    {"rom", "video BIOS", offsetof(struct vga, rom), PROP_BYTES, false, 0, 0,
     0},
    PROP_END,
};

static const struct field vga_state[] = {
    FIELD_SUB(struct vga, pci, struct pci_dev, pci_fields),
    FIELD8(struct vga, misc),
    FIELD8(struct vga, feature),
    FIELD8(struct vga, sr_index),
    FIELD8(struct vga, sr),
    FIELD8(struct vga, gr_index),
    FIELD8(struct vga, gr),
    FIELD8(struct vga, cr_index),
    FIELD8(struct vga, cr),
    FIELD8(struct vga, ar_index),
    FIELD8(struct vga, ar),
    FIELDB(struct vga, ar_data),
    FIELD8(struct vga, latch),
    FIELD_RAW(struct vga, dac),
    FIELD8(struct vga, dac_mask),
    FIELD8(struct vga, dac_read),
    FIELD8(struct vga, dac_write),
    FIELD_MAX(struct vga, dac_part, 8, 2),
    FIELDB(struct vga, dac_reading),
    FIELD16(struct vga, vbe_index),
    FIELD16(struct vga, vbe),
    FIELD_END,
};

extern const struct dev_class vga_class;
const struct dev_class vga_class = {
    .name = "vga",
    .summary = "VGA with Bochs VBE",
    .spec = "IBM PS/2 technical reference; QEMU, docs/specs/standard-vga",
    .size = sizeof(struct vga),
    .props = vga_props,
    .state = vga_state,
    .version = 1,
    .attach = vga_attach,
    .reset = vga_reset,
    .loaded = vga_loaded,
    .detach = vga_detach,
    .memory = vga_memory,
};
