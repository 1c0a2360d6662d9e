/*
 * ATA and ATAPI drives: what commands do, whichever controller they come
 * through (hw/storage/ide.h, hw/storage/ahci.c). Machine lock held.
 * Spec: ATA/ATAPI-8 ACS (T13/1699-D); for packets MMC-5 (T10/1675-D) and
 * SPC-3 (T10/1416-D).
 *
 * A command is a task. The controller fills the task's registers and buffer
 * and calls ata_start(); the drive then asks it, by ops->move, to carry the
 * task's chunk between buf and the guest, which answers with ata_moved() when
 * it has been done, now or later; at the end comes ops->done. A task whose
 * request is on its way to the medium cannot be dropped: ata_abort() makes it
 * end in ops->drained instead, with nothing moved any more. Until then the
 * drive is busy, as one that was reset is.
 */
#ifndef HW_STORAGE_ATA_H
#define HW_STORAGE_ATA_H

#include "lodge/device.h"
#include "lodge/media.h"

enum { /* status register, §7.15.6 */
       ATA_ERR = 0x01,
       ATA_DRQ = 0x08,
       ATA_DSC = 0x10, /* seek complete; service for queued commands */
       ATA_DF = 0x20,
       ATA_DRDY = 0x40,
       ATA_BSY = 0x80,
};
enum { /* error register, §7.15.5 */
       ATA_ABRT = 0x04,
       ATA_IDNF = 0x10,
       ATA_UNC = 0x40,
};
enum { ATA_PASSED = 0x01 }; /* diagnostic code: device 0 is all right */
/* Commands that a channel has to know. */
enum { ATA_DEVICE_RESET = 0x08, ATA_DIAGNOSE = 0x90 };
enum { ATA_DEV_LBA = 0x40, ATA_DEV_ALWAYS = 0xa0 }; /* device register */
enum { ATA_PACKET_IO = 2, ATA_PACKET_CD = 1 };      /* interrupt reason */

enum { ATA_SECTOR = 512, CD_BLOCK = 2048, ATA_PACKET_BYTES = 12 };

/* How a chunk travels. */
enum ata_data { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA_IN, ATA_DMA_OUT };

/* The command block registers. Those of 48 bits commands are the present
   contents below and the previous ones above. */
struct ata_tf {
    uint64_t lba; /* 48 bits */
    uint16_t feature, count;
    uint8_t device, command, status, error;
};

enum ata_kind {             /* where a chunk comes from or goes to */
                ATA_BUFFER, /* made by the drive */
                ATA_MEDIUM,
                ATA_VERIFY, /* read, but not moved */
                ATA_CACHE,  /* being flushed */
                ATA_TRIM,   /* ranges to discard */
                ATA_PARAMS, /* MODE SELECT and the like */
                ATA_KINDS,
};

enum ata_phase {
    ATA_IDLE,
    ATA_CALLED, /* a request is on its way to the medium */
    ATA_PACKET, /* the controller is to bring the packet */
    ATA_MOVING, /* the controller is to move the chunk */
    ATA_PHASES,
};

struct ata_drive;

struct ata_task {
    struct ata_drive *drive;
    uint8_t *buf; /* the controller's */
    uint32_t buf_bytes;

    struct ata_tf tf;
    uint8_t packet[16];
    uint8_t phase; /* enum ata_phase */
    uint8_t kind;  /* enum ata_kind */
    uint8_t data;  /* enum ata_data */
    uint64_t off;  /* on the medium, of the chunk */
    uint64_t left; /* bytes, this chunk included */
    uint32_t chunk;
    uint32_t range; /* ATA_TRIM: the next */
    uint32_t block; /* bytes the guest may see at once, PIO */
    bool fua, packet_cmd;

    struct blk_req req;
    struct span span;
    bool aborted;
};
extern const struct field ata_tf_fields[], ata_task_fields[];

struct ata_host_ops {
    /* Phase ATA_PACKET: bring t->packet; ATA_MOVING: t->chunk bytes of t->buf
       in the direction of t->data. Then ata_moved(). */
    void (*move)(struct ata_task *t);
    void (*done)(struct ata_task *t); /* t->tf says how it ended */
    void (*drained)(struct ata_task *t);
    /* A drive with a removable medium has news; AHCI tells the guest. */
    void (*notify)(struct ata_drive *d);
};

