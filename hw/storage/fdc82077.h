/*
 * Floppy disk controller with two drives: Intel 82077AA (290166), PC-AT mode,
 * on the ISA bus: ports 0x3f0–0x3f5 and 0x3f7, IRQ 6, DMA channel 2.
 * Machine lock held.
 *
 * Deviations: seeks take no time; READ TRACK goes by sector numbers; no SCAN;
 * a drive without a medium fails where a real one would never answer.
 */
#ifndef HW_STORAGE_FDC82077_H
#define HW_STORAGE_FDC82077_H

#include "hw/storage/floppy.h"
#include "lodge/media.h"

extern const struct dev_class fdc82077_class;

enum { FDC_DRIVES = 2, FDC_SELECTS = 4, FDC_COMMAND_MAX = 9, FDC_RESULTS = 10 };

enum fdc_phase { FDC_COMMAND, FDC_EXECUTION, FDC_RESULT, FDC_PHASES };

/* A command that moves sectors, while it is carried out. */
struct fdc_transfer {
    uint8_t cylinder, head, sector; /* wanted now */
    uint8_t last;                   /* EOT */
    uint8_t left;                   /* VERIFY and FORMAT: sectors to come */
    uint16_t pos;                   /* without DMA: bytes of buf moved */
    uint16_t want;                  /* without DMA: bytes in all */
};

struct fdc_drive {
    struct media_drive media;
    const struct floppy_format *format; /* NULL: no medium */
    uint8_t track;                      /* where its heads are */
    uint8_t next_id;                    /* sector that READ ID meets next */
    bool changed;                       /* the disk change line */
};

struct fdc {
    struct dev dev;
    struct {
        struct blk *blk;
        bool present, readonly;
        const char *name;
    } unit[FDC_DRIVES]; /* properties */
    struct fdc_drive drive[FDC_DRIVES];
    struct region low, high;

    uint8_t dor, dsr, tdr, rate;
    uint8_t phase;
    uint8_t command[FDC_COMMAND_MAX], ncommand;
    uint8_t result[FDC_RESULTS], nresult, next_result;
    uint8_t pcn[FDC_SELECTS];
    uint8_t specify[2], config, pretrack, perpendicular;
    bool lock;
    uint8_t sense[FDC_SELECTS], sensing; /* ST0 to be sensed; a bit a drive */
    bool interrupt, line;
    struct fdc_transfer t;
    uint8_t buf[FLOPPY_SECTOR];

    struct blk_req req;
    struct span span;
    bool called, aborted;
};

/* --- between fdc82077.c (registers, phases) and fdc_commands.c --- */
enum { /* status registers 0 to 2 */
       ST0_ABNORMAL = 0x40,
       ST0_INVALID = 0x80,
       ST0_SEEK_END = 0x20,
       ST0_EQUIPMENT = 0x10,
       ST1_END = 0x80,
       ST1_CRC = 0x20,
       ST1_OVERRUN = 0x10,
       ST1_NO_DATA = 0x04,
       ST1_PROTECTED = 0x02,
       ST1_NO_MARK = 0x01,
       ST2_CRC = 0x20,
       ST2_WRONG_CYLINDER = 0x10,
       ST2_DELETED = 0x40,
};

/* Bytes of the command that begins with this one. */
unsigned fdc_command_bytes(uint8_t first);
/* All of them are there. */
void fdc_execute(struct fdc *f);
/* Without DMA: buf was read or filled. */
void fdc_buffer_moved(struct fdc *f);
void fdc_call_done(struct blk_req *r, int error);

/* The result phase; interrupt: with IRQ. */
void fdc_results(struct fdc *f, const uint8_t *p, unsigned n, bool interrupt);
/* No result phase. */
void fdc_no_results(struct fdc *f);
/* An interrupt for SENSE INTERRUPT STATUS to explain. */
void fdc_sense_later(struct fdc *f, unsigned drive, uint8_t st0);
void fdc_interrupt(struct fdc *f, bool level);
void fdc_reset_done(struct fdc *f);
void fdc_drive_changed(struct media_drive *m);

static inline bool fdc_uses_dma(const struct fdc *f)
{
    return !(f->specify[1] & 1);
}

#endif
