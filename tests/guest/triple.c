/* A fault without a table to deliver it: the machine shuts down. */
#include "guest.h"

void test_main(void)
{
    struct table none = {0, 0};

    print("falling\n");
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}
