/* VGA: the registers at 0x3b0 to 0x3df. */
#include "hw/video/vga.h"

#include "base/bits.h"

/* Bits that each register has. */
static const uint8_t sr_bits[VGA_SR] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gr_bits[VGA_GR] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                        0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t ar_bits[VGA_AR] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};

enum {
    CR7_LINE_COMPARE = 1 << 4,
    MISC_BITS = 0xef,
    STATUS_BLANK = 1 << 0,
    STATUS_RETRACE = 1 << 3,
    SWITCH_SENSE = 1 << 4,
};

/* --- CRT controller --- */

static void cr_write(struct vga *v, uint8_t value)
{
    unsigned n = v->cr_index;

    if (n >= VGA_CR)
        return;
    if (n <= CR_OVERFLOW && (v->cr[CR_VSYNC_END] & CR11_PROTECT)) {
        if (n == CR_OVERFLOW)
            v->cr[n] = (uint8_t)((v->cr[n] & ~CR7_LINE_COMPARE) |
                                 (value & CR7_LINE_COMPARE));
        return;
    }
    v->cr[n] = value;
}

/* --- attribute controller --- */

/* One port for index and data, in turn. */
static void ar_write(struct vga *v, uint8_t value)
{
    unsigned n = v->ar_index & 0x1f;

    if (!v->ar_data)
        v->ar_index = value & 0x3f;
    else if (n < VGA_AR)
        v->ar[n] = value & ar_bits[n];
    v->ar_data = !v->ar_data;
}

static uint8_t ar_read(const struct vga *v)
{
    unsigned n = v->ar_index & 0x1f;

    return n < VGA_AR ? v->ar[n] : 0;
}

/* --- colours --- */

static bool dac_wide(const struct vga *v)
{
    return vbe_on(v) && (v->vbe[VBE_ENABLE] & VBE_DAC8);
}

static void dac_step(struct vga *v, uint8_t *index)
{
    if (++v->dac_part == 3) {
        v->dac_part = 0;
        ++*index;
    }
}

static void dac_data_write(struct vga *v, uint8_t value)
{
    v->dac[v->dac_write * 3 + v->dac_part] = dac_wide(v) ? value : value & 0x3f;
    dac_step(v, &v->dac_write);
}

static uint8_t dac_data_read(struct vga *v)
{
    uint8_t value = v->dac[v->dac_read * 3 + v->dac_part];

    dac_step(v, &v->dac_read);
    return value;
}

/* --- ports --- */

static uint8_t status_read(struct vga *v)
{
    bool blank, retrace;

    v->ar_data = false;
    vga_beam(v, &blank, &retrace);
    return (uint8_t)((blank ? STATUS_BLANK : 0) |
                     (retrace ? STATUS_RETRACE : 0));
}

/* The CRTC and its status are at 0x3b4 … or 0x3d4 …; 0xffff: elsewhere. */
static unsigned crtc_port(const struct vga *v, unsigned port)
{
    unsigned base = v->misc & MISC_COLOUR ? 0x3d0 : 0x3b0;

    return port >= base && port < base + 16 ? port - base : 0xffff;
}

static uint8_t crtc_read(struct vga *v, unsigned port)
{
    switch (crtc_port(v, port)) {
    case 0x4: return v->cr_index;
    case 0x5: return v->cr_index < VGA_CR ? v->cr[v->cr_index] : 0;
    case 0xa: return status_read(v);
    default: return 0xff;
    }
}

uint8_t vga_port_read(struct vga *v, unsigned port)
{
    switch (port) {
    case 0x3c0: return v->ar_data ? 0 : v->ar_index;
    case 0x3c1: return ar_read(v);
    case 0x3c2: return SWITCH_SENSE;
    case 0x3c3: return 1; /* the adapter is enabled */
    case 0x3c4: return v->sr_index;
    case 0x3c5: return v->sr_index < VGA_SR ? v->sr[v->sr_index] : 0;
    case 0x3c6: return v->dac_mask;
    case 0x3c7: return v->dac_reading ? 3 : 0;
    case 0x3c8: return v->dac_write;
    case 0x3c9: return dac_data_read(v);
    case 0x3ca: return v->feature;
    case 0x3cc: return v->misc;
    case 0x3ce: return v->gr_index;
    case 0x3cf: return v->gr_index < VGA_GR ? v->gr[v->gr_index] : 0;
    default: return crtc_read(v, port);
    }
}

static void crtc_write(struct vga *v, unsigned port, uint8_t value)
{
    switch (crtc_port(v, port)) {
    case 0x4: v->cr_index = value; break;
    case 0x5: cr_write(v, value); break;
    case 0xa: v->feature = value & 0x10; break;
    default: break;
    }
}

void vga_port_write(struct vga *v, unsigned port, uint8_t value)
{
    switch (port) {
    case 0x3c0: ar_write(v, value); break;
    case 0x3c2: v->misc = value & MISC_BITS; break;
    case 0x3c4: v->sr_index = value & 7; break;
    case 0x3c5:
        if (v->sr_index < VGA_SR)
            v->sr[v->sr_index] = value & sr_bits[v->sr_index];
        break;
    case 0x3c6: v->dac_mask = value; break;
    case 0x3c7:
        v->dac_read = value;
        v->dac_part = 0;
        v->dac_reading = true;
        break;
    case 0x3c8:
        v->dac_write = value;
        v->dac_part = 0;
        v->dac_reading = false;
        break;
    case 0x3c9: dac_data_write(v, value); break;
    case 0x3ce: v->gr_index = value & 15; break;
    case 0x3cf:
        if (v->gr_index < VGA_GR)
            v->gr[v->gr_index] = value & gr_bits[v->gr_index];
        break;
    default: crtc_write(v, port, value);
    }
}

/* --- life --- */

/* Off, at the colour addresses, all memory reachable. */
void vga_regs_reset(struct vga *v)
{
    v->misc = MISC_COLOUR;
    v->feature = 0;
    v->sr_index = v->gr_index = v->cr_index = v->ar_index = 0;
    v->ar_data = false;
    memset(v->sr, 0, sizeof v->sr);
    memset(v->gr, 0, sizeof v->gr);
    memset(v->cr, 0, sizeof v->cr);
    memset(v->ar, 0, sizeof v->ar);
    memset(v->latch, 0, sizeof v->latch);
    memset(v->dac, 0, sizeof v->dac);
    v->dac_mask = 0xff;
    v->dac_read = v->dac_write = v->dac_part = 0;
    v->dac_reading = false;
}

void vga_regs_check(struct vga *v)
{
    for (unsigned i = 0; i < VGA_SR; i++)
        v->sr[i] &= sr_bits[i];
    for (unsigned i = 0; i < VGA_GR; i++)
        v->gr[i] &= gr_bits[i];
    for (unsigned i = 0; i < VGA_AR; i++)
        v->ar[i] &= ar_bits[i];
    v->misc &= MISC_BITS;
    v->sr_index &= 7;
    v->gr_index &= 15;
    v->ar_index &= 0x3f;
}
