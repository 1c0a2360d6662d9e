/*
 * VGA: pictures. A row is drawn into a buffer and compared with what the
 * viewer's surface has: that finds what changed, whoever wrote it and however,
 * for any number of viewers, and costs nothing while nobody looks.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/video/vga.h"

enum {
    /* Frames of 70 Hz: the cursor blinks every 16, characters every 32. */
    CURSOR_NS = 8 * 14285714,
    JOIN_ROWS = 16, /* rectangles that are nearer become one */
};

struct picture {
    struct vga *v;
    struct display_mode mode;
    uint32_t colour[256]; /* of the DAC */
    uint32_t attr[16];    /* of four planes' values */
    bool cursor_on;       /* of what blinks */
    bool chars_on;
    uint16_t cursor;
};

/* --- colours --- */

static uint32_t dac_colour(const struct vga *v, unsigned n)
{
    const uint8_t *c = v->dac + 3 * (n & v->dac_mask);

    if (vbe_on(v) && (v->vbe[VBE_ENABLE] & VBE_DAC8))
        return (uint32_t)c[0] << 16 | (uint32_t)c[1] << 8 | c[2];
    return (uint32_t)(c[0] << 2 | c[0] >> 4) << 16 |
           (uint32_t)(c[1] << 2 | c[1] >> 4) << 8 |
           (uint32_t)(c[2] << 2 | c[2] >> 4);
}

/* Four planes' bits through the palette: to six bits, to eight. */
static unsigned attr_index(const struct vga *v, unsigned n)
{
    unsigned i = v->ar[n & v->ar[AR_PLANES] & 15];
    unsigned high = v->ar[AR_COLOUR];

    if (v->ar[AR_MODE] & AR10_PALETTE)
        i = (i & 15) | (high & 3) << 4;
    return (i & 0x3f) | (high & 12) << 4;
}

static void begin(struct picture *p, struct vga *v)
{
    uint64_t phase = env_now(v->dev.env) / CURSOR_NS;

    p->v = v;
    vga_mode(v, &p->mode);
    for (unsigned i = 0; i < 256; i++)
        p->colour[i] = dac_colour(v, i);
    for (unsigned i = 0; i < 16; i++)
        p->attr[i] = p->colour[attr_index(v, i)];
    p->cursor_on = vga_cursor(v, &p->cursor) && !(phase & 1);
    p->chars_on = !(phase & 2);
}

static uint32_t *put(uint32_t *to, uint32_t pixel, unsigned n)
{
    while (n--)
        *to++ = pixel;
    return to;
}

/* --- text --- */

/* Fonts are in plane 2; three bits choose one for each of two sets. */
static const uint8_t *font(const struct vga *v, bool second)
{
    unsigned sr = v->sr[SR_FONTS];
    unsigned n =
        second ? (sr >> 2 & 3) | (sr >> 3 & 4) : (sr & 3) | (sr >> 2 & 4);

    return v->vram + 4 * ((n & 3) * 0x4000u + (n >> 2) * 0x2000u) + 2;
}

static bool in_cursor(const struct picture *p, uint32_t address, unsigned scan)
{
    const struct vga *v = p->v;

    return p->cursor_on && (uint16_t)address == p->cursor &&
           scan >= (v->cr[CR_CURSOR_START] & 31u) &&
           scan <= (v->cr[CR_CURSOR_END] & 31u);
}

/* Nine dots of a cell's scan line, the first in bit 8. */
static unsigned cell_dots(const struct picture *p, struct display_cell c,
                          unsigned scan)
{
    const struct vga *v = p->v;
    const uint8_t *f = font(v, c.attr & 8);
    unsigned bits = f[4 * (c.code * 32u + scan)] * 2u;

    if ((v->ar[AR_MODE] & AR10_LINE_GRAPHICS) && (c.code & 0xe0) == 0xc0)
        bits |= bits >> 1 & 1;
    if ((c.flags & DISPLAY_CELL_UNDERLINE) &&
        scan == (v->cr[CR_UNDERLINE] & 31u))
        bits = 0x1ff;
    if ((c.flags & DISPLAY_CELL_BLINK) && !p->chars_on)
        bits = 0;
    return bits;
}

