#include "hw/net/microwire.h"

enum { ADDRESS = 6, COMMAND = 3 + ADDRESS, READ = 6 /* 110 */ };

const struct field microwire_fields[] = {
    FIELD16(struct microwire, word),
    FIELD16(struct microwire, in),
    FIELD16(struct microwire, out),
    FIELD_MAX(struct microwire, bits, 8, COMMAND + 15),
    FIELDB(struct microwire, clock),
    FIELD_END,
};

/* One rising edge of the clock: a start bit, opcode 10 (read), the address;
   then a zero and the word, highest bit first, and the words that follow. */
static void clock_in(struct microwire *m, bool in)
{
    if (m->bits == 0 && !in)
        return; /* waits for the start bit */
    if (m->bits < COMMAND) {
        m->in = (uint16_t)(m->in << 1 | in);
        m->bits++;
        if (m->bits == COMMAND)
            m->out = 0; /* the zero before the data */
        return;
    }
    if (m->in >> ADDRESS != READ) {
        m->out = 0x8000; /* ready */
        return;
    }
    unsigned address = m->in & (MICROWIRE_WORDS - 1);
    if (m->bits == COMMAND)
        m->out = m->word[address];
    else
        m->out = (uint16_t)(m->out << 1);
    if (++m->bits == COMMAND + 16) {
        address = (address + 1) & (MICROWIRE_WORDS - 1);
        m->in = (uint16_t)(READ << ADDRESS | address);
        m->bits = COMMAND;
    }
}

void microwire_drive(struct microwire *m, bool select, bool clock, bool in)
{
    bool rises = clock && !m->clock;

    m->clock = clock;
    if (!select) {
        m->bits = 0;
        m->in = 0;
        m->out = 0x8000;
    } else if (rises) {
        clock_in(m, in);
    }
}
