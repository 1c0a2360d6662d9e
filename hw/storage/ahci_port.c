/* A port of an AHCI controller: chapters 3.3, 4 and 5 of the specification. */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/storage/ahci.h"

enum { /* registers */
       PX_CLB = 0x00,
       PX_CLBU = 0x04,
       PX_FB = 0x08,
       PX_FBU = 0x0c,
       PX_IS = 0x10,
       PX_IE = 0x14,
       PX_CMD = 0x18,
       PX_TFD = 0x20,
       PX_SIG = 0x24,
       PX_SSTS = 0x28,
       PX_SCTL = 0x2c,
       PX_SERR = 0x30,
       PX_SACT = 0x34,
       PX_CI = 0x38,
};

#define IS_DHRS BIT(0)  /* a register FIS */
#define IS_PSS  BIT(1)  /* a PIO setup FIS */
#define IS_SDBS BIT(3)  /* a set device bits FIS */
#define IS_PCS  BIT(6)  /* SERR.DIAG.X */
#define IS_PRCS BIT(22) /* SERR.DIAG.N */
#define IS_OFS  BIT(24) /* more data than room */
#define IS_HBFS BIT(29) /* memory could not be reached */
#define IS_TFES BIT(30) /* the drive reports an error */
#define IS_ALL                                                                 \
    (IS_DHRS | IS_PSS | IS_SDBS | IS_PCS | IS_PRCS | IS_OFS | IS_HBFS |        \
     IS_TFES | BIT(5))

#define CMD_ST       BIT(0)
#define CMD_SUD      BIT(1)
#define CMD_POD      BIT(2)
#define CMD_CLO      BIT(3)
#define CMD_FRE      BIT(4)
#define CMD_CCS      0x1f00u
#define CMD_FR       BIT(14)
#define CMD_CR       BIT(15)
#define CMD_WRITABLE (CMD_ST | CMD_FRE | BIT(24) | BIT(25))

#define SERR_N BIT(16) /* PhyRdy changed */
#define SERR_X BIT(26) /* a device was found */

enum { SSTS_NONE = 0, SSTS_UP = 0x123, SSTS_RESET = 0x001, SSTS_OFF = 0x004 };
enum { DET = 0x0f, DET_COMRESET = 1, DET_OFF = 4 };

enum { /* of a command header */
       H_CFL = 0x1f,
       H_WRITE = 1 << 6,
       H_CLEAR_BUSY = 1 << 10,
       HEADER_BYTES = 32,
};
enum { TABLE_ACMD = 0x40, TABLE_PRDT = 0x80, PRD_BYTES = 16 };

enum { /* where frames go in the receive area, and their kinds */
       FB_PIO_SETUP = 0x20,
       FB_D2H = 0x40,
       FB_DEVICE_BITS = 0x58,
       FIS_H2D = 0x27,
       FIS_D2H = 0x34,
       FIS_PIO_SETUP = 0x5f,
       FIS_DEVICE_BITS = 0xa1,
       FIS_INTERRUPT = 0x40,
       FIS_FROM_DEVICE = 0x20,
};

static struct pci_dev *pci_of(const struct ahci_port *p)
{
    return &p->hba->pci;
}

/* --- interrupts and frames --- */

static void raise(struct ahci_port *p, uint32_t why)
{
    p->is |= why;
    ahci_update(p->hba);
}

static void receive(struct ahci_port *p, unsigned at, const uint8_t *fis,
                    unsigned n)
{
    if (p->cmd & CMD_FRE)
        (void)pci_store(pci_of(p), p->fb + at, fis, n);
}

/* The registers of a drive as a D2H register FIS or PIO setup FIS has them. */
static void put_registers(uint8_t *fis, const struct ata_tf *tf)
{
    fis[2] = tf->status;
    fis[3] = tf->error;
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = (uint8_t)(tf->lba >> 8 * i);
        fis[8 + i] = (uint8_t)(tf->lba >> (24 + 8 * i));
    }
    fis[7] = tf->device;
    store_le16(fis + 12, tf->count);
}

static void set_tfd(struct ahci_port *p, const struct ata_tf *tf)
{
    p->tfd = (uint32_t)tf->error << 8 | tf->status;
}

static void send_registers(struct ahci_port *p, const struct ata_tf *tf,
                           bool interrupt)
{
    uint8_t fis[20] = {FIS_D2H, interrupt ? FIS_INTERRUPT : 0};

    put_registers(fis, tf);
    receive(p, FB_D2H, fis, sizeof fis);
    set_tfd(p, tf);
    if (tf->status & ATA_ERR)
        raise(p, IS_TFES);
    if (interrupt)
        raise(p, IS_DHRS);
}

