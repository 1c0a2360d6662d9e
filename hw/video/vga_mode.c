/* VGA: what the registers mean for the screen. */
#include "base/bits.h"
#include "hw/video/vga.h"

enum {
    /* Nothing sensible programmed: as after power-on with a BIOS. */
    BLANK_WIDTH = 640,
    BLANK_HEIGHT = 480,
};

/* A count whose higher bits are in the overflow register. */
static unsigned vertical(const struct vga *v, unsigned reg, unsigned bit8,
                         unsigned bit9)
{
    unsigned over = v->cr[CR_OVERFLOW];

    return v->cr[reg] | (over >> bit8 & 1) << 8 | (over >> bit9 & 1) << 9;
}

static unsigned line_compare(const struct vga *v)
{
    return v->cr[CR_LINE_COMPARE] | (v->cr[CR_OVERFLOW] >> 4 & 1u) << 8 |
           (v->cr[CR_MAX_SCAN] >> 6 & 1u) << 9;
}

/* Scan lines of a character cell, without doubling. */
static unsigned cell_lines(const struct vga *v)
{
    return (v->cr[CR_MAX_SCAN] & 31u) + 1;
}

/* Lines are shown twice: the counter of the cell's lines is slowed down, or
   that of all lines. */
static bool cell_doubled(const struct vga *v)
{
    return v->cr[CR_MAX_SCAN] & CR9_DOUBLE_SCAN;
}

static bool all_doubled(const struct vga *v)
{
    return v->cr[CR_MODE] & CR17_DOUBLE;
}

static bool is_off(const struct vga *v)
{
    return !(v->ar_index & AR_INDEX_ON) || (v->sr[SR_CLOCKING] & SR1_OFF) ||
           v->sr[SR_RESET] != 3 || !(v->cr[CR_MODE] & CR17_RUN);
}

static bool is_text(const struct vga *v)
{
    return !(v->gr[GR_MISC] & GR6_GRAPHICS);
}

static unsigned dots(const struct vga *v)
{
    unsigned n = !is_text(v) || (v->sr[SR_CLOCKING] & SR1_DOTS8) ? 8 : 9;

    return v->sr[SR_CLOCKING] & SR1_HALF_CLOCK ? 2 * n : n;
}

static void text_mode(const struct vga *v, struct display_mode *m)
{
    unsigned cell = cell_lines(v)
                    << (cell_doubled(v) + (unsigned)all_doubled(v));
    unsigned rows = (m->height + cell - 1) / cell;

    if (rows > DISPLAY_MAX_ROWS) /* used for pictures, not for text */
        return;
    m->kind = DISPLAY_TEXT;
    m->cols = v->cr[CR_HDISP] + 1u;
    m->rows = rows;
    m->cell_width = dots(v);
    m->cell_height = cell;
}

void vga_mode(void *dev, struct display_mode *out)
{
    const struct vga *v = dev;

    *out = (struct display_mode){.kind = DISPLAY_GRAPHICS};
    if (vbe_on(v)) {
        out->width = v->vbe[VBE_XRES];
        out->height = v->vbe[VBE_YRES];
    } else {
        out->width = (v->cr[CR_HDISP] + 1u) * dots(v);
        out->height = (vertical(v, CR_VDISP_END, 1, 6) + 1) << all_doubled(v);
        if (is_text(v))
            text_mode(v, out);
    }
    if (vbe_on(v) ? !(v->ar_index & AR_INDEX_ON) : is_off(v)) {
        out->kind = DISPLAY_BLANK;
        out->cols = out->rows = out->cell_width = out->cell_height = 0;
        if (!vbe_on(v) && (!v->cr[CR_HDISP] || !v->cr[CR_VDISP_END])) {
            out->width = BLANK_WIDTH;
            out->height = BLANK_HEIGHT;
        }
    }
}

/* --- addresses --- */

struct vga_line vga_line(const struct vga *v, unsigned y)
{
    struct vga_line l = {
        .address = (uint32_t)(v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW]) +
                   (v->cr[CR_PRESET] >> 5 & 3),
        .scan = v->cr[CR_PRESET] & 31,
        .pan = v->ar[AR_PAN],
    };
    unsigned split = line_compare(v) + 1;

    y >>= all_doubled(v);
    if (y >= split) {
        y -= split;
        l.address = l.scan = 0;
        if (v->ar[AR_MODE] & AR10_PAN_SPLIT)
            l.pan = 0;
        else
            l.address = v->cr[CR_PRESET] >> 5 & 3;
    }
    l.scan += y >> cell_doubled(v);
    l.address += l.scan / cell_lines(v) * v->cr[CR_OFFSET] * 2;
    l.scan %= cell_lines(v);
    return l;
}

