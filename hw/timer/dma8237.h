/*
 * ISA DMA: two 8237As, the second 16 bits wide and cascading the first, and
 * the page registers, as in the PIIX3. A device on the ISA bus moves its bytes
 * with the functions below, at env->isa_dma. Machine lock held.
 * Spec: Intel 8237A (231466); 82371SB (PIIX3), "DMA Controller".
 */
#ifndef HW_TIMER_DMA8237_H
#define HW_TIMER_DMA8237_H

#include "lodge/device.h"

extern const struct dev_class dma8237_class;

/*
 * Moves up to n bytes between buf and memory on a channel (0–3; 5–7, whose n
 * is even), as its registers say: read is from memory to the device, write
 * from the device to memory (nothing is written in verify mode). Returns the
 * bytes moved: fewer than n when the channel reached its terminal count (*tc
 * is then true) or may not move anything: masked, disabled, the other way.
 */
size_t isa_dma_read(struct dev *dma, unsigned channel, void *buf, size_t n,
                    bool *tc);
size_t isa_dma_write(struct dev *dma, unsigned channel, const void *buf,
                     size_t n, bool *tc);

/* The level of DREQ, which the status register shows. */
void isa_dma_request(struct dev *dma, unsigned channel, bool level);

#endif
