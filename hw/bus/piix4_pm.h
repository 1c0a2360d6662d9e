/* What the machine asks of the PIIX4's power management function. Machine
   lock held. */
#ifndef HW_BUS_PIIX4_PM_H
#define HW_BUS_PIIX4_PM_H

#include "lodge/device.h"

/* The power button is pressed. False: the guest does not listen. */
bool piix4_pm_power_button(struct dev *d);

#endif