/* With row scan bits in the place of address bits, where the CGA and the
   Hercules had their banks. Only the byte in the planes counts: words and
   dwords were closed up. */
const uint8_t *vga_group(const struct vga *v, const struct vga_line *l,
                         unsigned n)
{
    bool dword = v->cr[CR_UNDERLINE] & 0x40;
    unsigned shift = dword ? 2 : !(v->cr[CR_MODE] & CR17_BYTE);
    uint32_t a = l->address + n;

    if (!(v->cr[CR_MODE] & CR17_ROW0))
        a = (a & ~BIT(13 - shift)) | (l->scan & 1) << (13 - shift);
    if (!(v->cr[CR_MODE] & CR17_ROW1))
        a = (a & ~BIT(14 - shift)) | (l->scan >> 1 & 1) << (14 - shift);
    return v->vram + 4 * (a & (VGA_PLANE - 1));
}

/* --- text --- */

struct display_cell vga_cell(const struct vga *v, const uint8_t *group)
{
    bool blink = v->ar[AR_MODE] & AR10_BLINK;
    struct display_cell c = {.code = group[0], .attr = group[1]};

    c.fg = c.attr & 15;
    c.bg = c.attr >> 4 & (blink ? 7 : 15);
    if (blink && (c.attr & 0x80))
        c.flags |= DISPLAY_CELL_BLINK;
    if ((c.attr & 7) == 1 && (v->cr[CR_UNDERLINE] & 31u) < cell_lines(v))
        c.flags |= DISPLAY_CELL_UNDERLINE;
    return c;
}

bool vga_cursor(const struct vga *v, uint16_t *address)
{
    unsigned first = v->cr[CR_CURSOR_START] & 31u,
             last = v->cr[CR_CURSOR_END] & 31u;

    *address = (uint16_t)((v->cr[CR_CURSOR_HIGH] << 8 | v->cr[CR_CURSOR_LOW]) +
                          (v->cr[CR_CURSOR_END] >> 5 & 3));
    return !(v->cr[CR_CURSOR_START] & 0x20) && first <= last &&
           first < cell_lines(v);
}

unsigned vga_text(void *dev, struct display_cell *cells, unsigned max,
                  struct display_cursor *cursor)
{
    const struct vga *v = dev;
    struct display_mode m;
    uint16_t at;
    bool seen = vga_cursor(v, &at);

    space_settle(v->dev.env->mem);
    if (cursor)
        *cursor = (struct display_cursor){
            .first = v->cr[CR_CURSOR_START] & 31,
            .last =
                (uint8_t)MIN(v->cr[CR_CURSOR_END] & 31u, cell_lines(v) - 1)};
    vga_mode(dev, &m);
    if (m.kind != DISPLAY_TEXT)
        return 0;
    for (unsigned row = 0; row < m.rows; row++) {
        struct vga_line l = vga_line(v, row * m.cell_height);

        for (unsigned col = 0; col < m.cols; col++) {
            if (row * m.cols + col < max)
                cells[row * m.cols + col] = vga_cell(v, vga_group(v, &l, col));
            if (cursor && seen && (uint16_t)(l.address + col) == at) {
                cursor->on = true;
                cursor->col = col;
                cursor->row = row;
            }
        }
    }
    return m.cols * m.rows;
}

/* --- the beam --- */

/* ns that a line takes, as programmed; never so little that a frame is over
   before a guest has looked twice. */
static uint64_t line_time(const struct vga *v)
{
    static const uint32_t khz[4] = {25175, 28322, 40000, 65000};
    unsigned n = (v->cr[0] + 5u) * dots(v);

    return MAX(n * 1000000ull / khz[v->misc >> 2 & 3], 5000);
}

void vga_beam(const struct vga *v, bool *blank, bool *retrace)
{
    unsigned total = vertical(v, 6, 0, 5) + 2;
    unsigned shown = vertical(v, CR_VDISP_END, 1, 6) + 1;
    unsigned start = vertical(v, CR_VSYNC_START, 2, 7);
    unsigned n = ((v->cr[CR_VSYNC_END] - start - 1) & 15) + 1;
    uint64_t line = line_time(v), now, y, x;

    total = MAX(total, 100);
    shown = MIN(shown, total - 20);
    start = MIN(MAX(start, shown), total - 20);
    now = env_now(v->dev.env) % (total * line);
    y = now / line;
    x = now % line;
    *retrace = y >= start && y < start + n;
    *blank = y >= shown || x * (v->cr[0] + 5u) >= (v->cr[CR_HDISP] + 1u) * line;
}
