/*
 * VGA with Bochs VBE extensions, as QEMU's standard adapter (PCI 1234:1111)
 * has it. Facts: IBM PS/2 Hardware Interface Technical Reference, "Video
 * Subsystem"; QEMU, docs/specs/standard-vga; Bochs, VBE DISPI interface.
 *
 * Parts: vga.c registers, vga_mem.c the window at A0000, vga_vbe.c the
 * extensions, vga_mode.c what the registers mean for the screen, vga_draw.c
 * pictures, vga_pci.c the adapter. For these files only; machine lock held.
 *
 * Memory: the four planes lie interleaved, byte p of the dword at 4 * a is
 * plane p at address a. So the memory that chain-4 and the linear modes see
 * byte after byte is at the same place as what the planes hold; and what
 * odd/even addressing leaves unused in each plane (every other byte) is closed
 * up, for the processor and for the screen alike.
 */
#ifndef HW_VIDEO_VGA_H
#define HW_VIDEO_VGA_H

#include "base/libc.h"
#include "lodge/pci.h"

enum {
    VGA_WINDOW = 0xa0000,
    VGA_WINDOW_SIZE = 0x20000,
    VGA_PLANE = 0x10000, /* bytes in each */

    VBE_REGS = 11,
    VGA_CR = 0x19,
    VGA_SR = 5,
    VGA_GR = 9,
    VGA_AR = 0x15,
};

enum { /* VBE DISPI registers */
       VBE_ID,
       VBE_XRES,
       VBE_YRES,
       VBE_BPP,
       VBE_ENABLE,
       VBE_BANK,
       VBE_VIRT_WIDTH,
       VBE_VIRT_HEIGHT,
       VBE_X_OFFSET,
       VBE_Y_OFFSET,
       VBE_MEMORY,
};

enum { /* VBE_ENABLE */
       VBE_ON = 1 << 0,
       VBE_GETCAPS = 1 << 1,
       VBE_DAC8 = 1 << 5,
       VBE_LFB = 1 << 6,
       VBE_KEEP = 1 << 7, /* memory is not cleared */
};

enum { /* registers by their indices, and bits of them */
       SR_RESET = 0,
       SR_CLOCKING = 1,
       SR_MAP_MASK = 2,
       SR_FONTS = 3,
       SR_MEMORY = 4,
       SR1_DOTS8 = 1 << 0,
       SR1_HALF_CLOCK = 1 << 3,
       SR1_OFF = 1 << 5,
       SR4_SEQUENTIAL = 1 << 2,
       SR4_CHAIN4 = 1 << 3,

       GR_SET_RESET = 0,
       GR_ENABLE_SR = 1,
       GR_COMPARE = 2,
       GR_ROTATE = 3,
       GR_READ_MAP = 4,
       GR_MODE = 5,
       GR_MISC = 6,
       GR_DONT_CARE = 7,
       GR_BIT_MASK = 8,
       GR5_READ_COMPARE = 1 << 3,
       GR5_ODD_EVEN = 1 << 4,
       GR5_SHIFT_CGA = 1 << 5,
       GR5_SHIFT_256 = 1 << 6,
       GR6_GRAPHICS = 1 << 0,

       CR_HDISP = 1,
       CR_OVERFLOW = 7,
       CR_PRESET = 8,
       CR_MAX_SCAN = 9,
       CR_CURSOR_START = 0xa,
       CR_CURSOR_END = 0xb,
       CR_START_HIGH = 0xc,
       CR_START_LOW = 0xd,
       CR_CURSOR_HIGH = 0xe,
       CR_CURSOR_LOW = 0xf,
       CR_VSYNC_START = 0x10,
       CR_VSYNC_END = 0x11,
       CR_VDISP_END = 0x12,
       CR_OFFSET = 0x13,
       CR_UNDERLINE = 0x14,
       CR_MODE = 0x17,
       CR_LINE_COMPARE = 0x18,
       CR9_DOUBLE_SCAN = 1 << 7,
       CR11_PROTECT = 1 << 7,
       CR17_ROW0 = 1 << 0, /* 0: row scan bit 0 is address bit 13 */
       CR17_ROW1 = 1 << 1, /* 0: row scan bit 1 is address bit 14 */
       CR17_DOUBLE = 1 << 2,
       CR17_BYTE = 1 << 6,
       CR17_RUN = 1 << 7,