/* PIO to the host ends with the last block, without a register FIS. */
static void send_pio_setup(struct ahci_port *p, const struct ata_tf *tf,
                           uint32_t bytes)
{
    uint8_t fis[20] = {FIS_PIO_SETUP, FIS_INTERRUPT | FIS_FROM_DEVICE};

    put_registers(fis, tf);
    fis[2] |= ATA_DRQ;
    fis[15] = tf->status;
    store_le16(fis + 16, (uint16_t)MIN(bytes, 0xfffe));
    receive(p, FB_PIO_SETUP, fis, sizeof fis);
    set_tfd(p, tf);
    raise(p, IS_PSS);
}

static void send_device_bits(struct ahci_port *p, const struct ata_tf *tf,
                             uint32_t finished)
{
    uint8_t fis[8] = {FIS_DEVICE_BITS, FIS_INTERRUPT, tf->status & 0x77,
                      tf->error};

    store_le32(fis + 4, finished);
    receive(p, FB_DEVICE_BITS, fis, sizeof fis);
    p->tfd = (p->tfd & 0x88) | (uint32_t)tf->error << 8 | (tf->status & 0x77);
    p->sact &= ~finished;
    if (tf->status & ATA_ERR)
        raise(p, IS_TFES);
    raise(p, IS_SDBS);
}

static void halt(struct ahci_port *p, uint32_t why)
{
    p->halted = true;
    if (why)
        raise(p, why);
}

/* --- a drive's signature, after resets --- */

static void send_signature(struct ahci_port *p)
{
    struct ata_tf tf = {.error = ATA_PASSED,
                        .status = p->drive.cdrom ? 0 : ATA_DRDY | ATA_DSC};

    ata_signature(&p->drive, &tf);
    p->sig = (uint32_t)tf.lba << 8 | (tf.count & 0xff);
    send_registers(p, &tf, false);
}

/* The link comes up, if there is somebody at its other end. */
static void connect(struct ahci_port *p)
{
    p->comreset = p->srst = false;
    if (!p->drive.present) {
        p->ssts = SSTS_NONE;
        p->sig = 0xffffffff;
        p->tfd = 0x7f;
        return;
    }
    p->ssts = SSTS_UP;
    p->serr |= SERR_X | SERR_N;
    ata_drive_reset(&p->drive, true);
    send_signature(p);
    ahci_update(p->hba);
}

/* --- moving data: §5.3, physical region descriptors --- */

static bool next_prd(struct ahci_slot *s)
{
    uint8_t prd[PRD_BYTES];

    if (s->next_prd == s->prds ||
        pci_load(pci_of(s->port),
                 s->table + TABLE_PRDT + (uint64_t)PRD_BYTES * s->next_prd, prd,
                 sizeof prd) < 0)
        return false;
    s->next_prd++;
    s->prd_addr = load_le64(prd) & ~1ull;
    s->prd_left = (load_le32(prd + 12) & 0x3fffff) + 1;
    return true;
}

/* False: memory that is not there. What finds no room is lost. */
static bool carry(struct ahci_slot *s, uint8_t *buf, uint32_t n, bool out)
{
    struct pci_dev *pci = pci_of(s->port);

    while (n) {
        uint32_t k;
        int r;

        if (!s->prd_left && s->next_prd == s->prds) {
            raise(s->port, IS_OFS);
            if (out)
                memset(buf, 0, n);
            return !out;
        }
        if (!s->prd_left && !next_prd(s))
            return false;
        k = MIN(n, s->prd_left);
        r = out ? pci_load(pci, s->prd_addr, buf, k)
                : pci_store(pci, s->prd_addr, buf, k);
        if (r < 0)
            return false;
        s->prd_addr += k;
        s->prd_left -= k;
        s->moved += k;
        buf += k;
        n -= k;
    }
    return true;
}

static struct ahci_slot *slot_of(struct ata_task *t)
{
    return container_of(t, struct ahci_slot, task);
}

static uint32_t bit_of(const struct ahci_slot *s)
{
    return BIT((unsigned)(s - s->port->slot));
}

