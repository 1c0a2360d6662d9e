/*
 * Drives whose medium a person can change while the machine runs: CD-ROMs and
 * floppies. A drive puts itself into env->drives when it is attached and stays
 * there until it is detached. Everything here: machine lock held.
 *
 * The medium belongs to who put it in. A drive never closes one; requests that
 * were on their way to a medium when it was taken out still come to their end,
 * which its close() waits for.
 */
#ifndef LODGE_MEDIA_H
#define LODGE_MEDIA_H

#include "base/libc.h"
#include "lodge/device.h"

struct media_drive {
    struct media_drive *next;
    const char *id;     /* "cdrom0", "floppy1"; unique in its VM; borrowed */
    struct blk *medium; /* NULL: empty */
    bool open;          /* the guest has opened the tray */
    bool locked;        /* the guest does not want it taken out */
    /* Is this a medium for it? 0 or -LE_* with e. May be NULL: any is. */
    int (*check)(struct media_drive *d, const struct blk *medium,
                 struct err *e);
    /* Told after medium changed. */
    void (*changed)(struct media_drive *d);
    /* A person asked for the medium while it is locked. May be NULL. */
    void (*wanted)(struct media_drive *d);
};

static inline struct media_drive *media_find(const struct env *env,
                                             const char *id)
{
    for (struct media_drive *d = env->drives; d; d = d->next)
        if (!strcmp(d->id, id))
            return d;
    return NULL;
}

/*
 * Takes out what is in the drive and puts medium in; NULL leaves it empty.
 * *old is what was in, or NULL: the caller's to close, after it has let go of
 * the machine lock. -LE_BUSY: the guest has locked the drive (it is told that
 * somebody wants the medium); force does it nevertheless.
 */
static inline int media_change(struct media_drive *d, struct blk *medium,
                               bool force, struct blk **old, struct err *e)
{
    int r = medium && d->check ? d->check(d, medium, e) : 0;

    *old = NULL;
    if (r < 0)
        return r;
    if (d->locked && d->medium && !force) {
        if (d->wanted)
            d->wanted(d);
        return err_set(e, LE_BUSY,
                       "%s: the guest has locked the drive and was asked for "
                       "the medium; try again in a moment, eject it there, or "
                       "use --force",
                       d->id);
    }
    *old = d->medium;
    d->medium = medium;
    d->changed(d);
    return 0;
}

/* For drives, at attach and detach. */
static inline void media_add(struct env *env, struct media_drive *d)
{
    d->next = env->drives;
    env->drives = d;
}

static inline void media_remove(struct env *env, struct media_drive *d)
{
    for (struct media_drive **p = &env->drives; *p; p = &(*p)->next)
        if (*p == d) {
            *p = d->next;
            return;
        }
}

#endif
