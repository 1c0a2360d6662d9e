#include "hw/timer/mc146818_time.h"

enum { HOURS_PM = 0x80, ALARM_ANY = 0xc0 };

static unsigned decode(const uint8_t *reg, uint8_t v)
{
    return reg[RTC_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t encode(const uint8_t *reg, unsigned v)
{
    return (uint8_t)(reg[RTC_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode_hours(const uint8_t *reg, uint8_t v)
{
    unsigned h;

    if (reg[RTC_B] & B_24H)
        return decode(reg, v);
    h = decode(reg, v & ~HOURS_PM) % 12;
    return v & HOURS_PM ? h + 12 : h;
}

static uint8_t encode_hours(const uint8_t *reg, unsigned h)
{
    if (reg[RTC_B] & B_24H)
        return encode(reg, h);
    return encode(reg, h % 12 ? h % 12 : 12) | (h >= 12 ? HOURS_PM : 0);
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, and back: years
   counted from March, so that the leap day is the last. */
static int64_t days_from_date(int64_t y, unsigned m, unsigned d)
{
    int64_t era;
    unsigned of_era, of_year;

    y -= m <= 2;
    era = (y >= 0 ? y : y - 399) / 400;
    of_era = (unsigned)(y - era * 400);
    of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           719468;
}

static void date_from_days(int64_t days, int64_t *y, unsigned *m, unsigned *d)
{
    int64_t era;
    unsigned of_era, year, of_year, month;

    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    of_era = (unsigned)(days - era * 146097);
    year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year + year / 4 - year / 100);
    month = (5 * of_year + 2) / 153;
    *d = of_year - (153 * month + 2) / 5 + 1;
    *m = month < 10 ? month + 3 : month - 9;
    *y = year + era * 400 + (*m <= 2);
}

/* 1970-01-01 was a Thursday; register values run from 1, Sunday. */
static unsigned day_of_week(int64_t days)
{
    return (unsigned)(((days + 4) % 7 + 7) % 7);
}

int64_t rtc_decode(const uint8_t *reg, unsigned *dow_shift)
{
    unsigned year =
        decode(reg, reg[RTC_CENTURY]) * 100 + decode(reg, reg[RTC_YEAR]);
    unsigned month = decode(reg, reg[RTC_MONTH]);
    unsigned day = decode(reg, reg[RTC_DAY]);
    unsigned dow = decode(reg, reg[RTC_DAY_OF_WEEK]) + 6;
    int64_t days;

    month = month < 1 ? 1 : MIN(month, 12);
    day = day < 1 ? 1 : MIN(day, 31);
    days = days_from_date(year, month, day);
    *dow_shift = (dow + 7 - day_of_week(days)) % 7;
    return days * SECONDS_PER_DAY + decode_hours(reg, reg[RTC_HOURS]) * 3600 +
           decode(reg, reg[RTC_MINUTES]) * 60 + decode(reg, reg[RTC_SECONDS]);
}

void rtc_encode(uint8_t *reg, int64_t seconds, unsigned dow_shift)
{
    int64_t days = seconds / SECONDS_PER_DAY, year;
    int64_t rest = seconds % SECONDS_PER_DAY;
    unsigned month, day, s;

    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    s = (unsigned)rest;
    date_from_days(days, &year, &month, &day);
    reg[RTC_SECONDS] = encode(reg, s % 60);
    reg[RTC_MINUTES] = encode(reg, s / 60 % 60);
    reg[RTC_HOURS] = encode_hours(reg, s / 3600);
    reg[RTC_DAY_OF_WEEK] = encode(reg, (day_of_week(days) + dow_shift) % 7 + 1);
    reg[RTC_DAY] = encode(reg, day);
    reg[RTC_MONTH] = encode(reg, month);
    reg[RTC_YEAR] = encode(reg, (unsigned)(year % 100));
    reg[RTC_CENTURY] = encode(reg, (unsigned)(year / 100 % 100));
}

static bool matches(uint8_t alarm, unsigned value, unsigned now)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || value == now;
}

unsigned rtc_until_alarm(const uint8_t *reg, int64_t seconds)
{
    uint8_t rs = reg[RTC_SECONDS_ALARM], rm = reg[RTC_MINUTES_ALARM],
            rh = reg[RTC_HOURS_ALARM];
    unsigned s = decode(reg, rs), m = decode(reg, rm),
             h = decode_hours(reg, rh);
    int64_t rest = seconds % SECONDS_PER_DAY;
    unsigned from = (unsigned)(rest < 0 ? rest + SECONDS_PER_DAY : rest);

    for (unsigned t = from + 1; t <= from + SECONDS_PER_DAY;) {
        unsigned at = t % SECONDS_PER_DAY;

        if (!matches(rh, h, at / 3600))
            t += 3600 - at % 3600;
        else if (!matches(rm, m, at / 60 % 60))
            t += 60 - at % 60;
        else if (!matches(rs, s, at % 60))
            t++;
        else
            return t - from;
    }
    return 0;
}