static void port_move(struct ata_task *t)
{
    struct ahci_slot *s = slot_of(t);
    struct ahci_port *p = s->port;
    bool out = t->data == ATA_PIO_OUT || t->data == ATA_DMA_OUT, ok;

    if (t->phase == ATA_PACKET)
        ok = pci_load(pci_of(p), s->table + TABLE_ACMD, t->packet,
                      sizeof t->packet) == 0;
    else
        ok = carry(s, t->buf, t->chunk, out);
    if (ok) {
        ata_moved(t, true);
        return;
    }
    /* Fatal for the port: the command hangs until software resets it. */
    (void)ata_abort(t);
    p->running &= ~bit_of(s);
    halt(p, IS_HBFS);
}

/* --- the end of commands --- */

static void put_moved(struct ahci_slot *s)
{
    struct ahci_port *p = s->port;
    uint8_t bytes[4];

    store_le32(bytes, s->moved);
    (void)pci_store(pci_of(p),
                    p->clb + HEADER_BYTES * (uint64_t)(s - p->slot) + 4, bytes,
                    sizeof bytes);
}

/* Log 10h: which queued command failed, and how (ACS-2 §A.14). */
static void note_failure(struct ahci_port *p, unsigned tag,
                         const struct ata_tf *tf)
{
    uint8_t *log = p->drive.ncq_error;

    memset(log, 0, ATA_SECTOR);
    log[0] = (uint8_t)tag;
    put_registers(log, tf);
}

static void finish_queued(struct ahci_slot *s, const struct ata_tf *tf)
{
    struct ahci_port *p = s->port;
    unsigned tag = tf->count >> 3 & 31;

    if (!(tf->status & ATA_ERR)) {
        send_device_bits(p, tf, BIT(tag));
        return;
    }
    /* All others end with it, unheard. */
    note_failure(p, tag, tf);
    (void)ahci_port_drop(p);
    halt(p, 0);
    send_device_bits(p, tf, 0);
}

static void port_done(struct ata_task *t)
{
    struct ahci_slot *s = slot_of(t);
    struct ahci_port *p = s->port;
    bool failed = t->tf.status & ATA_ERR;
    bool pio_in = t->data == ATA_PIO_IN && !t->packet_cmd && s->moved;

    p->running &= ~bit_of(s);
    if (s->queued) {
        finish_queued(s, &t->tf);
        ahci_port_go(p);
        return;
    }
    put_moved(s);
    if (failed)
        halt(p, 0); /* and its bit in PxCI stays */
    else
        p->ci &= ~bit_of(s);
    if (pio_in && !failed)
        send_pio_setup(p, &t->tf, s->moved);
    else
        send_registers(p, &t->tf, true);
    ahci_port_go(p);
}

static void settle(struct ahci_port *p)
{
    if (p->running || !p->settling)
        return;
    p->settling = false;
    if (!(p->cmd & CMD_ST))
        p->cmd &= ~(CMD_CR | CMD_CCS);
    if (p->hba->resetting)
        ahci_settled(p->hba);
    else if (p->comreset && (p->sctl & DET) != DET_COMRESET)
        connect(p);
}

static void port_drained(struct ata_task *t)
{
    struct ahci_slot *s = slot_of(t);
    struct ahci_port *p = s->port;

    p->running &= ~bit_of(s);
    p->dropping &= ~bit_of(s);
    settle(p);
    ahci_port_go(p);
}

bool ahci_port_drop(struct ahci_port *p)
{
    for (uint32_t left = p->running & ~p->dropping; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);

        if (ata_abort(&p->slot[n].task))
            p->running &= ~BIT(n);
        else
            p->dropping |= BIT(n);
    }
    return !p->running;
}

static const struct ata_host_ops host_ops = {
    .move = port_move,
    .done = port_done,
    .drained = port_drained,
};

/* --- fetching commands --- */

/* A register FIS with the C bit clear: only device control is looked at. */
static void control(struct ahci_port *p, struct ahci_slot *s,
                    const uint8_t *fis)
{
    bool srst = fis[15] & 4;

    if (srst && !p->srst) {
        (void)ahci_port_drop(p);
        ata_drive_reset(&p->drive, false);
        p->tfd = ATA_BSY;
    }
    p->ci &= ~bit_of(s);
    if (!srst && p->srst) {
        p->srst = false;
        send_signature(p);
        return;
    }
    p->srst = srst;
    if (s->flags & H_CLEAR_BUSY)
        p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
}

