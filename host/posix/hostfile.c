/* Files behind images (lodge/file.h): opening, locking, and what is done on a
   thread that may wait. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "host/posix/aio.h"
#include "host/posix/fdio.h"
#include "host/posix/loop.h"
#include "host/posix/oserr.h"
#include "host/posix/overlay.h"
#include "lodge/file.h"

struct host_file {
    struct loop *loop;
    struct aio *aio;
    int fd;
    uint64_t size;
    bool readonly;
    struct overlay *overlay; /* NULL: not temporary */
    atomic_bool no_discard;  /* the host said that it cannot */
    _Atomic unsigned inflight;
    struct host_event idle; /* inflight became 0 */
};

/* --- work, on a thread that may wait --- */

static int move(struct host_file *f, bool write, uint64_t off,
                const struct span *piece)
{
    if (f->overlay)
        return write ? overlay_write(f->overlay, off, piece->p, piece->n)
                     : overlay_read(f->overlay, off, piece->p, piece->n);
    return write ? fd_write(f->fd, off, piece->p, piece->n)
                 : fd_read(f->fd, off, piece->p, piece->n);
}

/* Span by span from r->host.progress on. */
static int work_move(struct host_file *f, struct blk_req *r)
{
    uint64_t skip = r->host.progress, off = r->off;
    int error = 0;

    for (unsigned i = 0; i < r->nsg && !error; i++) {
        struct span piece = r->sg[i];
        size_t done = (size_t)MIN(skip, piece.n);

        skip -= done;
        off += done;
        piece.p += done;
        piece.n -= done;
        error = move(f, r->op == BLK_WRITE, off, &piece);
        off += piece.n;
    }
    return error;
}

/* Only advice: where the host cannot, nothing is lost. */
static int work_discard(struct host_file *f, const struct blk_req *r)
{
    int error;

    if (f->overlay)
        return overlay_zero(f->overlay, r->off, r->len);
    if (atomic_load(&f->no_discard))
        return 0;
    error = fd_discard(f->fd, r->off, r->len);
    if (error == EOPNOTSUPP) {
        atomic_store(&f->no_discard, true);
        error = 0;
    }
    return error;
}

static int work_flush(struct host_file *f)
{
    if (f->readonly || f->overlay)
        return 0;
    return fdatasync(f->fd) ? errno : 0;
}

int file_work(struct blk_req *r)
{
    struct host_file *f = r->host.file;
    int error = 0;

    switch (r->op) {
    case BLK_READ:
    case BLK_WRITE: error = work_move(f, r); break;
    case BLK_FLUSH: error = work_flush(f); break;
    case BLK_DISCARD: error = work_discard(f, r); break;
    case BLK_ZERO:
        error = f->overlay ? overlay_zero(f->overlay, r->off, r->len)
                           : fd_zero(f->fd, r->off, r->len);
        break;
    }
    return error ? -le_of_errno(error) : 0;
}

/* --- requests --- */

void file_done(struct blk_req *r)
{
    struct host_file *f = r->host.file;
    int error = r->host.error;

    r->done(r, error); /* r is the submitter's again */
    if (atomic_fetch_sub(&f->inflight, 1) == 1)
        host_event_signal(&f->idle);
}

static void begin(struct host_file *f, struct blk_req *r)
{
    r->host.file = f;
    atomic_fetch_add(&f->inflight, 1);
}

void file_finish(struct host_file *f, struct blk_req *r, int error)
{
    begin(f, r);
    r->host.error = error;
    aio_finish(f->aio, r);
}

/* Is the range one that the host can address, and what the spans hold? */
static bool well_formed(const struct blk_req *r)
{
    uint64_t end, sum = 0;

    if (r->op == BLK_FLUSH)
        return true;
    if (!add_ok(r->off, r->len, &end) || end > INT64_MAX)
        return false;
    if (r->op != BLK_READ && r->op != BLK_WRITE)
        return true;
    for (unsigned i = 0; i < r->nsg; i++)
        if (!add_ok(sum, r->sg[i].n, &sum))
            return false;
    return sum == r->len;
}

void file_submit(struct host_file *f, struct blk_req *r)
{
    if (!well_formed(r)) {
        file_finish(f, r, -LE_RANGE);
        return;
    }
    if (f->readonly && r->op != BLK_READ && r->op != BLK_FLUSH) {
        file_finish(f, r, -LE_ACCESS);
        return;
    }
    begin(f, r);
    aio_submit(f->aio, r, f->fd, !f->overlay);
}

