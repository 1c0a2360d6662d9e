/*
 * The tables a CD-ROM drive answers with: MMC-5, section 6 (commands), 5
 * (features) and 7 (mode pages). Each fills p and returns the bytes there, or
 * 0 when there is no such thing. p has room for 2 KB.
 */
#ifndef HW_STORAGE_ATAPI_PAGES_H
#define HW_STORAGE_ATAPI_PAGES_H

#include "base/compiler.h"

enum cd_profile { CD_PROFILE_NONE, CD_PROFILE_CD = 8, CD_PROFILE_DVD = 0x10 };

/* READ TOC formats 0, 1 and 2; start: the first track wanted. */
uint32_t atapi_toc(uint8_t *p, uint32_t blocks, unsigned format, bool msf,
                   unsigned start);
uint32_t atapi_disc_info(uint8_t *p);
uint32_t atapi_dvd_structure(uint8_t *p, uint32_t blocks, unsigned format,
                             unsigned layer);
/* page 3fh: all; changeable: a mask of what can be set, which is nothing;
   long_form: MODE SENSE (10), else (6). */
uint32_t atapi_mode_pages(uint8_t *p, unsigned page, bool changeable,
                          bool locked, bool long_form);
/* GET CONFIGURATION; which: its RT field. */
uint32_t atapi_features(uint8_t *p, enum cd_profile profile, unsigned which,
                        unsigned first);

#endif
