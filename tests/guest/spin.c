/* Says so, and runs for ever. */
#include "guest.h"

void test_main(void)
{
    print("spinning\n");
    for (;;)
        pause();
}
