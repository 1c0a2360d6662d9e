/*
 * VGA: pictures of every kind of mode, worked out here pixel by pixel from
 * what was written, and the graphics controller against the IBM technical
 * reference. The register values are those of IBM's video BIOS.
 */
#include "board.h"

#include "base/bits.h"

extern const struct dev_class i440fx_class, vga_class;

enum { RECTS = 8, VRAM = 4 << 20, MAX_W = 1280, MAX_H = 1024 };

static struct board *b;
static struct dev *bridge, *vga;
static uint32_t pixels[MAX_W * MAX_H];
static struct display_surface surface;
static struct display_rect rects[RECTS];

static int setup(void **state)
{
    (void)state;
    b = board_new();
    bridge = board_add(b, &i440fx_class, "bridge");
    vga = board_make(b, &vga_class, "vga");
    *(uint64_t *)board_prop(vga, "vram") = VRAM;
    board_attach(b, vga);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_remove(vga);
    board_remove(bridge);
    board_free(b);
    return 0;
}

/* --- programming it --- */

struct mode {
    uint8_t misc, sr[5], cr[25], gr[9], ar[21];
};

#define EGA_COLOURS                                                            \
    0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define PLAIN 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

static const struct mode text80 = {
    0x67,
    {3, 0, 3, 0, 2},
    {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0,    0x4f, 0x0d, 0x0e, 0,
     0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff},
    {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff},
    {EGA_COLOURS, 0x0c, 0, 0x0f, 8, 0}};
static const struct mode cga320 = {
    0x63,
    {3, 9, 3, 0, 2},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,    0xc1, 0,    0,   0,
     0,    0,    0,    0x9c, 0x8e, 0x8f, 0x14, 0,    0x96, 0xb9, 0xa2, 0xff},
    {0, 0, 0, 0, 0, 0x30, 0x0f, 0x0f, 0xff},
    {PLAIN, 1, 0, 3, 0, 0}};
static const struct mode cga640 = {
    0x63,
    {3, 1, 1, 0, 6},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,    0xc1, 0,    0,   0,
     0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0,    0x96, 0xb9, 0xc2, 0xff},
    {0, 0, 0, 0, 0, 0, 0x0d, 0x0f, 0xff},
    {PLAIN, 1, 0, 1, 0, 0}};
static const struct mode ega320 = {
    0x63,
    {3, 9, 0x0f, 0, 6},
    {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80, 0xbf, 0x1f, 0,    0xc0, 0,    0,   0,
     0,    0,    0,    0x9c, 0x8e, 0x8f, 0x14, 0,    0x96, 0xb9, 0xe3, 0xff},
    {0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff},
    {PLAIN, 1, 0, 0x0f, 0, 0}};
static const struct mode vga640 = {
    0xe3,
    {3, 1, 0x0f, 0, 6},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0,    0x40, 0,    0,   0,
     0,    0,    0,    0xea, 0x8c, 0xdf, 0x28, 0,    0xe7, 0x04, 0xe3, 0xff},
    {0, 0, 0, 0, 0, 0, 5, 0x0f, 0xff},
    {EGA_COLOURS, 1, 0, 0x0f, 0, 0}};
static const struct mode vga256 = {
    0x63,
    {3, 1, 0x0f, 0, 0x0e},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0,    0x41, 0,    0,   0,
     0,    0,    0,    0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff},
    {0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff},
    {PLAIN, 0x41, 0, 0x0f, 0, 0}};
static const struct mode mode_x = {
    0xe3,
    {3, 1, 0x0f, 0, 6},
    {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0d, 0x3e, 0,    0x41, 0,    0,   0,
     0,    0,    0,    0xea, 0xac, 0xdf, 0x28, 0,    0xe7, 0x06, 0xe3, 0xff},
    {0, 0, 0, 0, 0, 0x40, 5, 0x0f, 0xff},
    {PLAIN, 0x41, 0, 0x0f, 0, 0}};

static void sr(unsigned n, unsigned v)
{
    out(b, 0x3c4, n | v << 8, 2);
}

static void gr(unsigned n, unsigned v)
{
    out(b, 0x3ce, n | v << 8, 2);
}

