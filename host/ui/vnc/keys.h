/* Key symbols of X, as VNC viewers send them, to keys of a PC. */
#ifndef HOST_UI_VNC_KEYS_H
#define HOST_UI_VNC_KEYS_H

#include "host/ui/keymap.h"

/* The key that has this symbol on a US keyboard; false: none. */
bool key_of_symbol(uint32_t symbol, struct key_stroke *out);

/*
 * What a viewer holds down. Its keyboard may have another layout than the
 * guest's, so a symbol that wants the shift key other than it is now gets it
 * so for the moment. Machine lock held.
 */
struct vnc_keys {
    uint8_t down[(KEY_COUNT + 7) / 8];
};
void vnc_key(struct vnc_keys *k, struct input_sink *sink, uint32_t symbol,
             bool down);
void vnc_release_all(struct vnc_keys *k, struct input_sink *sink);

#endif
