/*
 * An AC'97 codec: mixer and converters behind an AC-link, as a SigmaTel
 * STAC9700 with variable rates. Nothing is heard; what drivers set they find.
 * Spec: Intel, Audio Codec '97, revision 2.3, section 5. Machine lock held.
 */
#ifndef HW_AUDIO_AC97_CODEC_H
#define HW_AUDIO_AC97_CODEC_H

#include "lodge/state.h"

enum { AC97_CODEC_REGS = 64 }; /* words */
enum ac97_converter { AC97_DAC, AC97_ADC, AC97_MIC_ADC, AC97_CONVERTERS };

struct ac97_codec {
    uint16_t reg[AC97_CODEC_REGS];
};
extern const struct field ac97_codec_fields[];

void ac97_codec_reset(struct ac97_codec *c);
/* off: of a word, 0 to 0x7e. What is not there reads as 0. */
uint16_t ac97_codec_read(const struct ac97_codec *c, unsigned off);
void ac97_codec_write(struct ac97_codec *c, unsigned off, uint16_t v);
/* Samples a second of each of its channels: 8000 to 48000. */
uint32_t ac97_codec_rate(const struct ac97_codec *c, enum ac97_converter n);
/* The registers came from a snapshot: brings them within their bounds. */
void ac97_codec_loaded(struct ac97_codec *c);

#endif