static void cr(unsigned n, unsigned v)
{
    out(b, 0x3d4, n | v << 8, 2);
}

static void ar(unsigned n, unsigned v)
{
    in(b, 0x3da, 1); /* the next write is an index */
    out(b, 0x3c0, n | 0x20, 1);
    out(b, 0x3c0, v, 1);
}

static uint32_t dac6(unsigned r, unsigned g, unsigned bl)
{
    return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 |
           (bl << 2 | bl >> 4);
}

/* Colour n of the palette that set_mode() loads. */
static uint32_t colour(unsigned n)
{
    return dac6(n & 63, n * 3 & 63, (n * 5 + 1) & 63);
}

static void set_mode(const struct mode *m)
{
    out(b, 0x3c2, m->misc, 1);
    for (unsigned i = 0; i < 5; i++)
        sr(i, m->sr[i]);
    cr(0x11, m->cr[0x11] & 0x7f);
    for (unsigned i = 0; i < 25; i++)
        cr(i, m->cr[i]);
    for (unsigned i = 0; i < 9; i++)
        gr(i, m->gr[i]);
    for (unsigned i = 0; i < 21; i++)
        ar(i, m->ar[i]);
    out(b, 0x3c6, 0xff, 1);
    out(b, 0x3c8, 0, 1);
    for (unsigned i = 0; i < 256; i++) {
        out(b, 0x3c9, i, 1);
        out(b, 0x3c9, i * 3, 1);
        out(b, 0x3c9, i * 5 + 1, 1);
    }
}

static void vbe(unsigned reg, unsigned v)
{
    out(b, 0x1ce, reg, 2);
    out(b, 0x1d0, v, 2);
}

static unsigned vbe_get(unsigned reg)
{
    out(b, 0x1ce, reg, 2);
    return in(b, 0x1cf, 2);
}

static uint8_t *vram(void)
{
    struct span s;

    assert_true(vga_class.memory(vga, 0, &s));
    assert_int_equal(s.n, VRAM);
    return s.p;
}

/* --- looking at it --- */

static struct display_mode look_mode(void)
{
    struct display_mode m;

    b->env.display.mode(b->env.display.dev, &m);
    return m;
}

/* A new surface, drawn in bands. */
static struct display_mode picture(unsigned w, unsigned h)
{
    struct display_mode m = look_mode();

    assert_int_equal(m.width, w);
    assert_int_equal(m.height, h);
    assert_true(w <= MAX_W && h <= MAX_H);
    memset(pixels, 0x55, sizeof pixels);
    surface = (struct display_surface){.pixels = (uint8_t *)pixels,
                                       .stride = MAX_W * 4,
                                       .width = w,
                                       .height = h};
    for (unsigned y = 0; y < h; y += 100)
        assert_true(b->env.display.update(b->env.display.dev, &surface, y, 100,
                                          rects, RECTS) > 0);
    assert_int_equal(
        b->env.display.update(b->env.display.dev, &surface, 0, h, rects, RECTS),
        0);
    return m;
}

static uint32_t at(unsigned x, unsigned y)
{
    return pixels[y * MAX_W + x];
}

static void want(unsigned x, unsigned y, uint32_t c)
{
    if (at(x, y) != c)
        fail_msg("pixel %u, %u is %06x, not %06x", x, y, at(x, y), c);
}

/* A byte that differs from place to place. */
static uint8_t noise(unsigned n)
{
    return (uint8_t)((n * 2654435761u) >> 24);
}

/* --- modes --- */

