#include "host/ui/term/keys.h"

#include <string.h>

#include "host/ui/keymap.h"

enum { ESC = 0x1b, SEQUENCE_MAX = 16 };

/* After ESC [ or ESC O: a letter. */
static const struct {
    char final;
    uint16_t key;
} letters[] = {
    {'A', KEY_UP},      {'B', KEY_DOWN},     {'C', KEY_RIGHT},
    {'D', KEY_LEFT},    {'H', KEY_HOME},     {'F', KEY_END},
    {'P', KEY_F1},      {'Q', KEY_F2},       {'R', KEY_F3},
    {'S', KEY_F4},      {'Z', KEY_TAB},      {'M', KEY_KP_ENTER},
    {'G', KEY_KP_5},    {'E', KEY_KP_5},     {'j', KEY_KP_STAR},
    {'k', KEY_KP_PLUS}, {'m', KEY_KP_MINUS}, {'o', KEY_KP_SLASH},
};

/* After ESC [: a number and '~'. */
static const struct {
    uint8_t number;
    uint16_t key;
} numbers[] = {
    {1, KEY_HOME},   {2, KEY_INSERT},   {3, KEY_DELETE}, {4, KEY_END},
    {5, KEY_PAGEUP}, {6, KEY_PAGEDOWN}, {7, KEY_HOME},   {8, KEY_END},
    {11, KEY_F1},    {12, KEY_F2},      {13, KEY_F3},    {14, KEY_F4},
    {15, KEY_F5},    {17, KEY_F6},      {18, KEY_F7},    {19, KEY_F8},
    {20, KEY_F9},    {21, KEY_F10},     {23, KEY_F11},   {24, KEY_F12},
};

static uint16_t by_letter(char final)
{
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++)
        if (letters[i].final == final)
            return letters[i].key;
    return 0;
}

static uint16_t by_number(unsigned number)
{
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].number == number)
            return numbers[i].key;
    return 0;
}

/* xterm's second parameter: 1 + shift 1, alt 2, ctrl 4. */
static uint8_t modifiers(unsigned parameter)
{
    return parameter > 1 ? (uint8_t)((parameter - 1) & 7) : 0;
}

/* ESC [ numbers final. */
static size_t csi(const uint8_t *p, size_t n, bool last, struct term_key *out)
{
    unsigned number[2] = {0, 0}, which = 0;
    size_t i = 2;

    if (n > 2 && p[2] == '[') { /* the Linux console's F1 to F5 */
        if (n < 4)
            return last ? n : 0;
        if (p[3] >= 'A' && p[3] <= 'E')
            out->key = (uint16_t)(KEY_F1 + p[3] - 'A');
        return 4;
    }
    for (; i < n && i < SEQUENCE_MAX && p[i] < 0x40; i++) {
        if (p[i] == ';')
            which = 1;
        else if (p[i] >= '0' && p[i] <= '9')
            number[which] = (number[which] * 10 + p[i] - '0') % 1000;
    }
    if (i == n && i < SEQUENCE_MAX)
        return last ? n : 0;
    if (i == SEQUENCE_MAX)
        return i;
    out->key = p[i] == '~' ? by_number(number[0]) : by_letter((char)p[i]);
    out->mods = modifiers(number[1]);
    if (p[i] == 'Z')
        out->mods |= TERM_SHIFT;
    return i + 1;
}

static void plain(uint8_t c, struct term_key *out)
{
    struct key_stroke s;

    if (key_of_char(c, &s)) {
        out->key = s.key;
        out->mods |= s.shift ? TERM_SHIFT : 0;
    } else if (c && c < 27) {
        out->key = (uint16_t)(KEY_A + c - 1);
        out->mods |= TERM_CTRL;
    } else if (c < 32) { /* 0: Ctrl-2 or Ctrl-space; then Ctrl-\ ] 6 - */
        static const uint16_t keys[] = {KEY_BACKSLASH, KEY_RIGHTBRACKET, KEY_6,
                                        KEY_MINUS};

        out->key = c ? keys[c - 28] : KEY_SPACE;
        out->mods |= TERM_CTRL;
    }
}

/* Bytes of the UTF-8 character that begins with c. */
static size_t utf8_length(uint8_t c)
{
    return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t term_key(const uint8_t *p, size_t n, bool last, struct term_key *out)
{
    size_t used;

    *out = (struct term_key){0};
    if (p[0] >= 0x80) { /* nothing that a US keyboard has */
        used = utf8_length(p[0]);
        return used <= n ? used : last ? n : 0;
    }
    if (p[0] != ESC) {
        plain(p[0], out);
        return 1;
    }
    if (n == 1) {
        out->key = last ? KEY_ESC : 0;
        return last;
    }
    if (p[1] == '[' && (n > 2 || !last))
        return n > 2 ? csi(p, n, last, out) : 0;
    if (p[1] == 'O' && (n > 2 || !last)) {
        if (n > 2)
            out->key = by_letter((char)p[2]);
        return n > 2 ? 3 : 0;
    }
    if (p[1] == ESC) { /* twice: Escape, and then look again */
        out->key = KEY_ESC;
        return 1;
    }
    plain(p[1], out);
    out->mods |= TERM_ALT;
    return 2;
}

unsigned term_key_chord(struct term_key k, uint16_t keys[4])
{
    static const struct {
        uint8_t mod;
        uint16_t key;
    } mods[] = {{TERM_CTRL, KEY_LEFTCTRL},
                {TERM_ALT, KEY_LEFTALT},
                {TERM_SHIFT, KEY_LEFTSHIFT}};
    unsigned n = 0;

    for (unsigned i = 0; k.key && i < ARRAY_LEN(mods); i++)
        if (k.mods & mods[i].mod)
            keys[n++] = mods[i].key;
    if (k.key)
        keys[n++] = k.key;
    return n;
}