static void start(struct ahci_port *p, struct ahci_slot *s, const uint8_t *fis)
{
    struct ata_task *t = &s->task;

    t->tf = (struct ata_tf){
        .command = fis[2],
        .feature = (uint16_t)(fis[3] | fis[11] << 8),
        .lba = fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 |
               (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 |
               (uint64_t)fis[10] << 40,
        .device = fis[7],
        .count = load_le16(fis + 12),
    };
    s->queued = !p->drive.cdrom && ata_is_queued(t->tf.command);
    s->prd_left = s->moved = 0;
    s->next_prd = 0;
    p->running |= bit_of(s);
    if (s->queued) {
        struct ata_tf accepted = {.status = ATA_DRDY | ATA_DSC};

        p->ci &= ~bit_of(s);
        send_registers(p, &accepted, false);
    } else {
        p->tfd = ATA_BSY;
    }
    ata_start(t);
}

/* The command in slot n. */
static void fetch(struct ahci_port *p, unsigned n)
{
    struct ahci_slot *s = &p->slot[n];
    uint8_t header[16], fis[20];

    p->cmd = (p->cmd & ~CMD_CCS) | n << 8;
    if (pci_load(pci_of(p), p->clb + (uint64_t)HEADER_BYTES * n, header,
                 sizeof header) < 0) {
        halt(p, IS_HBFS);
        return;
    }
    s->flags = load_le16(header);
    s->prds = load_le16(header + 2);
    s->table = load_le64(header + 8) & ~0x7full;
    if (pci_load(pci_of(p), s->table, fis, sizeof fis) < 0) {
        halt(p, IS_HBFS);
        return;
    }
    if ((s->flags & H_CFL) < 2 || fis[0] != FIS_H2D || (fis[1] & 0x0f)) {
        p->tfd = ATA_BSY; /* nobody answers */
        halt(p, 0);
    } else if (!(fis[1] & 0x80)) {
        control(p, s, fis);
    } else {
        start(p, s, fis);
    }
}

/* Queued commands go on beside each other; any other one has the port for
   itself, which BSY tells. */
static bool may_fetch(const struct ahci_port *p)
{
    uint32_t wait = p->cmd & CMD_ST ? p->ci & ~p->running : 0;

    return wait && !p->halted && !p->settling && !p->dropping &&
           !p->hba->paused && !p->comreset && p->drive.present &&
           pci_is_master(pci_of(p)) && !(p->tfd & (ATA_BSY | ATA_DRQ));
}

/* A command may be over before fetch() returns; then it asks for the next. */
void ahci_port_go(struct ahci_port *p)
{
    if (p->fetching) {
        p->again = true;
        return;
    }
    p->fetching = true;
    do {
        p->again = false;
        while (may_fetch(p))
            fetch(p, (unsigned)__builtin_ctz(p->ci & ~p->running));
    } while (p->again);
    p->fetching = false;
}

/* --- registers --- */

static uint32_t status_bits(const struct ahci_port *p)
{
    uint32_t v = p->is;

    if (p->serr & SERR_X)
        v |= IS_PCS;
    if (p->serr & SERR_N)
        v |= IS_PRCS;
    return v;
}

uint32_t ahci_port_read(struct ahci_port *p, unsigned off)
{
    switch (off) {
    case PX_CLB: return (uint32_t)p->clb;
    case PX_CLBU: return (uint32_t)(p->clb >> 32);
    case PX_FB: return (uint32_t)p->fb;
    case PX_FBU: return (uint32_t)(p->fb >> 32);
    case PX_IS: return status_bits(p);
    case PX_IE: return p->ie;
    case PX_CMD: return p->cmd | CMD_SUD | CMD_POD;
    case PX_TFD: return p->tfd;
    case PX_SIG: return p->sig;
    case PX_SSTS: return p->ssts;
    case PX_SCTL: return p->sctl;
    case PX_SERR: return p->serr;
    case PX_SACT: return p->sact;
    case PX_CI: return p->ci;
    default: return 0;
    }
}

static void stop(struct ahci_port *p)
{
    p->ci = p->sact = 0;
    p->halted = false;
    p->settling = true;
    (void)ahci_port_drop(p);
    settle(p);
}

static void write_cmd(struct ahci_port *p, uint32_t v)
{
    uint32_t was = p->cmd;

    p->cmd = (p->cmd & ~CMD_WRITABLE) | (v & CMD_WRITABLE);
    p->cmd = p->cmd & CMD_FRE ? p->cmd | CMD_FR : p->cmd & ~CMD_FR;
    if (v & CMD_CLO)
        p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    if ((was & CMD_ST) && !(v & CMD_ST))
        stop(p);
    else if (v & CMD_ST)
        p->cmd |= CMD_CR;
}

static void write_sctl(struct ahci_port *p, uint32_t v)
{
    unsigned was = p->sctl & DET, now = v & DET;

    p->sctl = v & 0xfff;
    if (now == DET_COMRESET && was != DET_COMRESET) {
        p->comreset = true;
        p->tfd = 0x7f;
        p->ssts = p->drive.present ? SSTS_RESET : SSTS_NONE;
        p->settling = true;
        (void)ahci_port_drop(p);
        settle(p);
    } else if (now == 0 && was == DET_COMRESET) {
        if (!p->settling)
            connect(p);
    } else if (now == DET_OFF) {
        p->ssts = SSTS_OFF;
    }
}

void ahci_port_write(struct ahci_port *p, unsigned off, uint32_t v)
{
    switch (off) {
    case PX_CLB: p->clb = (p->clb & ~mask_low(32)) | (v & ~0x3ffu); break;
    case PX_CLBU: p->clb = (uint32_t)p->clb | (uint64_t)v << 32; break;
    case PX_FB: p->fb = (p->fb & ~mask_low(32)) | (v & ~0xffu); break;
    case PX_FBU: p->fb = (uint32_t)p->fb | (uint64_t)v << 32; break;
    case PX_IS: p->is &= ~v; break;
    case PX_IE: p->ie = v & IS_ALL; break;
    case PX_CMD: write_cmd(p, v); break;
    case PX_SCTL: write_sctl(p, v); break;
    case PX_SERR: p->serr &= ~v; break;
    case PX_SACT:
        if (p->cmd & CMD_ST)
            p->sact |= v;
        break;
    case PX_CI:
        if (p->cmd & CMD_ST)
            p->ci |= v;
        break;
    default: break;
    }
    ahci_update(p->hba);
    ahci_port_go(p);
}

/* --- life --- */

void ahci_port_reset(struct ahci_port *p)
{
    p->clb = p->fb = 0;
    p->is = p->ie = p->cmd = p->sctl = p->serr = p->sact = p->ci = 0;
    p->halted = p->settling = false;
    p->running = p->dropping = 0;
    connect(p);
}

static int make_slots(struct ahci_port *p, struct err *e)
{
    p->slot = host_alloc(AHCI_SLOTS * sizeof *p->slot);
    p->bufs = host_ram_alloc((size_t)AHCI_SLOTS * AHCI_BUF);
    if (!p->slot || !p->bufs)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left",
                       p->hba->dev.id);
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        p->slot[i].port = p;
        p->slot[i].task.drive = &p->drive;
        ata_task_init(&p->slot[i].task, p->bufs + (size_t)AHCI_BUF * i,
                      AHCI_BUF);
    }
    return 0;
}