int file_read(struct host_file *f, uint64_t off, void *buf, size_t n)
{
    const struct span piece = {buf, n};
    int error = move(f, false, off, &piece);

    return error ? -le_of_errno(error) : 0;
}

int file_write(struct host_file *f, uint64_t off, const void *buf, size_t n)
{
    const struct span piece = {(uint8_t *)(uintptr_t)buf, n};
    int error = f->readonly ? EROFS : move(f, true, off, &piece);

    return error ? -le_of_errno(error) : 0;
}

uint64_t file_size(const struct host_file *f)
{
    return f->size;
}

/* --- opening --- */

/*
 * Open file description locks: they go with the descriptor, so that two VMs of
 * one process keep out of each other's way as well.
 */
static int lock_file(int fd, bool write, const char *path, struct err *e)
{
    struct flock l = {.l_type = write ? F_WRLCK : F_RDLCK,
                      .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &l) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(e, LE_BUSY,
                       "%s: it is in use by another VM or program%s", path,
                       write ? "" : ", which may change it");
    host_log(LOG_WARN, "%s: the host cannot lock it: use it only once", path);
    return 0;
}

static int find_size(struct host_file *f, const char *path, struct err *e)
{
    struct stat st;
    off_t end;

    if (fstat(f->fd, &st))
        return err_errno(e, errno, path);
    if (S_ISDIR(st.st_mode))
        return err_errno(e, EISDIR, path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return err_set(e, LE_USAGE,
                       "%s: it is neither a file nor a block device", path);
    end = lseek(f->fd, 0, SEEK_END);
    if (end < 0)
        return err_errno(e, errno, path);
    f->size = (uint64_t)end;
    return 0;
}

static int open_error(int error, bool write, const char *path, struct err *e)
{
    if (write && (error == EACCES || error == EROFS))
        return err_set(e, LE_ACCESS,
                       "%s: it cannot be written by this user: open it with "
                       "ro or temporary",
                       path);
    return err_errno(e, error, path);
}

static int open_parts(struct host_file *f, const char *path,
                      const struct file_options *o, struct err *e)
{
    bool write = !o->readonly && !o->temporary;
    int rc;

    /* Non-blocking only so as not to wait for the other end of a FIFO. */
    f->fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY |
                           O_NONBLOCK);
    if (f->fd < 0)
        return open_error(errno, write, path, e);
    rc = find_size(f, path, e);
    if (rc)
        return rc;
    fcntl(f->fd, F_SETFL, 0); /* O_NONBLOCK off again */
    rc = lock_file(f->fd, write, path, e);
    if (rc)
        return rc;
    if (o->temporary && !o->readonly) {
        f->overlay = overlay_create(f->fd, f->size, e);
        if (!f->overlay)
            return e ? e->code : -LE_IO;
    }
    f->aio = loop_aio(f->loop);
    if (!f->aio)
        return err_set(e, LE_NOMEM,
                       "%s: the host has no threads or memory left for it",
                       path);
    return 0;
}

int file_open(const char *path, const struct file_options *o, struct loop *loop,
              struct host_file **out, struct err *e)
{
    struct host_file *f = host_alloc(sizeof *f);
    int rc;

    *out = NULL;
    if (!f)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left for it",
                       path);
    f->loop = loop;
    f->readonly = o->readonly;
    host_event_init(&f->idle);
    rc = open_parts(f, path, o, e);
    if (rc) {
        file_close(f);
        return rc;
    }
    *out = f;
    return 0;
}

/* A loop that has no thread (yet) is run here. */
static void wait_idle(struct host_file *f)
{
    while (atomic_load(&f->inflight)) {
        if (loop_has_thread(f->loop))
            host_event_wait(&f->idle, UINT64_MAX);
        else
            loop_run_due(f->loop, true);
    }
    loop_barrier(f->loop); /* file_done() itself is over too */
}

void file_close(struct host_file *f)
{
    if (!f)
        return;
    wait_idle(f);
    overlay_destroy(f->overlay);
    if (f->fd >= 0)
        close(f->fd);
    host_event_destroy(&f->idle);
    host_free(f);
}
