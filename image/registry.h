/*
 * Image formats, by name. The format of an image is what its owner says, or
 * else what the end of its name says, or else raw. What is in the file never
 * chooses a format, for a guest can write any header it likes: it can only
 * contradict one that nobody named (an error). Controlling thread.
 */
#ifndef IMAGE_REGISTRY_H
#define IMAGE_REGISTRY_H

#include "lodge/file.h"

struct image_options {
    const char *path;
    const char *format; /* "raw", …; NULL: by the name */
    bool readonly;
    bool temporary; /* writes are gone when the image is closed */
};

struct image_format {
    const char *name, *summary;
    const char *const *suffixes; /* ".img", …; NULL ends them */
    /* Takes f over on success; what it finds in f is hostile. */
    int (*open)(struct host_file *f, const struct image_options *o,
                struct blk **out, struct err *e);
};

extern const struct image_format *const image_formats[]; /* NULL ends it */

/*
 * Opens an image on a loop; blk->ops->close closes it. On an error nothing of
 * the file was touched.
 */
int image_open(const struct image_options *o, struct loop *loop,
               struct blk **out, struct err *e);

#endif
