#include "host/ui/keymap.h"

#include <string.h>

/* Below and with the shift key, as the keys lie. */
static const struct {
    uint16_t key;
    char plain, shifted;
} us[] = {
    {KEY_1, '1', '!'},           {KEY_2, '2', '@'},
    {KEY_3, '3', '#'},           {KEY_4, '4', '$'},
    {KEY_5, '5', '%'},           {KEY_6, '6', '^'},
    {KEY_7, '7', '&'},           {KEY_8, '8', '*'},
    {KEY_9, '9', '('},           {KEY_0, '0', ')'},
    {KEY_MINUS, '-', '_'},       {KEY_EQUAL, '=', '+'},
    {KEY_LEFTBRACKET, '[', '{'}, {KEY_RIGHTBRACKET, ']', '}'},
    {KEY_BACKSLASH, '\\', '|'},  {KEY_SEMICOLON, ';', ':'},
    {KEY_QUOTE, '\'', '"'},      {KEY_GRAVE, '`', '~'},
    {KEY_COMMA, ',', '<'},       {KEY_DOT, '.', '>'},
    {KEY_SLASH, '/', '?'},       {KEY_SPACE, ' ', ' '},
    {KEY_ENTER, '\n', 0},        {KEY_ENTER, '\r', 0},
    {KEY_TAB, '\t', 0},          {KEY_BACKSPACE, '\b', 0},
    {KEY_BACKSPACE, 0x7f, 0},    {KEY_ESC, 0x1b, 0},
};

bool key_of_char(uint32_t c, struct key_stroke *out)
{
    if (c >= 'a' && c <= 'z') {
        *out = (struct key_stroke){(uint16_t)(KEY_A + c - 'a'), false};
        return true;
    }
    if (c >= 'A' && c <= 'Z') {
        *out = (struct key_stroke){(uint16_t)(KEY_A + c - 'A'), true};
        return true;
    }
    for (unsigned i = 0; c && i < ARRAY_LEN(us); i++)
        if (c == (uint8_t)us[i].plain || c == (uint8_t)us[i].shifted) {
            *out = (struct key_stroke){us[i].key, c != (uint8_t)us[i].plain};
            return true;
        }
    return false;
}

static const struct {
    const char *name;
    uint16_t key;
} names[] = {
    {"ctrl", KEY_LEFTCTRL},
    {"control", KEY_LEFTCTRL},
    {"alt", KEY_LEFTALT},
    {"shift", KEY_LEFTSHIFT},
    {"meta", KEY_LEFTMETA},
    {"super", KEY_LEFTMETA},
    {"win", KEY_LEFTMETA},
    {"rightctrl", KEY_RIGHTCTRL},
    {"rightshift", KEY_RIGHTSHIFT},
    {"rightalt", KEY_RIGHTALT},
    {"altgr", KEY_RIGHTALT},
    {"rightmeta", KEY_RIGHTMETA},
    {"enter", KEY_ENTER},
    {"return", KEY_ENTER},
    {"esc", KEY_ESC},
    {"escape", KEY_ESC},
    {"backspace", KEY_BACKSPACE},
    {"tab", KEY_TAB},
    {"space", KEY_SPACE},
    {"minus", KEY_MINUS},
    {"plus", KEY_KP_PLUS},
    {"capslock", KEY_CAPSLOCK},
    {"numlock", KEY_NUMLOCK},
    {"scrolllock", KEY_SCROLLLOCK},
    {"print", KEY_PRINTSCREEN},
    {"printscreen", KEY_PRINTSCREEN},
    {"sysrq", KEY_PRINTSCREEN},
    {"pause", KEY_PAUSE},
    {"break", KEY_PAUSE},
    {"insert", KEY_INSERT},
    {"delete", KEY_DELETE},
    {"del", KEY_DELETE},
    {"home", KEY_HOME},
    {"end", KEY_END},
    {"pageup", KEY_PAGEUP},
    {"pagedown", KEY_PAGEDOWN},
    {"up", KEY_UP},
    {"down", KEY_DOWN},
    {"left", KEY_LEFT},
    {"right", KEY_RIGHT},
    {"menu", KEY_APPLICATION},
    {"power", KEY_POWER},
    {"sleep", KEY_SLEEP},
    {"wake", KEY_WAKE},
    {"mute", KEY_MUTE},
    {"volumeup", KEY_VOLUMEUP},
    {"volumedown", KEY_VOLUMEDOWN},
    {"kp0", KEY_KP_0},
    {"kpenter", KEY_KP_ENTER},
    {"kpplus", KEY_KP_PLUS},
    {"kpminus", KEY_KP_MINUS},
    {"kpstar", KEY_KP_STAR},
    {"kpslash", KEY_KP_SLASH},
    {"kpdot", KEY_KP_DOT},
};

/* "f12", "kp7": a word and a number; 0: not so. */
static unsigned numbered(const char *name, size_t n, const char *word)
{
    size_t w = strlen(word);
    unsigned v = 0;

    if (n <= w || n > w + 2 || strncmp(name, word, w))
        return 0;
    for (size_t i = w; i < n; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        v = v * 10 + (unsigned)(name[i] - '0');
    }
    return v;
}

unsigned key_by_name(const char *name, size_t n)
{
    struct key_stroke s;
    unsigned v;

    if (n == 1)
        return key_of_char((uint8_t)name[0], &s) && !s.shift ? s.key : 0;
    v = numbered(name, n, "f");
    if (v && v <= 24)
        return v <= 12 ? KEY_F1 + v - 1 : KEY_F13 + v - 13;
    v = numbered(name, n, "kp");
    if (v && v <= 9)
        return KEY_KP_1 + v - 1;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i].name) == n && !strncmp(names[i].name, name, n))
            return names[i].key;
    return 0;
}

int chord_parse(const char *text, uint16_t keys[CHORD_MAX], struct err *e)
{
    const char *p = text;
    int count = 0;

    do {
        size_t n = strcspn(p, "-");
        unsigned key = key_by_name(p, n);

        if (!key)
            return err_set(e, LE_USAGE,
                           "'%.60s': there is no key '%.*s'; keys are like a, "
                           "f1, enter, up, ctrl-alt-delete",
                           text, (int)MIN(n, 30), p);
        if (count == CHORD_MAX)
            return err_set(e, LE_USAGE, "'%.60s' is more than %d keys at once",
                           text, CHORD_MAX);
        keys[count++] = (uint16_t)key;
        p += n;
    } while (*p++ == '-');
    return count;
}
