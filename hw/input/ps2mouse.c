#include "hw/input/ps2mouse.h"

enum {
    SCALE_1 = 0xe6,
    SCALE_2 = 0xe7,
    SET_RESOLUTION = 0xe8,
    STATUS = 0xe9,
    STREAM = 0xea,
    READ_DATA = 0xeb,
    WRAP_OFF = 0xec,
    WRAP = 0xee,
    REMOTE = 0xf0,
    GET_ID = 0xf2,
    SET_RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESEND = 0xfe,
    RESET = 0xff,
};
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_EXPLORER = 4 };
enum { PACKET_ONE = 1 << 3, PACKET_X_SIGN = 1 << 4, PACKET_Y_SIGN = 1 << 5 };

/* Motion nobody fetches is kept up to here. */
#define MAX_DISTANCE 32767

static int clamp(int64_t v, int limit)
{
    return (int)(v > limit ? limit : v < -limit ? -limit : v);
}

static void set_defaults(struct ps2mouse *m)
{
    m->enabled = m->remote = m->wrap = m->double_scale = false;
    m->resolution = 2;
    m->rate = 100;
    m->dx = m->dy = m->dz = 0;
}

void ps2mouse_reset(struct ps2mouse *m)
{
    set_defaults(m);
    ps2_clear(&m->queue);
    m->id = ID_PLAIN;
    m->command = 0;
    m->buttons = m->reported = 0;
    m->knock[0] = m->knock[1] = m->knock[2] = 0;
}

/* 2:1 scaling, which only stream mode has. */
static int scaled(const struct ps2mouse *m, int v)
{
    static const uint8_t small[6] = {0, 1, 1, 3, 6, 9};
    int size = v < 0 ? -v : v;

    if (!m->double_scale || m->remote)
        return v;
    size = size < 6 ? small[size] : 2 * size;
    return clamp(v < 0 ? -size : size, 255);
}

static unsigned make_packet(struct ps2mouse *m, uint8_t *p)
{
    int dx = clamp(m->dx, 255), dy = clamp(m->dy, 255), dz = clamp(m->dz, 7);
    int x = scaled(m, dx), y = scaled(m, dy);

    p[0] = (uint8_t)(PACKET_ONE | (m->buttons & 7) |
                     (x < 0 ? PACKET_X_SIGN : 0) | (y < 0 ? PACKET_Y_SIGN : 0));
    p[1] = (uint8_t)x;
    p[2] = (uint8_t)y;
    m->dx -= dx;
    m->dy -= dy;
    m->reported = m->buttons;
    if (m->id == ID_PLAIN) {
        m->dz = 0;
        return 3;
    }
    m->dz -= dz;
    p[3] = (uint8_t)dz;
    if (m->id == ID_EXPLORER)
        p[3] = (uint8_t)((dz & 15) | (m->buttons >> 3 & 3) << 4);
    return 4;
}

void ps2mouse_refill(struct ps2mouse *m)
{
    uint8_t p[4];

    if (!m->enabled || m->remote || m->wrap || m->queue.nevents ||
        (!m->dx && !m->dy && !m->dz && m->buttons == m->reported))
        return;
    ps2_event(&m->queue, p, make_packet(m, p));
}

void ps2mouse_motion(struct ps2mouse *m, int dx, int dy, int wheel,
                     unsigned buttons)
{
    m->buttons = buttons & 0x1f;
    if (!m->enabled && !m->remote)
        return;
    m->dx = clamp((int64_t)m->dx + dx, MAX_DISTANCE);
    m->dy = clamp((int64_t)m->dy - dy, MAX_DISTANCE); /* ours counts up */
    m->dz = clamp((int64_t)m->dz + wheel, MAX_DISTANCE);
    m->queue.ready(m->queue.owner);
}

/* Sample rates set one after the other that unlock more. */
static void set_rate(struct ps2mouse *m, uint8_t rate)
{
    m->rate = rate;
    m->knock[0] = m->knock[1];
    m->knock[1] = m->knock[2];
    m->knock[2] = rate;
    if (m->knock[0] != 200 || m->knock[2] != 80)
        return;
    if (m->knock[1] == 100)
        m->id = ID_WHEEL;
    else if (m->knock[1] == 200)
        m->id = ID_EXPLORER;
}

static void parameter(struct ps2mouse *m, uint8_t v)
{
    uint8_t command = m->command;

    m->command = 0;
    if (command == SET_RATE)
        set_rate(m, v);
    else if (v <= 3)
        m->resolution = v;
    else {
        ps2_answer(&m->queue, PS2_RESEND);
        return;
    }
    ps2_answer(&m->queue, PS2_ACK);
}

