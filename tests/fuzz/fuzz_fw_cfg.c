/* fw_cfg: selectors, the data port, DMA descriptors in guest RAM. */
#define BOARD_WITHOUT_CMOCKA
#include "../unit/board.h"
#include "input.h"

#include "hw/firmware/fw_cfg.h"

extern const struct dev_class fw_cfg_class, debugcon_class;

enum { DESC = 0x3000 };

static void refresh(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void step(struct board *b, struct input *in)
{
    uint8_t op = (uint8_t)take(in, 1);
    uint16_t port = (uint16_t)((op & 0x80 ? 0x402 : 0x510) + (op >> 3) % 12);
    unsigned bytes = 1u << (op & 3) % 3;

    switch (op & 7) {
    case 0: space_write(b->env.io, 0x510, take(in, 2), 2); break;
    case 1: space_read(b->env.io, port, bytes); break;
    case 2:
    case 3: space_write(b->env.io, port, take(in, 4), bytes); break;
    case 4: /* any descriptor, any place near one */
        space_write(b->env.io, 0x514, op >> 6 ? 0 : take(in, 4), 4);
        space_write(b->env.io, 0x518, __builtin_bswap32(DESC + op / 16), 4);
        break;
    case 5: /* a meant one: key, control, length, address */
        store_be32(b->env.ram + DESC,
                   (uint32_t)take(in, 2) << 16 | (take(in, 1) & 31));
        store_be32(b->env.ram + DESC + 4, take(in, 2));
        store_be64(b->env.ram + DESC + 8, take(in, 4) & 0x3fffff);
        break;
    default: b->env.ram[DESC + op / 8] = (uint8_t)take(in, 1); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t big[70000] = {1, 2, 3}; /* items are not guest RAM */
    struct input in = {data, data + MIN(size, 4096)};
    struct board *b = board_new();
    struct dev *cfg = board_add(b, &fw_cfg_class, "cfg");
    struct dev *con = board_add(b, &debugcon_class, "con");
    unsigned refreshed = 0;

    fw_cfg_set_number(cfg, FW_CFG_NB_CPUS, 3, 2);
    fw_cfg_add_file(cfg, "etc/one", "one", 3, refresh, &refreshed);
    fw_cfg_add_file(cfg, "etc/big", big, sizeof big, NULL, NULL);
    while (more(&in))
        step(b, &in);
    board_remove(con);
    board_remove(cfg);
    board_free(b);
    return 0;
}