static uint32_t *draw_text(struct picture *p, const struct vga_line *l)
{
    struct vga *v = p->v;
    unsigned twice = v->sr[SR_CLOCKING] & SR1_HALF_CLOCK ? 2 : 1;
    bool nine = !(v->sr[SR_CLOCKING] & SR1_DOTS8);
    unsigned pan = nine ? (l->pan + 1) % 9u : l->pan & 7;
    uint32_t *to = v->line;

    for (unsigned col = 0; col <= v->cr[CR_HDISP] + 1u; col++) {
        struct display_cell c = vga_cell(v, vga_group(v, l, col));
        unsigned bits = cell_dots(p, c, l->scan);

        if (in_cursor(p, l->address + col, l->scan))
            bits = 0x1ff;
        for (unsigned i = 0; i < 8u + nine; i++)
            to = put(to, p->attr[bits >> (8 - i) & 1 ? c.fg : c.bg], twice);
    }
    return v->line + pan * twice;
}

/* --- graphics --- */

/* Eight pixels of four planes. */
static uint32_t *draw_planar(const struct picture *p, uint32_t *to,
                             const uint8_t *g, unsigned n)
{
    for (int i = 7; i >= 0; i--)
        to = put(to,
                 p->attr[(g[0] >> i & 1) | (g[1] >> i & 1) << 1 |
                         (g[2] >> i & 1) << 2 | (g[3] >> i & 1) << 3],
                 n);
    return to;
}

/* Eight pixels of two bits, in planes 0 and 1, more bits in 2 and 3. */
static uint32_t *draw_cga(const struct picture *p, uint32_t *to,
                          const uint8_t *g, unsigned n)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned byte = i / 4, at = 6 - 2 * (i & 3);

        to = put(
            to, p->attr[(g[byte] >> at & 3) | (g[byte + 2] >> at & 3) << 2], n);
    }
    return to;
}

/* Four pixels of eight bits, each two dots wide. */
static uint32_t *draw_256(const struct picture *p, uint32_t *to,
                          const uint8_t *g, unsigned n)
{
    for (unsigned i = 0; i < 4; i++)
        to = put(to, p->colour[g[i]], 2 * n);
    return to;
}

static uint32_t *draw_graphics(struct picture *p, const struct vga_line *l)
{
    struct vga *v = p->v;
    unsigned n = v->sr[SR_CLOCKING] & SR1_HALF_CLOCK ? 2 : 1;
    unsigned mode = v->gr[GR_MODE], pan = l->pan & 7;
    uint32_t *(*draw)(const struct picture *, uint32_t *, const uint8_t *,
                      unsigned) = draw_planar;
    uint32_t *to = v->line;

    if (mode & GR5_SHIFT_256) {
        draw = draw_256;
        pan &= ~1u;
    } else if (mode & GR5_SHIFT_CGA) {
        draw = draw_cga;
    }
    for (unsigned i = 0; i <= v->cr[CR_HDISP] + 1u; i++)
        to = draw(p, to, vga_group(v, l, i), n);
    return v->line + pan * n;
}

/* --- linear modes --- */

static uint32_t wide(unsigned c, unsigned bits)
{
    return bits == 5 ? c << 3 | c >> 2 : c << 2 | c >> 4;
}

static uint32_t pixel16(unsigned c, unsigned green)
{
    return wide(c >> (5 + green) & 31, 5) << 16 |
           wide(c >> 5 & ((1u << green) - 1), green) << 8 | wide(c & 31, 5);
}

static void draw_linear(const struct picture *p, const uint8_t *from,
                        unsigned bpp, unsigned n)
{
    uint32_t *to = p->v->line;

    switch (bpp) {
    case 8:
        for (unsigned i = 0; i < n; i++)
            to[i] = p->colour[from[i]];
        break;
    case 15:
        for (unsigned i = 0; i < n; i++)
            to[i] = pixel16(load_le16(from + 2 * i), 5);
        break;
    case 16:
        for (unsigned i = 0; i < n; i++)
            to[i] = pixel16(load_le16(from + 2 * i), 6);
        break;
    case 24:
        for (unsigned i = 0; i < n; i++)
            to[i] = from[3 * i] | (uint32_t)from[3 * i + 1] << 8 |
                    (uint32_t)from[3 * i + 2] << 16;
        break;
    default:
        for (unsigned i = 0; i < n; i++)
            to[i] = load_le32(from + 4 * i) & 0xffffff;
        break;
    }
}

