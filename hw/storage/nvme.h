/*
 * NVM Express controller with one namespace: NVMe 1.4. nvme.c has registers,
 * queues and requests, nvme_admin.c and nvme_io.c what commands do. Machine
 * lock held.
 *
 * Data goes through a buffer of each request, so that a controller reset can
 * let go of guest memory at once: what comes back from the disk afterwards
 * reaches nobody. A command is fetched only when there is room for its answer
 * in the completion queue.
 */
#ifndef HW_STORAGE_NVME_H
#define HW_STORAGE_NVME_H

#include "lodge/pci.h"

enum {
    NVME_QUEUES = 17, /* the admin queue and 16 of each kind */
    NVME_ENTRIES = 1024,
    NVME_REQUESTS = 64,
    NVME_BUF = 128 << 10, /* MDTS: the largest transfer */
    NVME_MDTS = 5,        /* that, as a power of two of 4 KB pages */
    NVME_EVENTS = 4,      /* asynchronous event requests at a time */
    NVME_FEATURES = 12,
    NVME_COMMAND = 64, /* bytes of a command */
};

enum { /* status: code, type << 8, do not retry << 14 */
       NVME_OK = 0,
       NVME_BUSY = 0xffff, /* not a status: the command goes on… */
       NVME_KEPT = 0xfffe, /* … or is kept without its request */
       NVME_DNR = 1 << 14,
       NVME_INVALID_OPCODE = NVME_DNR | 0x01,
       NVME_INVALID_FIELD = NVME_DNR | 0x02,
       NVME_TRANSFER_ERROR = 0x04,
       NVME_INTERNAL = 0x06,
       NVME_ABORTED = 0x07,
       NVME_INVALID_NAMESPACE = NVME_DNR | 0x0b,
       NVME_PRP_OFFSET = NVME_DNR | 0x13,
       NVME_LBA_RANGE = NVME_DNR | 0x80,
       NVME_INVALID_CQ = NVME_DNR | 0x100,
       NVME_INVALID_QID = NVME_DNR | 0x101,
       NVME_INVALID_SIZE = NVME_DNR | 0x102,
       NVME_EVENT_LIMIT = NVME_DNR | 0x105,
       NVME_INVALID_VECTOR = NVME_DNR | 0x108,
       NVME_INVALID_LOG = NVME_DNR | 0x109,
       NVME_QUEUE_IN_USE = NVME_DNR | 0x10c,
       NVME_READ_ONLY = NVME_DNR | 0x182,
       NVME_WRITE_FAULT = 0x280,
       NVME_READ_ERROR = 0x281,
};

struct nvme;

struct nvme_cq {
    uint64_t base;
    uint16_t size, head, tail; /* size 0: there is no such queue */
    uint16_t vector;
    uint16_t owed; /* commands fetched whose answers go here */
    bool phase, interrupts;
};

struct nvme_sq {
    uint64_t base;
    uint16_t size, head, tail;
    uint16_t cq;
    uint16_t running;
    bool deleting;
};

struct nvme_req {
    struct blk_req r;
    struct nvme *c;
    struct list link; /* in nvme.idle */
    uint8_t command[NVME_COMMAND];
    uint16_t sq;
    bool busy;
    uint32_t result;        /* dword 0 of the answer */
    uint32_t bytes;         /* of data */
    uint32_t range, ranges; /* DATASET MANAGEMENT */
    struct span span;
    uint8_t *buf;
};

struct nvme {
    struct dev dev;
    struct pci_dev pci;
    struct pci_msix msix;
    struct region region;
    struct blk *blk;
    const char *serial; /* a property */
    char name[21];      /* the serial number, never empty */
    bool readonly;
    uint8_t lba_shift;
    struct nvme_req *req;
    uint8_t *bufs;
    struct list idle;
    unsigned busy;
    bool paused, going, again;
    bool shutting_down; /* a flush is on its way, for CC.SHN */
    struct blk_req flush;

    uint32_t cc, csts, aqa, intm;
    uint64_t asq, acq;
    struct nvme_sq sq[NVME_QUEUES];
    struct nvme_cq cq[NVME_QUEUES];
    uint32_t feature[NVME_FEATURES];
    uint16_t event[NVME_EVENTS]; /* identifiers of requests for events */
    uint8_t nevents;
    uint8_t errors; /* doorbell errors to be told: 1 register, 2 value */
    bool told;      /* one was, and its log has not been read since */
    bool dropping;  /* reset: nobody is told how requests end */
    uint64_t units[2], commands[2]; /* read and written, for the SMART log */
};

/* --- nvme.c --- */
static inline uint32_t nvme_page(const struct nvme *c)
{
    return 4096u << (c->cc >> 7 & 15);
}
/* n bytes between q->buf and the command's pages: a status. */
uint16_t nvme_copy(struct nvme_req *q, uint32_t n, bool to_guest);
void nvme_submit(struct nvme_req *q, enum blk_op op, uint64_t off,
                 uint64_t len);
void nvme_complete(struct nvme_req *q, uint16_t status);
/* Fetches what can be fetched. */
void nvme_go(struct nvme *c);
/* Tells of doorbell errors, if somebody asked. */
void nvme_tell(struct nvme *c);

/* --- commands: a status, or NVME_BUSY --- */
uint16_t nvme_admin(struct nvme_req *q);
uint16_t nvme_io(struct nvme_req *q);
/* The disk has answered. */
uint16_t nvme_io_done(struct nvme_req *q, int error);
/* The last command of a queue that is being deleted has ended. */
void nvme_sq_idle(struct nvme *c, unsigned sq);
/* Features as after a reset. */
void nvme_reset_features(struct nvme *c);

#endif
