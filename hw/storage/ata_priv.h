/* Between the files of the ATA drive. Machine lock held throughout. */
#ifndef HW_STORAGE_ATA_PRIV_H
#define HW_STORAGE_ATA_PRIV_H

#include "hw/storage/ata.h"

enum {
    ATA_MULTIPLE_MAX = 16,
    ATA_TRIM_BLOCKS = 8,  /* of ranges in one DATA SET MANAGEMENT */
    SMART_MAGIC = 0xc24f, /* LBA mid and high of every SMART command */
};

/* How a command's body goes on; anything above is an error register. */
enum { ATA_GO = 0, ATA_STARTED = 0x100 };

/* Gives n bytes in t->buf to the guest. */
int ata_reply(struct ata_task *t, uint32_t n);
/* The end, in whatever way. */
void ata_finish(struct ata_task *t, uint8_t status, uint8_t error);
/* t->kind, data, off and left are set. */
void ata_advance(struct ata_task *t);

/* IDENTIFY DEVICE and IDENTIFY PACKET DEVICE: 512 bytes. */
void ata_identify(const struct ata_drive *d, uint8_t *out);
int ata_set_features(struct ata_task *t);
int ata_smart(struct ata_task *t);
int ata_read_log(struct ata_task *t);

/* The packet has come. */
void atapi_run(struct ata_task *t);
void atapi_failed(struct ata_task *t, struct sense s);
/* A request to the medium failed. */
void atapi_medium_error(struct ata_task *t);
void atapi_params(struct ata_task *t);
void atapi_changed(struct media_drive *m);
void atapi_wanted(struct media_drive *m);

#endif
