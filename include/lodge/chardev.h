/*
 * A byte stream between a serial device and a host endpoint (terminal, file,
 * socket). Both directions run with the machine lock held.
 */
#ifndef LODGE_CHARDEV_H
#define LODGE_CHARDEV_H

#include "lodge/types.h"

struct chardev {
    /* The endpoint's side. */
    /* Device to host: takes up to n bytes, returns how many it took; fewer
       than n means busy: writable() is called when there is room again. */
    size_t (*write)(void *endpoint, const uint8_t *p, size_t n);
    /* The device has room again after receive() took less than offered. */
    void (*resume)(void *endpoint);
    void *endpoint;

    /* The device's side, set at attach; NULL until then. */
    /* Host to device: takes up to n bytes, returns how many it took. */
    size_t (*receive)(void *dev, const uint8_t *p, size_t n);
    void (*writable)(void *dev);
    void *dev;
};

#endif
