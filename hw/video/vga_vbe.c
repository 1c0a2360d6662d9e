/* VGA: the Bochs VBE extensions. */
#include "base/bits.h"
#include "hw/video/vga.h"

enum {
    ID_FIRST = 0xb0c0,
    ID_LAST = 0xb0c5,
    WIDTH_MAX = DISPLAY_MAX_WIDTH,
    HEIGHT_MAX = DISPLAY_MAX_HEIGHT,
};

static bool known_depth(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 ||
           bpp == 32;
}

/* Bits that a pixel takes in memory. */
static unsigned pixel_bits(const struct vga *v)
{
    return v->vbe[VBE_BPP] == 15 ? 16 : v->vbe[VBE_BPP];
}

unsigned vbe_pitch(const struct vga *v)
{
    unsigned width = v->vbe[VBE_VIRT_WIDTH];

    return v->vbe[VBE_BPP] == 4 ? width / 8 : width * pixel_bits(v) / 8;
}

/* Rows that fit in the memory. */
static uint64_t rows(const struct vga *v)
{
    uint64_t row = (uint64_t)v->vbe[VBE_VIRT_WIDTH] * pixel_bits(v) / 8;

    return v->vram_size / row;
}

static uint16_t clamp(unsigned value, unsigned least, uint64_t most)
{
    return (uint16_t)MAX(MIN((uint64_t)value, most), least);
}

void vbe_fix(struct vga *v)
{
    uint16_t *r = v->vbe;

    if (!known_depth(r[VBE_BPP]))
        r[VBE_BPP] = 8;
    r[VBE_XRES] = clamp(r[VBE_XRES] & ~7u, 8, WIDTH_MAX);
    r[VBE_VIRT_WIDTH] = clamp(r[VBE_VIRT_WIDTH] & ~7u, r[VBE_XRES], 0xfff8);
    if (!rows(v)) /* such a width cannot be */
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    r[VBE_YRES] = clamp(r[VBE_YRES], 1, MIN(rows(v), HEIGHT_MAX));
    r[VBE_VIRT_HEIGHT] = clamp(0xffff, 1, rows(v));
    r[VBE_X_OFFSET] =
        clamp(r[VBE_X_OFFSET], 0, r[VBE_VIRT_WIDTH] - r[VBE_XRES]);
    r[VBE_Y_OFFSET] =
        clamp(r[VBE_Y_OFFSET], 0, r[VBE_VIRT_HEIGHT] - r[VBE_YRES]);
    r[VBE_BANK] = clamp(r[VBE_BANK], 0, (v->vram_size >> 16) - 1);
}

/* The window at A0000 shows the same memory, 64 KB of it. */
static void open_window(struct vga *v)
{
    v->sr[SR_MAP_MASK] = 0x0f;
    v->sr[SR_MEMORY] |= SR4_SEQUENTIAL;
    v->sr[SR_MEMORY] &= (uint8_t)~SR4_CHAIN4;
    if (v->vbe[VBE_BPP] > 4)
        v->sr[SR_MEMORY] |= SR4_CHAIN4;
    v->gr[GR_MODE] &= (uint8_t) ~(GR5_ODD_EVEN | 3);
    v->gr[GR_MISC] = (v->gr[GR_MISC] & 2) | 1 << 2 | GR6_GRAPHICS;
}

static void enable_write(struct vga *v, uint16_t value)
{
    bool was = vbe_on(v);
    uint16_t *r = v->vbe;

    r[VBE_ENABLE] =
        value & (VBE_ON | VBE_GETCAPS | VBE_DAC8 | VBE_LFB | VBE_KEEP);
    if (!(value & VBE_ON)) {
        r[VBE_BANK] = 0;
        return;
    }
    if (was)
        return;
    r[VBE_VIRT_WIDTH] = r[VBE_XRES];
    r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
    vbe_fix(v);
    open_window(v);
    if (!(value & VBE_KEEP))
        memset(v->vram, 0,
               (size_t)MIN((uint64_t)r[VBE_YRES] * r[VBE_VIRT_WIDTH] *
                               pixel_bits(v) / 8,
                           v->vram_size));
}

static uint16_t capability(const struct vga *v, unsigned reg)
{
    switch (reg) {
    case VBE_XRES: return WIDTH_MAX;
    case VBE_YRES: return HEIGHT_MAX;
    case VBE_BPP: return 32;
    default: return v->vbe[reg];
    }
}

uint16_t vbe_read(struct vga *v, unsigned reg)
{
    if (reg == VBE_MEMORY)
        return (uint16_t)(v->vram_size >> 16);
    if (reg >= VBE_REGS)
        return 0;
    return v->vbe[VBE_ENABLE] & VBE_GETCAPS ? capability(v, reg) : v->vbe[reg];
}

void vbe_write(struct vga *v, unsigned reg, uint16_t value)
{
    switch (reg) {
    case VBE_ID:
        if (value >= ID_FIRST && value <= ID_LAST)
            v->vbe[VBE_ID] = value;
        return;
    case VBE_ENABLE: enable_write(v, value); return;
    case VBE_VIRT_HEIGHT: /* follows from the width */
    case VBE_MEMORY: return;
    default: break;
    }
    if (reg >= VBE_REGS)
        return;
    v->vbe[reg] = value;
    if (vbe_on(v))
        vbe_fix(v);
}
