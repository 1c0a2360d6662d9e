/*
 * The clock's ten registers as bytes against seconds since 1970-01-01, in BCD
 * or binary, 12- or 24-hour. Pure.
 */
#ifndef HW_TIMER_MC146818_TIME_H
#define HW_TIMER_MC146818_TIME_H

#include "base/compiler.h"

enum {
    RTC_SECONDS,
    RTC_SECONDS_ALARM,
    RTC_MINUTES,
    RTC_MINUTES_ALARM,
    RTC_HOURS,
    RTC_HOURS_ALARM,
    RTC_DAY_OF_WEEK,
    RTC_DAY,
    RTC_MONTH,
    RTC_YEAR,
    RTC_A,
    RTC_B,
    RTC_C,
    RTC_D,
    RTC_RAM,
    RTC_CENTURY = 0x32,
};
enum {
    B_DSE = 1 << 0,
    B_24H = 1 << 1,
    B_BINARY = 1 << 2,
    B_SQWE = 1 << 3,
    B_UIE = 1 << 4,
    B_AIE = 1 << 5,
    B_PIE = 1 << 6,
    B_SET = 1 << 7
};

#define SECONDS_PER_DAY 86400

/* Seconds as reg[RTC_B] says; any bytes at all give some time. dow_shift:
   how far the day of the week is from what the date says, 0 to 6. */
int64_t rtc_decode(const uint8_t *reg, unsigned *dow_shift);
void rtc_encode(uint8_t *reg, int64_t seconds, unsigned dow_shift);

/* Seconds from `seconds` to the next time that matches the alarm registers,
   1 to 86400; 0: none ever. */
unsigned rtc_until_alarm(const uint8_t *reg, int64_t seconds);

#endif
