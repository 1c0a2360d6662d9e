/* Stills of a screen: pixels, PNG, text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#ifdef HAVE_PNG
#include <png.h>
#endif

#include "fake_display.h"
#include "host/ui/picture.h"

struct fixture {
    struct fake_display f;
    struct host_mutex lock;
    struct err e;
    struct screen_text text;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    fake_init(&f->f, 80, 25);
    host_mutex_init(&f->lock);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    host_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

/* All rows, whatever the band; an odd height too. */
static void pixels(void **state)
{
    struct fixture *f = *state;
    struct picture p;

    fake_graphics(&f->f, 100, 333, 0x00123456);
    assert_int_equal(picture_take(&f->f.source, &f->lock, &p, &f->e), 0);
    assert_int_equal(p.width, 100);
    assert_int_equal(p.height, 333);
    for (unsigned i = 0; i < 100 * 333; i++)
        assert_memory_equal(p.pixels + 4 * i, "\x56\x34\x12\0", 4);
    picture_free(&p);
}

static void restless(void **state)
{
    struct fixture *f = *state;
    struct picture p;

    fake_graphics(&f->f, 104, 64, 1);
    f->f.restless = true;
    assert_int_equal(picture_take(&f->f.source, &f->lock, &p, &f->e),
                     -LE_STATE);
    f->f.source.mode = NULL;
    assert_int_equal(picture_take(&f->f.source, &f->lock, &p, &f->e),
                     -LE_STATE);
    assert_int_equal(screen_text_take(&f->f.source, &f->lock, &f->text, &f->e),
                     -LE_STATE);
}

static void png(void **state)
{
    struct fixture *f = *state;
    int fd = memfd_create("png", 0);
    struct picture p;

    fake_graphics(&f->f, 37, 21, 0x00aa5511);
    assert_int_equal(picture_take(&f->f.source, &f->lock, &p, &f->e), 0);
#ifdef HAVE_PNG
    png_image image = {.version = PNG_IMAGE_VERSION};
    static uint8_t back[37 * 21 * 3];
    FILE *file;

    assert_int_equal(picture_write_png(&p, fd, &f->e), 0);
    file = fdopen(fd, "rb");
    rewind(file);
    assert_true(png_image_begin_read_from_stdio(&image, file));
    assert_int_equal(image.width, 37);
    assert_int_equal(image.height, 21);
    image.format = PNG_FORMAT_RGB;
    assert_true(png_image_finish_read(&image, NULL, back, 0, NULL));
    for (unsigned i = 0; i < 37 * 21; i++)
        assert_memory_equal(back + 3 * i, "\xaa\x55\x11", 3);
    fclose(file);
#else
    assert_int_equal(picture_write_png(&p, fd, &f->e), -LE_UNSUPPORTED);
    close(fd);
#endif
    picture_free(&p);
}

static void text(void **state)
{
    struct fixture *f = *state;
    char row[3 * DISPLAY_MAX_COLS + 1];

    fake_print(&f->f, 0, 0, "A:\\>dir");
    fake_print(&f->f, 2, 3, "\xc9\xcd\xbb \x01 \xe1");
    fake_print(&f->f, 79, 24, "x");
    f->f.cursor = (struct display_cursor){true, 7, 0, 13, 14};
    assert_int_equal(screen_text_take(&f->f.source, &f->lock, &f->text, &f->e),
                     0);
    assert_int_equal(f->text.cols, 80);
    assert_int_equal(f->text.rows, 25);
    assert_int_equal(f->text.cursor.col, 7);
    screen_text_row(&f->text, 0, row);
    assert_string_equal(row, "A:\\>dir");
    screen_text_row(&f->text, 1, row);
    assert_string_equal(row, "");
    screen_text_row(&f->text, 3, row);
    assert_string_equal(row, "  ╔═╗ ☺ ß");
    screen_text_row(&f->text, 24, row);
    assert_int_equal(strlen(row), 80);
}

/* The widest screen, of the longest characters, fits. */
static void widest(void **state)
{
    struct fixture *f = *state;
    char row[3 * DISPLAY_MAX_COLS + 1];

    fake_init(&f->f, DISPLAY_MAX_COLS, DISPLAY_MAX_ROWS);
    for (unsigned i = 0; i < ARRAY_LEN(f->f.cells); i++)
        f->f.cells[i].code = 0xb0;
    assert_int_equal(screen_text_take(&f->f.source, &f->lock, &f->text, &f->e),
                     0);
    screen_text_row(&f->text, DISPLAY_MAX_ROWS - 1, row);
    assert_int_equal(strlen(row), 3 * DISPLAY_MAX_COLS);
    fake_graphics(&f->f, 640, 480, 0);
    assert_int_equal(screen_text_take(&f->f.source, &f->lock, &f->text, &f->e),
                     -LE_STATE);
    assert_non_null(strstr(f->e.text, "640x480"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pixels, setup, teardown),
        cmocka_unit_test_setup_teardown(restless, setup, teardown),
        cmocka_unit_test_setup_teardown(png, setup, teardown),
        cmocka_unit_test_setup_teardown(text, setup, teardown),
        cmocka_unit_test_setup_teardown(widest, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
