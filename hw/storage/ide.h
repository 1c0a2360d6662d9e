/*
 * An ATA channel with up to two drives: command and control block registers,
 * PIO, and DMA for a bus master to carry out. Machine lock held.
 * Spec: ATA/ATAPI-7 volume 2 (T13/1532-D): parallel transport, chapter 9 for
 * the protocols; ATA/ATAPI-6 chapter 9.
 */
#ifndef HW_STORAGE_IDE_H
#define HW_STORAGE_IDE_H

#include "hw/storage/ata.h"

enum { IDE_DRIVES = 2, IDE_BUF = 32768 };

struct ide_channel {
    /* Set by the adapter before ide_init(). */
    struct dev *dev;
    void (*irq)(struct ide_channel *c, bool level);
    void (*dma)(struct ide_channel *c); /* a drive wants DMA: ide_dma() */

    struct ata_drive drive[IDE_DRIVES];
    struct region command, control;
    struct ata_task task; /* of drive[active] */

    struct ata_tf reg[IDE_DRIVES]; /* each drive's registers */
    uint8_t device_control;
    uint8_t selected, active;
    uint8_t intrq;     /* interrupts pending, a bit a drive */
    bool line;         /* as the adapter has it */
    bool first, quiet; /* no interrupt before the first block out, nor after
                          the last one in */
    uint8_t resetting; /* the task is on its way out: enum in ide.c */
    uint32_t pos, end; /* in task.buf: the block at the data register */
    uint8_t buf[IDE_BUF];
};
extern const struct field ide_channel_fields[];

/* Maps nothing: the adapter does, c->command (8 ports) and c->control (1). */
int ide_init(struct ide_channel *c, const struct ata_unit units[IDE_DRIVES],
             struct err *e);
void ide_exit(struct ide_channel *c);
void ide_reset(struct ide_channel *c); /* power-on state */
int ide_loaded(struct ide_channel *c);

/* What DMA is to move now: n bytes at p, to memory or from it; 0: nothing. */
uint32_t ide_dma(struct ide_channel *c, uint8_t **p, bool *to_memory);
/* n of them were moved. */
void ide_dma_moved(struct ide_channel *c, uint32_t n);

#endif