/* vbe_fix() made sure that all of it is in the memory. */
static uint32_t *draw_vbe(struct picture *p, unsigned y)
{
    struct vga *v = p->v;
    const uint16_t *r = v->vbe;
    unsigned row = (y + r[VBE_Y_OFFSET]), x = r[VBE_X_OFFSET];
    uint32_t *to = v->line;
    const uint8_t *from;

    if (r[VBE_BPP] == 4) {
        from = v->vram + 4 * ((size_t)row * vbe_pitch(v) + x / 8);
        for (unsigned i = 0; i < r[VBE_XRES] / 8u; i++)
            to = draw_planar(p, to, from + 4 * i, 1);
        return v->line;
    }
    from = v->vram + (size_t)row * vbe_pitch(v) + x * ((r[VBE_BPP] + 7u) / 8);
    draw_linear(p, from, r[VBE_BPP], r[VBE_XRES]);
    return v->line;
}

/* --- what changed --- */

struct changes {
    struct display_rect *rects;
    unsigned n, max;
};

static void join(struct display_rect *r, unsigned x, unsigned end, unsigned y)
{
    unsigned right = MAX(r->x + r->w, end);

    r->x = MIN(r->x, x);
    r->w = right - r->x;
    r->h = y + 1 - r->y;
}

/* Row y changed from x up to end. */
static void changed(struct changes *c, unsigned x, unsigned end, unsigned y)
{
    struct display_rect *last = c->n ? &c->rects[c->n - 1] : NULL;

    if (last && (y - (last->y + last->h) < JOIN_ROWS || c->n == c->max))
        join(last, x, end, y);
    else
        c->rects[c->n++] = (struct display_rect){x, y, end - x, 1};
}

/* Brings a row of the surface up to date. */
static void show(const uint32_t *line, uint8_t *row, unsigned width, bool all,
                 struct changes *c, unsigned y)
{
    unsigned first = 0, end = width;

    if (!all) {
        if (!memcmp(row, line, width * 4))
            return;
        while (load_le32(row + 4 * first) == line[first])
            first++;
        while (load_le32(row + 4 * (end - 1)) == line[end - 1])
            end--;
    }
    for (unsigned x = first; x < end; x++)
        store_le32(row + 4 * x, line[x]);
    changed(c, first, end, y);
}

static bool same_line(const struct vga_line *a, const struct vga_line *b)
{
    return a->address == b->address && a->scan == b->scan && a->pan == b->pan;
}

/* The pixels of row y; *prev is what the one before showed. */
static uint32_t *draw_row(struct picture *p, unsigned y, struct vga_line *prev,
                          uint32_t *drawn)
{
    struct vga *v = p->v;
    struct vga_line l;

    if (p->mode.kind == DISPLAY_BLANK) {
        memset(v->line, 0, p->mode.width * sizeof v->line[0]);
        return v->line;
    }
    if (vbe_on(v))
        return draw_vbe(p, y);
    l = vga_line(v, y);
    if (drawn && same_line(&l, prev))
        return drawn;
    *prev = l;
    return v->gr[GR_MISC] & GR6_GRAPHICS ? draw_graphics(p, &l)
                                         : draw_text(p, &l);
}

int vga_update(void *dev, struct display_surface *s, unsigned y, unsigned h,
               struct display_rect *rects, unsigned max)
{
    struct changes c = {.rects = rects, .max = max};
    struct picture p;
    struct vga_line prev = {0};
    uint32_t *row = NULL;
    unsigned end;

    space_settle(((struct vga *)dev)->dev.env->mem);
    begin(&p, dev);
    if (s->width != p.mode.width || s->height != p.mode.height)
        return DISPLAY_STALE;
    end = MIN(h, s->height - MIN(y, s->height)) + y;
    for (; y < end; y++) {
        row = draw_row(&p, y, &prev, row);
        show(row, s->pixels + y * s->stride, s->width, !s->seen, &c, y);
    }
    if (end >= s->height)
        s->seen = 1;
    return (int)c.n;
}
