/*
 * VGA: the window at A0000. Bytes go through the graphics controller, which
 * works on all four planes at once: here one dword, plane p its byte p.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/video/vga.h"

enum { NOWHERE = -1 };

/* Four planes' bits of a colour, each made a byte of all ones. */
static uint32_t expand(unsigned colour)
{
    static const uint32_t of[16] = {
        0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff,
        0x00ffff00, 0x00ffffff, 0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff,
        0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff};

    return of[colour & 15];
}

static uint32_t each(uint8_t byte)
{
    return byte * 0x01010101u;
}

/* The byte that the window shows at off, by the memory map select. */
static int64_t window_address(const struct vga *v, uint64_t off)
{
    static const struct {
        uint32_t base, size;
    } maps[4] = {
        {0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
    unsigned map = v->gr[GR_MISC] >> 2 & 3;

    if (off - maps[map].base >= maps[map].size)
        return NOWHERE;
    off -= maps[map].base;
    if (vbe_on(v))
        off += (uint64_t)v->vbe[VBE_BANK] << 16;
    return (int64_t)off;
}

/* The dword of four planes at address a; NULL: beyond the memory. */
static uint8_t *planes_at(const struct vga *v, uint64_t a)
{
    if (!vbe_on(v))
        a &= VGA_PLANE - 1;
    return a < v->vram_size / 4 ? v->vram + 4 * a : NULL;
}

/* Which planes a byte at address a goes to, or comes from; *a becomes the
   address in each. */
static unsigned write_planes(const struct vga *v, uint64_t *a)
{
    unsigned planes = v->sr[SR_MAP_MASK], low = *a & 3;

    if (v->sr[SR_MEMORY] & SR4_CHAIN4) {
        *a >>= 2;
        return planes & BIT(low);
    }
    if (!(v->sr[SR_MEMORY] & SR4_SEQUENTIAL)) {
        *a >>= 1;
        return planes & (low & 1 ? 0xa : 0x5);
    }
    return planes;
}

static unsigned read_plane(const struct vga *v, uint64_t *a)
{
    unsigned plane = v->gr[GR_READ_MAP], low = *a & 3;

    if (v->sr[SR_MEMORY] & SR4_CHAIN4) {
        *a >>= 2;
        return low;
    }
    if (v->gr[GR_MODE] & GR5_ODD_EVEN) {
        *a >>= 1;
        return (plane & 2) | (low & 1);
    }
    return plane;
}

static uint8_t rotate(const struct vga *v, uint8_t b)
{
    unsigned n = v->gr[GR_ROTATE] & 7;

    return (uint8_t)(b >> n | b << (8 - n));
}

/* The logical function, and the latches where mask has zeros. */
static uint32_t combine(const struct vga *v, uint32_t in, uint32_t mask)
{
    uint32_t latch = load_le32(v->latch);

    switch (v->gr[GR_ROTATE] >> 3 & 3) {
    case 1: in &= latch; break;
    case 2: in |= latch; break;
    case 3: in ^= latch; break;
    default: break;
    }
    return (in & mask) | (latch & ~mask);
}

/* What a byte from the processor becomes, by the write mode. */
static uint32_t written(const struct vga *v, uint8_t b)
{
    uint32_t mask = each(v->gr[GR_BIT_MASK]);
    uint32_t set = expand(v->gr[GR_SET_RESET]);
    uint32_t enable = expand(v->gr[GR_ENABLE_SR]);

    switch (v->gr[GR_MODE] & 3) {
    case 0:
        return combine(v, (each(rotate(v, b)) & ~enable) | (set & enable),
                       mask);
    case 1: return load_le32(v->latch);
    case 2: return combine(v, expand(b), mask);
    default: return combine(v, set, mask & each(rotate(v, b)));
    }
}

static void write_byte(struct vga *v, uint64_t off, uint8_t b)
{
    int64_t at = window_address(v, off);
    uint64_t a = (uint64_t)at;
    uint32_t planes;
    uint8_t *p;

    if (at == NOWHERE)
        return;
    planes = expand(write_planes(v, &a));
    p = planes_at(v, a);
    if (p)
        store_le32(p, (load_le32(p) & ~planes) | (written(v, b) & planes));
}

static uint8_t read_byte(struct vga *v, uint64_t off)
{
    int64_t at = window_address(v, off);
    uint64_t a = (uint64_t)at;
    uint32_t differ;
    unsigned plane;
    uint8_t *p;

    if (at == NOWHERE)
        return 0xff;
    plane = read_plane(v, &a);
    p = planes_at(v, a);
    if (!p)
        return 0xff;
    memcpy(v->latch, p, 4);
    if (!(v->gr[GR_MODE] & GR5_READ_COMPARE))
        return p[plane];
    differ = (load_le32(p) ^ expand(v->gr[GR_COMPARE])) &
             expand(v->gr[GR_DONT_CARE]);
    differ |= differ >> 16;
    return (uint8_t) ~(differ | differ >> 8);
}

static uint64_t window_read(void *dev, uint64_t off, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)read_byte(dev, off + i) << 8 * i;
    return value;
}

static void window_write(void *dev, uint64_t off, uint64_t value,
                         unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        write_byte(dev, off + i, (uint8_t)(value >> 8 * i));
}

const struct region_ops vga_window_ops = {window_read, window_write, 1, 8};
