/*
 * A serial port of a PC: a 16550A at COM1–4's port and interrupt. Machine lock
 * held.
 */
#include "hw/char/serial16550.h"

enum { MCR = 4, MCR_OUT2 = 1 << 3, MCR_LOOP = 1 << 4 };

struct serial_isa {
    struct dev dev;
    struct serial16550 uart;
    struct region ports;
    /* Properties */
    struct chardev *chardev;
    uint32_t com, iobase, irq;
    bool out2;
    bool intr; /* what the chip asks for */
};

static const struct {
    uint16_t iobase;
    uint8_t irq;
} com_ports[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

static void drive(struct serial_isa *s)
{
    bool open = (s->uart.mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

    irq_set(&s->dev.env->isa_irq[s->irq], s->intr && (open || !s->out2));
}

static void intr(void *owner, bool level)
{
    struct serial_isa *s = owner;

    s->intr = level;
    drive(s);
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return serial16550_read(&((struct serial_isa *)dev)->uart, (unsigned)off);
}

static void ports_write(void *dev, uint64_t off, uint64_t v,
                        unsigned bytes UNUSED)
{
    struct serial_isa *s = dev;

    serial16550_write(&s->uart, (unsigned)off, (uint8_t)v);
    if (off == MCR && s->out2)
        drive(s);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 1};

static int serial_attach(struct dev *d, struct env *env, struct err *e)
{
    struct serial_isa *s = container_of(d, struct serial_isa, dev);

    d->env = env;
    if (!s->iobase)
        s->iobase = com_ports[s->com - 1].iobase;
    if (!s->irq)
        s->irq = com_ports[s->com - 1].irq;
    s->ports = (struct region){
        .name = "serial", .size = UART_REGISTERS, .ops = &ports_ops, .dev = s};
    if (space_map(env->io, s->iobase, &s->ports, 0))
        return err_set(e, LE_RANGE,
                       "cannot map a serial port at I/O port 0x%x; choose "
                       "another iobase",
                       s->iobase);
    s->uart.env = env;
    s->uart.chardev = s->chardev;
    s->uart.intr = intr;
    s->uart.owner = s;
    serial16550_init(&s->uart);
    return 0;
}

static void serial_detach(struct dev *d)
{
    struct serial_isa *s = container_of(d, struct serial_isa, dev);

    serial16550_detach(&s->uart);
    space_unmap(&s->ports);
}

static void serial_reset(struct dev *d, bool cold UNUSED)
{
    serial16550_reset(&container_of(d, struct serial_isa, dev)->uart);
}

static void serial_pause(struct dev *d)
{
    serial16550_pause(&container_of(d, struct serial_isa, dev)->uart);
}

static void serial_resume(struct dev *d)
{
    serial16550_resume(&container_of(d, struct serial_isa, dev)->uart);
}

static int serial_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct serial_isa *s = container_of(d, struct serial_isa, dev);

    s->intr = s->uart.level;
    return serial16550_loaded(&s->uart);
}

static const struct field serial_state[] = {
    FIELD_SUB(struct serial_isa, uart, struct serial16550, serial16550_fields),
    FIELD_END,
};

static const struct prop serial_props[] = {
    {"com", "1 to 4: the standard port and interrupt of COM1 to COM4",
     offsetof(struct serial_isa, com), PROP_U32, false, 1, 1, 4},
    {"iobase", "first I/O port; 0: by com", offsetof(struct serial_isa, iobase),
     PROP_U32, false, 0, 0, 0xfff8},
    {"irq", "ISA interrupt; 0: by com", offsetof(struct serial_isa, irq),
     PROP_U32, false, 0, 0, 15},
    {"out2",
     "interrupts only with OUT2 on, as mainboards wire it; off suits "
     "systems that do not know",
     offsetof(struct serial_isa, out2), PROP_BOOL, false, false, 0, 0},
    {"chardev", "where its bytes go", offsetof(struct serial_isa, chardev),
     PROP_CHARDEV, false, 0, 0, 0},
    PROP_END,
};

const struct dev_class serial_class = {
    .name = "serial",
    .summary = "16550A serial port",
    .spec = "National PC16550D (TL/C/8652)",
    .size = sizeof(struct serial_isa),
    .props = serial_props,
    .state = serial_state,
    .version = 1,
    .attach = serial_attach,
    .reset = serial_reset,
    .pause = serial_pause,
    .resume = serial_resume,
    .loaded = serial_loaded,
    .detach = serial_detach,
};