static void answer_status(struct ps2mouse *m)
{
    uint8_t b = m->buttons;

    ps2_answer(&m->queue,
               (uint8_t)(m->remote << 6 | m->enabled << 5 |
                         m->double_scale << 4 | (b & INPUT_LEFT ? 4 : 0) |
                         (b & INPUT_MIDDLE ? 2 : 0) |
                         (b & INPUT_RIGHT ? 1 : 0)));
    ps2_answer(&m->queue, m->resolution);
    ps2_answer(&m->queue, m->rate);
}

static void answer_packet(struct ps2mouse *m)
{
    uint8_t p[4];
    unsigned n = make_packet(m, p);

    for (unsigned i = 0; i < n; i++)
        ps2_answer(&m->queue, p[i]);
}

static void forget_motion(struct ps2mouse *m)
{
    m->queue.nevents = 0;
    m->dx = m->dy = m->dz = 0;
    m->reported = m->buttons;
}

static void command(struct ps2mouse *m, uint8_t v)
{
    ps2_answer(&m->queue, PS2_ACK);
    switch (v) {
    case SCALE_1: m->double_scale = false; break;
    case SCALE_2: m->double_scale = true; break;
    case STATUS: answer_status(m); break;
    case STREAM:
        m->remote = false;
        forget_motion(m);
        break;
    case READ_DATA: answer_packet(m); break;
    case WRAP_OFF: m->wrap = false; break;
    case WRAP: m->wrap = true; break;
    case REMOTE:
        m->remote = true;
        forget_motion(m);
        break;
    case GET_ID: ps2_answer(&m->queue, m->id); break;
    case SET_RESOLUTION:
    case SET_RATE: m->command = v; break;
    case ENABLE:
        m->enabled = true;
        forget_motion(m);
        break;
    case DISABLE:
        m->enabled = false;
        forget_motion(m);
        break;
    case DEFAULTS:
        set_defaults(m);
        m->queue.nevents = 0;
        break;
    case RESET:
        ps2mouse_reset(m);
        ps2_answer(&m->queue, PS2_ACK);
        ps2_answer(&m->queue, PS2_PASSED);
        ps2_answer(&m->queue, m->id);
        break;
    default: m->queue.answers[0] = PS2_RESEND; break;
    }
}

void ps2mouse_write(struct ps2mouse *m, uint8_t v)
{
    uint8_t last = m->queue.last;

    m->queue.nevents = 0; /* a packet half sent is given up */
    ps2_answer_start(&m->queue);
    if (m->wrap && v != WRAP_OFF && v != RESET)
        ps2_answer(&m->queue, v);
    else if (v == RESEND && !m->command)
        ps2_answer(&m->queue, last);
    else if (m->command)
        parameter(m, v);
    else
        command(m, v);
    m->queue.ready(m->queue.owner);
}

bool ps2mouse_valid(const struct ps2mouse *m)
{
    int32_t d[] = {m->dx, m->dy, m->dz};

    for (unsigned i = 0; i < ARRAY_LEN(d); i++)
        if (d[i] > MAX_DISTANCE || d[i] < -MAX_DISTANCE)
            return false;
    return (m->id == ID_PLAIN || m->id == ID_WHEEL || m->id == ID_EXPLORER) &&
           (!m->command || m->command == SET_RESOLUTION ||
            m->command == SET_RATE);
}

#define SIGNED32(m)                                                            \
    {                                                                          \
#m, offsetof(struct ps2mouse, m), FIELD_U32, 1, 1, 0, 0, NULL          \
    }

const struct field ps2mouse_fields[] = {
    FIELD_SUB(struct ps2mouse, queue, struct ps2_queue, ps2_queue_fields),
    FIELDB(struct ps2mouse, enabled),
    FIELDB(struct ps2mouse, remote),
    FIELDB(struct ps2mouse, wrap),
    FIELDB(struct ps2mouse, double_scale),
    FIELD_MAX(struct ps2mouse, resolution, 8, 3),
    FIELD8(struct ps2mouse, rate),
    FIELD8(struct ps2mouse, id),
    FIELD8(struct ps2mouse, command),
    FIELD_RAW(struct ps2mouse, knock),
    FIELD_MAX(struct ps2mouse, buttons, 8, 0x1f),
    FIELD_MAX(struct ps2mouse, reported, 8, 0x1f),
    SIGNED32(dx),
    SIGNED32(dy),
    SIGNED32(dz),
    FIELD_END,
};
