/*
 * Every device class there is, in one table that ends with NULL. Constant;
 * any thread.
 */
#ifndef HW_REGISTRY_H
#define HW_REGISTRY_H

#include "lodge/device.h"

extern const struct dev_class *const dev_registry[];

/* NULL: no such class. */
const struct dev_class *dev_class_find(const char *name);

#endif
