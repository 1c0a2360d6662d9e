/* The kinds of displays; for ui.c. arg: what follows the first word and its
   colon, or "". */
#ifndef HOST_UI_KINDS_H
#define HOST_UI_KINDS_H

#include "host/ui/ui.h"

int term_open(const char *arg, const struct ui_env *env, struct ui **out,
              struct err *e);
int vnc_check(const char *arg, const struct ui_env *env, struct err *e);
int vnc_open(const char *arg, const struct ui_env *env, struct ui **out,
             struct err *e);

#endif