/* The properties of one drive on a controller. */
struct ata_unit {
    struct blk *blk;
    const char *serial, *name;
    bool cdrom, readonly;
};
#define ATA_UNIT_PROPS(s, m, n)                                                \
    {"drive" #n,                                                               \
     "the disk or medium of drive " #n,                                        \
     offsetof(s, m[n].blk),                                                    \
     PROP_BLK,                                                                 \
     false,                                                                    \
     0,                                                                        \
     0,                                                                        \
     0},                                                                       \
        {"serial" #n,                                                          \
         "its serial number, up to 20 characters",                             \
         offsetof(s, m[n].serial),                                             \
         PROP_STRING,                                                          \
         false,                                                                \
         0,                                                                    \
         0,                                                                    \
         0},                                                                   \
        {"name" #n,                                                            \
         "how a removable medium is named to change it",                       \
         offsetof(s, m[n].name),                                               \
         PROP_STRING,                                                          \
         false,                                                                \
         0,                                                                    \
         0,                                                                    \
         0},                                                                   \
        {"cdrom" #n,                                                           \
         "it is a CD-ROM drive",                                               \
         offsetof(s, m[n].cdrom),                                              \
         PROP_BOOL,                                                            \
         false,                                                                \
         0,                                                                    \
         0,                                                                    \
         0},                                                                   \
    {                                                                          \
        "readonly" #n, "refuse to write", offsetof(s, m[n].readonly),          \
            PROP_BOOL, false, 0, 0, 0                                          \
    }

/* SCSI sense data: key, additional code and its qualifier. */
struct sense {
    uint8_t key, asc, ascq;
};

struct ata_drive {
    const struct ata_host_ops *host;
    struct dev *dev;
    struct blk *blk; /* of a disk; a CD-ROM's is media.medium */
    struct media_drive media;
    char serial[21];
    bool present, cdrom, readonly;
    bool sata; /* behind AHCI: queued commands, no jumpers */
    uint8_t unit;
    uint64_t sectors; /* of a disk */
    uint32_t heads_max, cylinders_max;

    /* What the guest has set. */
    uint8_t heads, sectors_per_track; /* its own geometry, 28-bit CHS */
    uint8_t multiple;                 /* sectors a block; 0: off */
    uint8_t mwdma, udma;              /* the mode chosen, a bit */
    bool write_cache, look_ahead, smart;
    uint8_t power; /* what CHECK POWER MODE answers */

    /* CD-ROM */
    struct sense sense, attention;
    uint8_t event; /* of the media class, for GET EVENT STATUS */
    bool tray_open, prevent;

    /* The last queued command that failed: log 10h. */
    uint8_t ncq_error[ATA_SECTOR];
};
extern const struct field ata_drive_fields[];

/* At attach: takes the unit's properties. */
int ata_drive_init(struct ata_drive *d, struct dev *dev, unsigned unit,
                   const struct ata_unit *u, const struct ata_host_ops *host,
                   bool sata, struct err *e);
void ata_drive_exit(struct ata_drive *d);
/* power_on: RESET#, COMRESET; else a software reset, which spares settings. */
void ata_drive_reset(struct ata_drive *d, bool power_on);
int ata_drive_loaded(struct ata_drive *d);
/* What the registers hold after a reset: §9.12, "signature". */
void ata_signature(const struct ata_drive *d, struct ata_tf *tf);

/* buf, of at least 8 KB, is the task's for as long as it lives. */
void ata_task_init(struct ata_task *t, uint8_t *buf, uint32_t bytes);
/* t->drive and t->tf are set; t is idle. */
void ata_start(struct ata_task *t);
/* ok: false where memory could not be reached: the command fails. */
void ata_moved(struct ata_task *t, bool ok);
/* True: t is idle now; false: ops->drained comes. */
bool ata_abort(struct ata_task *t);
/* Is it one of the queued commands (FPDMA)? */
bool ata_is_queued(uint8_t command);

#endif
