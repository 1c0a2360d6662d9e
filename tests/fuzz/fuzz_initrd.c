/* What is asked of an initrd before Linux gets it: any bytes pass or fail with
   a sentence. The corpus has cpio archives, plain, cut and packed. */
#include <stdlib.h>

#include "base/endian.h"
#include "machine/boot_linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t kernel[0x400]; /* its version is "6" */
    struct bzimage z = {
        .file = kernel, .n = sizeof kernel, .setup_size = sizeof kernel};
    struct e820 map;
    struct boot_request q = {.initrd = {data, size, "initrd"}, .map = &map};
    struct err e = {0};
    int r;

    e820_pc(&map, 8 << 20);
    store_le16(kernel + H_KERNEL_VERSION, 0x100);
    kernel[0x300] = '6';
    r = linux_check_initrd(&q, &z, &e);
    if (r && (r != -LE_FORMAT || !e.text[0]))
        abort();
    return 0;
}
