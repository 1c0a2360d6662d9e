#include "host/ui/vnc/keys.h"

/* Ranges of symbols whose keys follow each other as they do. */
static const struct {
    uint32_t first, last;
    uint16_t key;
} ranges[] = {
    {0xffbe, 0xffc9, KEY_F1},
    {0xffca, 0xffd5, KEY_F13},
    {0xffb1, 0xffb9, KEY_KP_1},
};

static const struct {
    uint32_t symbol;
    uint16_t key;
} symbols[] = {
    {0xff08, KEY_BACKSPACE},   {0xff09, KEY_TAB},
    {0xfe20, KEY_TAB}, /* with shift */
    {0xff0d, KEY_ENTER},       {0xff1b, KEY_ESC},
    {0xffff, KEY_DELETE},      {0xff50, KEY_HOME},
    {0xff51, KEY_LEFT},        {0xff52, KEY_UP},
    {0xff53, KEY_RIGHT},       {0xff54, KEY_DOWN},
    {0xff55, KEY_PAGEUP},      {0xff56, KEY_PAGEDOWN},
    {0xff57, KEY_END},         {0xff63, KEY_INSERT},
    {0xff13, KEY_PAUSE},       {0xff6b, KEY_PAUSE},
    {0xff14, KEY_SCROLLLOCK},  {0xff15, KEY_PRINTSCREEN},
    {0xff61, KEY_PRINTSCREEN}, {0xff67, KEY_APPLICATION},
    {0xff7f, KEY_NUMLOCK},     {0xffe5, KEY_CAPSLOCK},
    {0xffe1, KEY_LEFTSHIFT},   {0xffe2, KEY_RIGHTSHIFT},
    {0xffe3, KEY_LEFTCTRL},    {0xffe4, KEY_RIGHTCTRL},
    {0xffe7, KEY_LEFTALT},     {0xffe8, KEY_RIGHTALT},
    {0xffe9, KEY_LEFTALT},     {0xffea, KEY_RIGHTALT},
    {0xffeb, KEY_LEFTMETA},    {0xffec, KEY_RIGHTMETA},
    {0xfe03, KEY_RIGHTALT},    {0xff7e, KEY_RIGHTALT},
    {0xff8d, KEY_KP_ENTER},    {0xffb0, KEY_KP_0},
    {0xffaa, KEY_KP_STAR},     {0xffab, KEY_KP_PLUS},
    {0xffac, KEY_KP_COMMA},    {0xffad, KEY_KP_MINUS},
    {0xffae, KEY_KP_DOT},      {0xffaf, KEY_KP_SLASH},
    {0xffbd, KEY_KP_EQUAL},    {0xff95, KEY_KP_7},
    {0xff96, KEY_KP_4},        {0xff97, KEY_KP_8},
    {0xff98, KEY_KP_6},        {0xff99, KEY_KP_2},
    {0xff9a, KEY_KP_9},        {0xff9b, KEY_KP_3},
    {0xff9c, KEY_KP_1},        {0xff9d, KEY_KP_5},
    {0xff9e, KEY_KP_0},        {0xff9f, KEY_KP_DOT},
};

bool key_of_symbol(uint32_t symbol, struct key_stroke *out)
{
    if (symbol >= 0x20 && symbol < 0x7f)
        return key_of_char(symbol, out);
    for (unsigned i = 0; i < ARRAY_LEN(ranges); i++)
        if (symbol >= ranges[i].first && symbol <= ranges[i].last) {
            *out = (struct key_stroke){
                (uint16_t)(ranges[i].key + symbol - ranges[i].first), false};
            return true;
        }
    for (unsigned i = 0; i < ARRAY_LEN(symbols); i++)
        if (symbols[i].symbol == symbol) {
            *out = (struct key_stroke){symbols[i].key, false};
            return true;
        }
    return false;
}

static bool is_down(const struct vnc_keys *k, unsigned key)
{
    return k->down[key / 8] >> key % 8 & 1;
}

static void press(struct vnc_keys *k, struct input_sink *sink, unsigned key,
                  bool down)
{
    uint8_t bit = (uint8_t)(1 << key % 8);

    k->down[key / 8] =
        (uint8_t)(down ? k->down[key / 8] | bit : k->down[key / 8] & ~bit);
    sink->key(sink->dev, key, down);
}

/* Does the symbol say how the shift key must be? The caps lock decides on
   letters as well, so they go as they are. */
static bool minds_shift(uint32_t symbol)
{
    uint32_t small = symbol | 0x20;

    return symbol > 0x20 && symbol < 0x7f && (small < 'a' || small > 'z');
}

/* Sends a press with the shift keys as they must be for it. */
static void press_as(struct vnc_keys *k, struct input_sink *sink,
                     uint32_t symbol, const struct key_stroke *s)
{
    bool left = is_down(k, KEY_LEFTSHIFT), right = is_down(k, KEY_RIGHTSHIFT);
    bool add = minds_shift(symbol) && s->shift && !left && !right;
    bool drop = minds_shift(symbol) && !s->shift;

    if (add)
        sink->key(sink->dev, KEY_LEFTSHIFT, true);
    if (drop && left)
        sink->key(sink->dev, KEY_LEFTSHIFT, false);
    if (drop && right)
        sink->key(sink->dev, KEY_RIGHTSHIFT, false);
    press(k, sink, s->key, true);
    if (add)
        sink->key(sink->dev, KEY_LEFTSHIFT, false);
    if (drop && left)
        sink->key(sink->dev, KEY_LEFTSHIFT, true);
    if (drop && right)
        sink->key(sink->dev, KEY_RIGHTSHIFT, true);
}

void vnc_key(struct vnc_keys *k, struct input_sink *sink, uint32_t symbol,
             bool down)
{
    struct key_stroke s;

    if (!sink->key || !key_of_symbol(symbol, &s))
        return;
    if (!down)
        press(k, sink, s.key, false);
    else if (!is_down(k, s.key)) /* the guest's keyboard repeats by itself */
        press_as(k, sink, symbol, &s);
}

void vnc_release_all(struct vnc_keys *k, struct input_sink *sink)
{
    for (unsigned key = 0; key < KEY_COUNT; key++)
        if (is_down(k, key) && sink->key)
            press(k, sink, key, false);
}
