/* Devices and their properties: vm/{device,prop}.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "vm/vm.h"

struct gadget {
    struct dev dev;
    bool flag;
    uint32_t level;
    uint64_t size;
    const char *text;
    struct blk *blk;
    struct chardev *chardev;
    struct rom_bytes rom;
};

static unsigned detached; /* level of the last one that went */

static int gadget_attach(struct dev *d, struct env *env, struct err *e)
{
    struct gadget *g = container_of(d, struct gadget, dev);

    assert_ptr_equal(d->env, env);
    if (g->level == 13)
        return err_set(e, LE_USAGE, "%s: level 13 is unlucky", d->id);
    return 0;
}

static void gadget_detach(struct dev *d)
{
    detached = container_of(d, struct gadget, dev)->level;
}

static const struct prop gadget_props[] = {
    {"flag", "a switch", offsetof(struct gadget, flag), PROP_BOOL, false, 1, 0,
     0},
    {"level", "how much", offsetof(struct gadget, level), PROP_U32, false, 7, 2,
     20},
    {"size", "how large", offsetof(struct gadget, size), PROP_U64, false, 0, 0,
     0},
    {"text", "its name", offsetof(struct gadget, text), PROP_STRING, false, 0,
     0, 0},
    {"blk", "its disk", offsetof(struct gadget, blk), PROP_BLK, false, 0, 0, 0},
    {"line", "its line", offsetof(struct gadget, chardev), PROP_CHARDEV, true,
     0, 0, 0},
    {"rom", "its code", offsetof(struct gadget, rom), PROP_BYTES, false, 0, 0,
     0},
    PROP_END,
};

static const struct dev_class gadget_class = {
    .name = "gadget",
    .size = sizeof(struct gadget),
    .props = gadget_props,
    .attach = gadget_attach,
    .detach = gadget_detach,
};

static struct chardev line;
#define LINE SET_CHARDEV("line", &line)

/* --- an engine that is never run --- */

static int no_open(struct vm *vm, struct err *e)
{
    (void)vm;
    (void)e;
    return 0;
}

static int no_vcpu_open(struct vcpu *c, struct err *e)
{
    (void)c;
    (void)e;
    return 0;
}

static void no_vcpu_close(struct vcpu *c)
{
    (void)c;
}

static const struct engine_ops no_engine = {
    .name = "none",
    .open = no_open,
    .vcpu_open = no_vcpu_open,
    .vcpu_close = no_vcpu_close,
};

struct fixture {
    struct vm *vm;
};