static void text(void **state)
{
    static struct display_cell cells[80 * 25];
    struct display_cursor cursor;
    struct display_mode m;

    (void)state;
    set_mode(&text80);
    /* The font: plane 2, byte after byte. */
    sr(2, 4);
    sr(4, 6);
    gr(5, 0);
    gr(6, 4);
    for (unsigned i = 0; i < 256 * 32; i++)
        mem_write(b, 0xa0000 + i, noise(i), 1);
    sr(2, 3);
    sr(4, 2);
    gr(5, 0x10);
    gr(6, 0x0e);
    for (unsigned i = 0; i < 80 * 25; i++)
        mem_write(b, 0xb8000 + 2 * i, (i & 255) | (noise(i) & 0x7fu) << 8, 2);
    cr(0x0e, 0);
    cr(0x0f, 85);
    b->now = 8 * 14285714; /* the cursor is blinked away, characters are not */

    m = picture(720, 400);
    assert_int_equal(m.kind, DISPLAY_TEXT);
    assert_int_equal(m.cols, 80);
    assert_int_equal(m.rows, 25);
    assert_int_equal(m.cell_width, 9);
    assert_int_equal(m.cell_height, 16);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 720; x++) {
            unsigned cell = y / 16 * 80 + x / 9, code = cell & 255;
            unsigned attr = noise(cell) & 0x7f, dot = x % 9;
            unsigned font = noise(code * 32 + y % 16);
            bool on = dot < 8 ? font >> (7 - dot) & 1
                              : (code & 0xe0) == 0xc0 && (font & 1);

            want(x, y, colour(text80.ar[on ? attr & 15 : attr >> 4]));
        }
    assert_int_equal(
        b->env.display.text(b->env.display.dev, cells, 80 * 25, &cursor),
        80 * 25);
    assert_int_equal(cells[81].code, 81);
    assert_int_equal(cells[81].attr, noise(81) & 0x7f);
    assert_int_equal(cells[81].fg, noise(81) & 15);
    assert_true(cursor.on && cursor.col == 5 && cursor.row == 1);
    assert_int_equal(cursor.first, 0x0d);
    assert_int_equal(cursor.last, 0x0e);

    b->now = 0; /* the cursor shows: a row of lines 13 and 14 changed */
    assert_int_equal(b->env.display.update(b->env.display.dev, &surface, 0, 400,
                                           rects, RECTS),
                     1);
    assert_int_equal(rects[0].y, 16 + 13);
    assert_int_equal(rects[0].h, 2);
    assert_true(rects[0].x >= 45 && rects[0].x + rects[0].w <= 54);
    for (unsigned x = 45; x < 54; x++)
        want(x, 16 + 13, colour(text80.ar[noise(85) & 15]));
    mem_write(b, 0xb8000, 0x8741, 2); /* blinking */
    b->env.display.text(b->env.display.dev, cells, 1, NULL);
    assert_int_equal(cells[0].flags, DISPLAY_CELL_BLINK);
    assert_int_equal(cells[0].bg, 0);
}

static void planar16(void **state)
{
    (void)state;
    set_mode(&vga640);
    for (unsigned plane = 0; plane < 4; plane++) {
        sr(2, 1u << plane);
        for (unsigned i = 0; i < 38400; i++)
            mem_write(b, 0xa0000 + i, noise(i * 4 + plane), 1);
    }
    assert_int_equal(picture(640, 480).kind, DISPLAY_GRAPHICS);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned n = y * 80 + x / 8, pixel = 0;

            for (unsigned p = 0; p < 4; p++)
                pixel |= (noise(n * 4 + p) >> (7 - x % 8) & 1u) << p;
            want(x, y, colour(vga640.ar[pixel]));
        }
    ar(0x12, 5); /* two planes are not shown */
    picture(640, 480);
    want(0, 0, colour(vga640.ar[(noise(0) >> 7) | (noise(2) >> 7) << 2]));
    ar(0x10, 0x81); /* bits 4 and 5 from the colour select register */
    ar(0x14, 0x0e);
    picture(640, 480);
    want(0, 0, colour(0xe0 | ((noise(0) >> 7) | (noise(2) >> 7) << 2)));
}

static void planar320(void **state)
{
    (void)state;
    set_mode(&ega320);
    for (unsigned i = 0; i < 8000; i++)
        mem_write(b, 0xa0000 + i, noise(i), 1);
    picture(640, 400); /* twice as wide, twice as high */
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            want(x, y,
                 colour(noise(y / 2 * 40 + x / 16) >> (7 - x / 2 % 8) & 1 ? 15
                                                                          : 0));
}

