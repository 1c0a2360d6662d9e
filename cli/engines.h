/* The CPU engines of this build, the fastest first. */
#ifndef CLI_ENGINES_H
#define CLI_ENGINES_H

#include "lodge/engine.h"

extern const struct engine_ops *const engines[]; /* NULL-terminated */

const struct engine_ops *engine_find(const char *name); /* or NULL */
/* The first that runs stock guests here; why gets a sentence for -v. */
const struct engine_ops *engine_auto(char *why, size_t n);

#endif