static int setup(void **state)
{
    const struct vm_config config = {
        .engine = &no_engine, .ncpus = 1, .ram_size = PAGE_SIZE};
    struct fixture *f = calloc(1, sizeof *f);

    assert_int_equal(vm_create(&config, &f->vm, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vm_destroy(f->vm);
    free(f);
    return 0;
}

/* Fails the test unless a gadget can be made so. */
static struct gadget *made(struct fixture *f, const char *id,
                           const struct prop_value *list)
{
    struct err e = {0};
    struct dev *d = vm_add_device(f->vm, &gadget_class, id, list, &e);

    assert_string_equal(e.text, "");
    assert_non_null(d);
    return container_of(d, struct gadget, dev);
}

static void rom(void **state)
{
    static const struct rom_bytes code = {(const uint8_t *)"code", 4};
    struct gadget *g =
        made(*state, "g", PROP_VALUES(LINE SET_BYTES("rom", code)));

    assert_ptr_equal(g->rom.p, code.p);
    assert_int_equal(g->rom.n, code.n);
}

static void defaults(void **state)
{
    struct fixture *f = *state;
    struct gadget *g = made(f, "g", PROP_VALUES(LINE));

    assert_true(g->flag && g->level == 7 && g->size == 0 && !g->text);
    assert_ptr_equal(g->chardev, &line);
    assert_null(g->rom.p);
    assert_string_equal(g->dev.id, "g");
    assert_ptr_equal(vm_find_device(f->vm, "g"), &g->dev);
    assert_null(vm_find_device(f->vm, "h"));
}

static void values(void **state)
{
    struct fixture *f = *state;
    struct blk blk;
    struct gadget *g;

    g = made(f, "g1",
             PROP_VALUES(LINE SET_BOOL("flag", false) SET_NUMBER("level", 20)
                             SET_NUMBER("size", UINT64_MAX)
                                 SET_TEXT("text", "hi") SET_BLK("blk", &blk)));
    assert_true(!g->flag && g->level == 20 && g->size == UINT64_MAX);
    assert_string_equal(g->text, "hi");
    assert_ptr_equal(g->blk, &blk);
    g = made(f, "g2",
             PROP_VALUES(LINE SET_TEXT("flag", "no") SET_TEXT("level", "2")
                             SET_TEXT("size", "0x7fE0")));
    assert_true(!g->flag && g->level == 2 && g->size == 0x7fe0);
    g = made(f, "g3",
             PROP_VALUES(LINE SET_TEXT("flag", "on") SET_TEXT("size", "3G")));
    assert_true(g->flag && g->size == 3ull << 30);
    g = made(f, "g4",
             PROP_VALUES(LINE SET_TEXT("size", "18446744073709551615")));
    assert_true(g->size == UINT64_MAX);
    g = made(f, "g5", PROP_VALUES(LINE SET_TEXT("size", "64k")));
    assert_true(g->size == 65536);
}

static void refused(struct fixture *f, const struct prop_value *list,
                    const char *text)
{
    struct err e = {0};

    assert_null(vm_add_device(f->vm, &gadget_class, "x", list, &e));
    assert_int_equal(e.code, -LE_USAGE);
    assert_string_equal(e.text, text);
    assert_null(vm_find_device(f->vm, "x"));
}

static void bad_values(void **state)
{
    static const char *const no_numbers[] = {
        "",          "x",     "-1", "0x", "12Q", "1KB", "18446744073709551616",
        "16777216T", "0x10K", " 1",
    };
    struct fixture *f = *state;
    char want[200];

    refused(f, NULL, "x (gadget): line must be given (its line)");
    refused(f, PROP_VALUES(SET_CHARDEV("line", NULL)),
            "x (gadget): line must be given (its line)");
    refused(f, PROP_VALUES(LINE SET_NUMBER("colour", 1)),
            "x: gadget has no property colour (it has flag, level, size, "
            "text, blk, line, rom)");
    refused(f, PROP_VALUES(LINE SET_NUMBER("level", 21)),
            "x (gadget): level takes 2 to 20, not 21");
    refused(f, PROP_VALUES(LINE SET_NUMBER("level", 1)),
            "x (gadget): level takes 2 to 20, not 1");
    refused(f, PROP_VALUES(LINE SET_TEXT("flag", "maybe")),
            "x (gadget): flag takes on or off, not \"maybe\"");
    refused(f, PROP_VALUES(LINE SET_NUMBER("flag", 1)),
            "x (gadget): flag takes on or off");
    refused(f, PROP_VALUES(LINE SET_BOOL("size", true)),
            "x (gadget): size takes a number");
    refused(f, PROP_VALUES(LINE SET_TEXT("blk", "disk.img")),
            "x (gadget): blk takes a disk");
    refused(f, PROP_VALUES(LINE SET_NUMBER("text", 1)),
            "x (gadget): text takes text");
    refused(f, PROP_VALUES(LINE SET_NUMBER("level", 13)),
            "x: level 13 is unlucky");
    for (unsigned i = 0; i < ARRAY_LEN(no_numbers); i++) {
        snprintf(want, sizeof want,
                 "x (gadget): size takes a number, not \"%s\"", no_numbers[i]);
        refused(f, PROP_VALUES(LINE SET_TEXT("size", no_numbers[i])), want);
    }
    assert_null(
        vm_add_device(f->vm, &gadget_class, "", PROP_VALUES(LINE), NULL));
    made(f, "g", PROP_VALUES(LINE));
    assert_null(
        vm_add_device(f->vm, &gadget_class, "g", PROP_VALUES(LINE), NULL));
}

static void order_of_detaching(void **state)
{
    struct fixture *f = *state;

    made(f, "first", PROP_VALUES(LINE SET_NUMBER("level", 3)));
    made(f, "last", PROP_VALUES(LINE SET_NUMBER("level", 4)));
    vm_dismantle(f->vm);
    assert_int_equal(detached, 3);
    assert_null(vm_find_device(f->vm, "first"));
}

#define PROP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROP_TEST(defaults),
        PROP_TEST(rom),
        PROP_TEST(values),
        PROP_TEST(bad_values),
        PROP_TEST(order_of_detaching),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
