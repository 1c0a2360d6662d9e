/* VGA: any registers and memory, looked at now and then; damaged state. */
#define BOARD_WITHOUT_CMOCKA
#include "../unit/board.h"
#include "input.h"

extern const struct dev_class i440fx_class, vga_class;

static void look(struct board *b, uint8_t *pixels, unsigned from)
{
    static struct display_cell cells[512];
    const struct display_source *s = &b->env.display;
    struct display_cursor cursor;
    struct display_rect rects[3];
    struct display_surface surface;
    struct display_mode m;
    int n;

    s->mode(s->dev, &m);
    if (!m.width || !m.height || m.width > DISPLAY_MAX_WIDTH ||
        m.height > DISPLAY_MAX_HEIGHT || m.cols > DISPLAY_MAX_COLS ||
        m.rows > DISPLAY_MAX_ROWS)
        abort();
    s->text(s->dev, cells, ARRAY_LEN(cells), &cursor);
    /* A few rows only: what they show depends on all the same registers. */
    surface = (struct display_surface){.pixels = pixels,
                                       /* stride 0: all rows there */ .width =
                                           m.width,
                                       .height = m.height};
    n = s->update(s->dev, &surface, from % m.height, 3, rects, 3);
    for (int i = 0; i < n; i++)
        if (!rects[i].w || !rects[i].h || rects[i].x + rects[i].w > m.width ||
            rects[i].y + rects[i].h > m.height)
            abort();
}

static void damage(struct dev *d, struct input *z)
{
    static uint8_t bytes[8192];
    const struct dev_class *c = d->cls;
    size_t n = state_size(c->state, c->version);
    struct err e;

    if (n > sizeof bytes)
        abort();
    state_save(c->state, c->version, d, bytes);
    for (unsigned i = (unsigned)take(z, 1) & 7; i; i--) {
        size_t at = (size_t)take(z, 2) % n;

        bytes[at] = (uint8_t)take(z, 1);
    }
    if (state_load(c->state, c->version, d, bytes, n, &e) ||
        c->loaded(d, c->version))
        c->reset(d, true);
}

static void step(struct board *b, struct dev *d, struct input *z,
                 uint8_t *pixels)
{
    unsigned op = (unsigned)take(z, 1), n = 1u << (op >> 4 & 3) % 4;

    switch (op & 15) {
    case 0:
    case 1:
    case 2:
    case 3: { /* an index and its data, as programs do */
        static const uint16_t ports[] = {0x3c4, 0x3ce, 0x3d4, 0x3c0};

        out(b, ports[op & 3], (unsigned)take(z, 2), (op & 3) == 3 ? 1 : 2);
        break;
    }
    case 4:
    case 5:
        out(b, 0x3b0 + (unsigned)take(z, 1) % 0x30, (unsigned)take(z, 2),
            MIN(n, 4u));
        break;
    case 6: in(b, 0x3b0 + (unsigned)take(z, 1) % 0x30, 1); break;
    case 7:
    case 8:
        out(b, 0x1ce, (unsigned)take(z, 1) % 12, 2);
        out(b, 0x1cf + (op >> 7), (unsigned)take(z, 2), 2);
        break;
    case 9:
    case 10: mem_write(b, 0xa0000 + take(z, 3) % 0x20000, take(z, n), n); break;
    case 11: mem_read(b, 0xa0000 + take(z, 3) % 0x20000, n); break;
    case 12:
    case 13: look(b, pixels, (unsigned)take(z, 2)); break;
    case 14: damage(d, z); break;
    default:
        if (op & 0x80)
            d->cls->reset(d, false);
        b->now += take(z, 3);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pixels[DISPLAY_MAX_WIDTH * 4];
    struct input in = {data, data + MIN(size, 4096)};
    struct board *b = board_new();
    struct dev *bridge = board_add(b, &i440fx_class, "bridge");
    struct dev *d = board_make(b, &vga_class, "vga");

    *(uint64_t *)board_prop(d, "vram") = 1 << 20;
    board_attach(b, d);
    while (more(&in))
        step(b, d, &in, pixels);
    board_remove(d);
    board_remove(bridge);
    board_free(b);
    return 0;
}