       AR_MODE = 0x10,
       AR_PLANES = 0x12,
       AR_PAN = 0x13,
       AR_COLOUR = 0x14,
       AR10_LINE_GRAPHICS = 1 << 2,
       AR10_BLINK = 1 << 3,
       AR10_PAN_SPLIT = 1 << 5, /* panning ends at the split */
       AR10_PALETTE = 1 << 7,
       AR_INDEX_ON = 1 << 5,

       MISC_COLOUR = 1 << 0,
};

struct vga {
    struct dev dev;
    struct pci_dev pci;
    struct rom_bytes rom; /* properties */
    uint64_t vram_size;

    uint8_t *vram, *rom_image;
    size_t rom_size;
    struct region window, ports, vbe_index_port, vbe_data_port[2];
    struct region frame, rom_region;

    uint8_t misc, feature;
    uint8_t sr_index, sr[VGA_SR];
    uint8_t gr_index, gr[VGA_GR];
    uint8_t cr_index, cr[VGA_CR];
    uint8_t ar_index, ar[VGA_AR];
    bool ar_data; /* the next write to 0x3c0 is data */
    uint8_t latch[4];

    uint8_t dac[768];
    uint8_t dac_mask, dac_read, dac_write, dac_part;
    bool dac_reading;

    uint16_t vbe_index, vbe[VBE_REGS];

    uint32_t line[DISPLAY_MAX_WIDTH + 64]; /* a row being drawn */
};

/* --- vga.c --- */
/* Ports 0x3b0 to 0x3df. */
uint8_t vga_port_read(struct vga *v, unsigned port);
void vga_port_write(struct vga *v, unsigned port, uint8_t value);
void vga_regs_reset(struct vga *v);
/* After a snapshot: no register holds a bit it does not have. */
void vga_regs_check(struct vga *v);

/* --- vga_mem.c --- */
extern const struct region_ops vga_window_ops;

/* --- vga_vbe.c --- */
uint16_t vbe_read(struct vga *v, unsigned reg);
void vbe_write(struct vga *v, unsigned reg, uint16_t value);
/* Brings the registers to values that the memory allows. */
void vbe_fix(struct vga *v);
static inline bool vbe_on(const struct vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ON;
}
/* Bytes from a row to the next; in 4-bit modes, dwords of four planes. */
unsigned vbe_pitch(const struct vga *v);

/* --- vga_mode.c --- */
/* What a scan line shows: the first address, as the CRTC counts, the scan line
   within the character cell, and the register that shifts it to the left. */
struct vga_line {
    uint32_t address, scan, pan;
};
void vga_mode(void *dev, struct display_mode *out);
struct vga_line vga_line(const struct vga *v, unsigned y);
/* Where in memory a line's group `n` of four planes is, as a dword. */
const uint8_t *vga_group(const struct vga *v, const struct vga_line *l,
                         unsigned n);
unsigned vga_text(void *dev, struct display_cell *cells, unsigned max,
                  struct display_cursor *cursor);
struct display_cell vga_cell(const struct vga *v, const uint8_t *group);
/* Its address, if there is one. */
bool vga_cursor(const struct vga *v, uint16_t *address);
/* Of the line beam at this time: blank, and in vertical retrace. */
void vga_beam(const struct vga *v, bool *blank, bool *retrace);

/* --- vga_draw.c --- */
int vga_update(void *dev, struct display_surface *s, unsigned y, unsigned h,
               struct display_rect *rects, unsigned max);

#endif