static void cga(void **state)
{
    (void)state;
    set_mode(&cga320);
    for (unsigned i = 0; i < 16384; i++)
        mem_write(b, 0xb8000 + i, noise(i), 1);
    picture(640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned line = y / 2, column = x / 2;
            unsigned a = (line & 1) * 8192 + line / 2 * 80 + column / 4;

            want(x, y, colour(noise(a) >> (6 - 2 * (column & 3)) & 3));
        }
    assert_int_equal(mem_read(b, 0xb8000 + 77, 1), noise(77));
    set_mode(&cga640);
    for (unsigned i = 0; i < 16384; i++)
        mem_write(b, 0xb8000 + i, noise(i + 1), 1);
    picture(640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++) {
            unsigned a = (y / 2 & 1) * 8192 + y / 4 * 80 + x / 8;

            want(x, y, colour(noise(a + 1) >> (7 - x % 8) & 1));
        }
}

static void chain4(void **state)
{
    (void)state;
    set_mode(&vga256);
    for (unsigned i = 0; i < 64000; i += 4)
        mem_write(b, 0xa0000 + i,
                  noise(i) | noise(i + 1) << 8 | noise(i + 2) << 16 |
                      (uint32_t)noise(i + 3) << 24,
                  4);
    picture(640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            want(x, y, colour(noise(y / 2 * 320 + x / 2)));
    assert_int_equal(mem_read(b, 0xa0000 + 1234, 1), noise(1234));
    out(b, 0x3c6, 0x0f, 1); /* the DAC's mask */
    picture(640, 400);
    want(0, 0, colour(noise(0) & 15));
}

static void unchained(void **state)
{
    (void)state;
    set_mode(&mode_x);
    for (unsigned plane = 0; plane < 4; plane++) {
        sr(2, 1u << plane);
        for (unsigned i = 0; i < 80 * 240; i++)
            mem_write(b, 0xa0000 + i, noise(i * 4 + plane), 1);
    }
    picture(640, 480);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            want(x, y, colour(noise(y / 2 * 320 + x / 2)));
    gr(4, 2);
    assert_int_equal(mem_read(b, 0xa0000 + 9, 1), noise(38));
    cr(0x0d, 80); /* one row further */
    picture(640, 480);
    want(0, 0, colour(noise(320)));
}

static void split_and_pan(void **state)
{
    (void)state;
    set_mode(&vga640);
    for (unsigned i = 0; i < 65536; i++)
        mem_write(b, 0xa0000 + i, noise(i), 1);
    cr(0x0c, 0x40); /* start at 0x4000 */
    cr(0x18, 199);  /* row 200 begins at 0 */
    cr(0x07, 0x2e);
    cr(0x09, 0x00);
    ar(0x13, 3);
    cr(0x08, 0x20); /* and a byte */
    picture(640, 480);
    for (unsigned split = 0; split < 2; split++) {
        for (unsigned y = 0; y < 480; y++)
            for (unsigned x = 0; x < 640; x++) {
                bool lower = y >= 200;
                unsigned pan = lower && split ? 0 : 11;
                unsigned base = lower ? 0 : 0x4000;
                unsigned row = lower ? y - 200 : y;
                unsigned n = base + row * 80 + (x + pan) / 8;

                want(
                    x, y,
                    colour(vga640.ar[noise(n) >> (7 - (x + pan) % 8) & 1 ? 15
                                                                         : 0]));
            }
        ar(0x10, 0x21); /* panning ends at the split */
        picture(640, 480);
    }
}

static void blank(void **state)
{
    struct display_mode m;

    (void)state;
    m = look_mode();
    assert_int_equal(m.kind, DISPLAY_BLANK);
    assert_true(m.width && m.height);
    set_mode(&vga256);
    mem_write(b, 0xa0000, 5, 1);
    sr(1, 0x21); /* screen off */
    assert_int_equal(picture(640, 400).kind, DISPLAY_BLANK);
    want(0, 0, 0);
    surface.width++;
    assert_int_equal(b->env.display.update(b->env.display.dev, &surface, 0, 400,
                                           rects, RECTS),
                     DISPLAY_STALE);
}

/* --- the graphics controller --- */

static uint32_t planes(unsigned a)
{
    return load_le32(vram() + 4 * a);
}

static void write_modes(void **state)
{
    (void)state;
    set_mode(&vga640);
    store_le32(vram() + 40, 0x44332211);
    mem_read(b, 0xa000a, 1); /* latches: 11 22 33 44 */

    gr(3, 1); /* rotate by one */
    mem_write(b, 0xa0000, 0x81, 1);
    assert_int_equal(planes(0), 0xc0c0c0c0);
    gr(0, 0x5); /* planes 0 and 2 set, by planes 0 to 2 enabled */
    gr(1, 0x7);
    mem_write(b, 0xa0000, 0x81, 1);
    assert_int_equal(planes(0), 0xc0ff00ff);
    gr(1, 0);
    gr(3, 0x08); /* and */
    mem_write(b, 0xa0000, 0x0f, 1);
    assert_int_equal(planes(0), 0x04030201);
    gr(3, 0x10); /* or */
    mem_write(b, 0xa0000, 0x0f, 1);
    assert_int_equal(planes(0), 0x4f3f2f1f);
    gr(3, 0x18); /* xor */
    gr(8, 0xf0); /* the rest from the latches */
    mem_write(b, 0xa0000, 0xff, 1);
    assert_int_equal(planes(0), 0xb4c3d2e1);
    sr(2, 2); /* only plane 1 */
    mem_write(b, 0xa0001, 0x00, 1);
    assert_int_equal(planes(1), 0x00002200);
    sr(2, 15);

    gr(5, 1); /* mode 1: the latches */
    mem_write(b, 0xa0002, 0x99, 1);
    assert_int_equal(planes(2), 0x44332211);
    gr(5, 2); /* mode 2: a colour */
    gr(3, 0);
    gr(8, 0xff);
    mem_write(b, 0xa0003, 0x06, 1);
    assert_int_equal(planes(3), 0x00ffff00);
    gr(5, 3); /* mode 3: the byte is a mask for set/reset */
    gr(0, 0x9);
    gr(8, 0x0f);
    mem_write(b, 0xa0004, 0x3c, 1);
    assert_int_equal(planes(4), 0x4c33221d);

    gr(5, 8); /* read mode 1: where the colour is */
    gr(2, 0x3);
    gr(7, 0xf);
    store_le32(vram() + 20, 0x00f0ff0f);
    assert_int_equal(mem_read(b, 0xa0005, 1), 0x0f);
    gr(7, 0x3); /* planes 2 and 3 do not matter */
    assert_int_equal(mem_read(b, 0xa0005, 1), 0x0f);
    gr(7, 0);
    assert_int_equal(mem_read(b, 0xa0005, 1), 0xff);
}

static void memory_maps(void **state)
{
    (void)state;
    set_mode(&vga640);
    mem_write(b, 0xb8000, 0x77, 1); /* only A0000 to AFFFF is there */
    assert_int_equal(mem_read(b, 0xb8000, 1), 0xff);
    gr(6, 0x0d); /* only B8000 */
    mem_write(b, 0xb8001, 0x77, 1);
    assert_int_equal(mem_read(b, 0xa0001, 1), 0xff);
    assert_int_equal(planes(1), 0x77777777);
    gr(6, 0x09); /* only B0000 */
    mem_write(b, 0xb0002, 0x66, 1);
    assert_int_equal(planes(2), 0x66666666);
    assert_int_equal(mem_read(b, 0xb8002, 1), 0xff);
    gr(6, 0x01); /* both halves */
    assert_int_equal(mem_read(b, 0xa0001, 1), 0x77);
    assert_int_equal(mem_read(b, 0xb0002, 1), 0x66);
}

static void registers(void **state)
{
    (void)state;
    set_mode(&vga640);
    assert_int_equal(in(b, 0x3cc, 1), 0xe3);
    cr(0x11, 0x8c); /* protects 0 to 7, but for line compare */
    cr(0, 0x11);
    cr(7, 0x00);
    out(b, 0x3d4, 0, 1);
    assert_int_equal(in(b, 0x3d5, 1), 0x5f);
    out(b, 0x3d4, 7, 1);
    assert_int_equal(in(b, 0x3d5, 1), 0x2e);
    out(b, 0x3d4, 0x99, 1); /* there is none */
    out(b, 0x3d5, 1, 1);
    assert_int_equal(in(b, 0x3b5, 1), 0xff); /* in mono it would be there */
    out(b, 0x3c2, 0xe2, 1);
    assert_int_equal(in(b, 0x3b4, 1), 0x99);
    out(b, 0x3c2, 0xe3, 1);
    out(b, 0x3c7, 7, 1);
    assert_int_equal(in(b, 0x3c7, 1), 3);
    assert_int_equal(in(b, 0x3c9, 1), 7);
    assert_int_equal(in(b, 0x3c9, 1), 21);
    assert_int_equal(in(b, 0x3c9, 1), 36);
    assert_int_equal(in(b, 0x3c9, 1), 8);
    out(b, 0x3c4, 2, 1);
    out(b, 0x3c5, 0xff, 1);
    assert_int_equal(in(b, 0x3c5, 1), 0x0f); /* bits that it has */
}

/* The status register over a frame of 640 × 480 at 60 Hz. */
static void beam(void **state)
{
    unsigned retraces = 0, shown = 0, steps = 5000;
    bool last = false;

    (void)state;
    set_mode(&vga640);
    for (unsigned i = 0; i < steps; i++) {
        unsigned s;

        b->now = 16683000ull * i / steps; /* 525 lines of 31.78 µs */
        s = in(b, 0x3da, 1);
        retraces += (s & 8) && !last;
        last = s & 8;
        shown += !(s & 1);
    }
    assert_int_equal(retraces, 1);
    assert_in_range(shown * 100 / steps, 68, 78); /* 480/525 of 80/100 */
}

/* --- linear modes --- */

static void linear(unsigned bpp, unsigned w, unsigned h)
{
    vbe(4, 0);
    vbe(1, w);
    vbe(2, h);
    vbe(3, bpp);
    vbe(4, 0x41);
}

static uint32_t wide5(unsigned v)
{
    return v << 3 | v >> 2;
}

static uint32_t linear_pixel(unsigned bpp, unsigned i)
{
    uint32_t v = 0;

    for (unsigned k = 0; k < 4; k++)
        v |= (uint32_t)noise(i * ((bpp + 7) / 8) + k) << 8 * k;
    switch (bpp) {
    case 8: return colour(v & 255);
    case 15:
        return wide5(v >> 10 & 31) << 16 | wide5(v >> 5 & 31) << 8 |
               wide5(v & 31);
    case 16:
        return wide5(v >> 11 & 31) << 16 |
               ((v >> 5 & 63) << 2 | (v >> 9 & 3)) << 8 | wide5(v & 31);
    default: return v & 0xffffff;
    }
}

static void vbe_modes(void **state)
{
    static const uint8_t depths[] = {8, 15, 16, 24, 32};

    (void)state;
    assert_int_equal(vbe_get(0), 0xb0c5);
    assert_int_equal(vbe_get(10), VRAM >> 16);
    set_mode(&text80);
    for (unsigned d = 0; d < sizeof depths; d++) {
        unsigned bpp = depths[d];

        linear(bpp, 800, 600);
        assert_int_equal(vbe_get(6), 800);
        for (unsigned i = 0; i < 1000 * 700 * 4; i++)
            vram()[i] = noise(i);
        picture(800, 600);
        for (unsigned i = 0; i < 800 * 600; i++)
            want(i % 800, i / 800, linear_pixel(bpp, i));
    }
    /* A larger screen to move about in. */
    vbe(6, 1000);
    assert_int_equal(vbe_get(7), VRAM / 4000);
    vbe(8, 100);
    vbe(9, 50);
    picture(800, 600);
    want(0, 0, linear_pixel(32, 50 * 1000 + 100));
    want(799, 599, linear_pixel(32, 649 * 1000 + 899));
    /* One pixel changes. */
    vram()[(51 * 1000 + 102) * 4] ^= 1;
    assert_int_equal(b->env.display.update(b->env.display.dev, &surface, 0, 600,
                                           rects, RECTS),
                     1);
    assert_int_equal(rects[0].x, 2);
    assert_int_equal(rects[0].y, 1);
    assert_int_equal(rects[0].w, 1);
    assert_int_equal(rects[0].h, 1);
}

static void vbe_planar(void **state)
{
    (void)state;
    set_mode(&vga640);
    linear(4, 800, 600);
    for (unsigned i = 0; i < 800 * 600 / 2; i++)
        vram()[i] = noise(i);
    picture(800, 600);
    for (unsigned i = 0; i < 800 * 600; i += 7) {
        unsigned g = i / 8 * 4, pixel = 0;

        for (unsigned p = 0; p < 4; p++)
            pixel |= (noise(g + p) >> (7 - i % 8) & 1u) << p;
        want(i % 800, i / 800, colour(vga640.ar[pixel]));
    }
}

static void vbe_limits(void **state)
{
    (void)state;
    set_mode(&text80);
    linear(32, 1024, 768);
    vbe(1, 9999); /* too wide, then no rows are left for 60000 of them */
    vbe(2, 60000);
    vbe(8, 5000);
    vbe(9, 5000);
    assert_true(vbe_get(1) <= DISPLAY_MAX_WIDTH);
    assert_true(vbe_get(2) * vbe_get(6) * 4u <= VRAM);
    assert_true(vbe_get(8) + vbe_get(1) <= vbe_get(6));
    assert_true(vbe_get(9) + vbe_get(2) <= VRAM / 4 / vbe_get(6));
    vbe(4, 2); /* what it can do */
    assert_int_equal(vbe_get(1), DISPLAY_MAX_WIDTH);
    assert_int_equal(vbe_get(3), 32);
    /* Clearing, or not. */
    vram()[0] = 1;
    linear(8, 640, 480);
    assert_int_equal(vram()[0], 0);
    vram()[0] = 1;
    vbe(4, 0);
    vbe(4, 0xc1);
    assert_int_equal(vram()[0], 1);
    /* The window at A0000 shows 64 KB of it. */
    vbe(5, 2);
    mem_write(b, 0xa0003, 0x99, 1);
    assert_int_equal(vram()[0x20003], 0x99);
    vbe(5, 0xffff);
    assert_int_equal(vbe_get(5), (VRAM >> 16) - 1);
    vbe(4, 0x61); /* a DAC of eight bits */
    out(b, 0x3c8, 0, 1);
    out(b, 0x3c9, 0xff, 1);
    out(b, 0x3c9, 0x81, 1);
    out(b, 0x3c9, 0x01, 1);
    vram()[0] = 0;
    picture(640, 480);
    want(0, 0, 0xff8101);
}

/* --- the adapter --- */

static void pci(void **state)
{
    unsigned devfn = 1 << 3;

    (void)state;
    assert_int_equal(conf_read(b, devfn, 0, 4), 0x11111234);
    assert_int_equal(conf_read(b, devfn, 10, 2), 0x0300);
    conf_write(b, devfn, 0x10, 0xd0000000, 4);
    conf_write(b, devfn, 0x18, 0xffffffff, 4);
    conf_write(b, devfn, 4, 3, 2);
    assert_int_equal(conf_read(b, devfn, 4, 2), 3);
    mem_write(b, 0xd0000010, 0x12345678, 4);
    assert_int_equal(load_le32(vram() + 16), 0x12345678);
    /* The VGA BIOS reads no EDID where a base address is missing. */
    assert_int_equal(conf_read(b, devfn, 0x18, 4), 0);
}

static void state_travels(void **state)
{
    const struct dev_class *c = &vga_class;
    static uint8_t bytes[4096], again[4096];
    size_t n = state_size(c->state, c->version);
    struct err e;

    (void)state;
    assert_true(n <= sizeof bytes);
    set_mode(&vga256);
    linear(32, 1024, 768);
    state_save(c->state, c->version, vga, bytes);
    c->reset(vga, true);
    assert_int_equal(look_mode().kind, DISPLAY_BLANK);
    assert_int_equal(state_load(c->state, c->version, vga, bytes, n, &e), 0);
    assert_int_equal(c->loaded(vga, c->version), 0);
    state_save(c->state, c->version, vga, again);
    assert_memory_equal(bytes, again, n);
    picture(1024, 768);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(text),          T(planar16),    T(planar320),     T(cga),
        T(chain4),        T(unchained),   T(split_and_pan), T(blank),
        T(write_modes),   T(memory_maps), T(registers),     T(beam),
        T(vbe_modes),     T(vbe_planar),  T(vbe_limits),    T(pci),
        T(state_travels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