int ahci_port_init(struct ahci_port *p, struct ahci *s, unsigned n,
                   struct err *e)
{
    int r;

    p->hba = s;
    p->n = n;
    r = ata_drive_init(&p->drive, &s->dev, n, &s->unit[n], &host_ops, true, e);
    if (r == 0 && p->drive.present)
        r = make_slots(p, e);
    if (r < 0)
        ahci_port_exit(p);
    return r;
}

void ahci_port_exit(struct ahci_port *p)
{
    ata_drive_exit(&p->drive);
    host_free(p->slot);
    if (p->bufs)
        host_ram_free(p->bufs, (size_t)AHCI_SLOTS * AHCI_BUF);
    p->slot = NULL;
    p->bufs = NULL;
}

int ahci_port_loaded(struct ahci_port *p)
{
    p->clb &= ~0x3ffull;
    p->fb &= ~0xffull;
    p->is &= IS_ALL; /* the table bounds numbers, not bits */
    p->ie &= IS_ALL;
    p->running = p->dropping = 0;
    p->settling = false;
    return ata_drive_loaded(&p->drive);
}

const struct field ahci_port_fields[] = {
    FIELD_SUB(struct ahci_port, drive, struct ata_drive, ata_drive_fields),
    FIELD64(struct ahci_port, clb),
    FIELD64(struct ahci_port, fb),
    FIELD_MAX(struct ahci_port, is, 32, IS_ALL),
    FIELD_MAX(struct ahci_port, ie, 32, IS_ALL),
    FIELD32(struct ahci_port, cmd),
    FIELD32(struct ahci_port, tfd),
    FIELD32(struct ahci_port, sig),
    FIELD32(struct ahci_port, ssts),
    FIELD32(struct ahci_port, sctl),
    FIELD32(struct ahci_port, serr),
    FIELD32(struct ahci_port, sact),
    FIELD32(struct ahci_port, ci),
    FIELDB(struct ahci_port, halted),
    FIELDB(struct ahci_port, comreset),
    FIELDB(struct ahci_port, srst),
    FIELD_END,
};
