/* --net of `lodge run`: what a network card is, and what it is plugged into. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/run.h"

/* The words of model=, and the device classes they mean. */
static const struct {
    const char *word, *class;
} models[] = {
    {"virtio", "virtio-net"},
    {"e1000", "e1000"},
    {"rtl8139", "rtl8139"},
    {"ne2000", "ne2000"},
};

static int set_model(struct run_net *n, const char *v, struct err *e)
{
    char all[128] = "";

    for (unsigned i = 0; i < sizeof models / sizeof models[0]; i++) {
        size_t at = strlen(all);

        if (!strcmp(models[i].word, v)) {
            n->model = models[i].class;
            return 0;
        }
        snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "",
                 models[i].word);
    }
    return err_set(e, LE_USAGE, "--net: model=%.40s is none of %s", v, all);
}

static int bad_forward(const char *v, struct err *e)
{
    return err_set(e, LE_USAGE,
                   "--net: fwd=%.60s is not tcp:[ADDR:]PORT:GUESTPORT, nor "
                   "the same with udp; ports are 1 to 65535, ADDR is IPv4",
                   v);
}

/* Takes ":" and a port off the end of text. */
static bool take_port(char *text, uint16_t *port)
{
    char *colon = strrchr(text, ':');
    uint64_t n;

    if (!colon || cli_number("", colon + 1, 1, 65535, &n, NULL) < 0)
        return false;
    *port = (uint16_t)n;
    *colon = 0;
    return true;
}

static int add_forward(struct net_options *o, const char *v, struct err *e)
{
    struct net_forward f = {.address = {127, 0, 0, 1}};
    char text[64] = ":"; /* so that a port alone has a colon before it */

    if (o->nforwards == NET_FORWARDS)
        return err_set(e, LE_USAGE, "--net: a card has at most %d forwards",
                       NET_FORWARDS);
    f.udp = !strncmp(v, "udp:", 4);
    if ((!f.udp && strncmp(v, "tcp:", 4)) || strlen(v) >= sizeof text)
        return bad_forward(v, e);
    strcpy(text + 1, v + 4);
    if (!take_port(text, &f.guest) || !take_port(text, &f.host))
        return bad_forward(v, e);
    if (text[0] && inet_pton(AF_INET, text + 1, f.address) != 1)
        return bad_forward(v, e);
    o->forward[o->nforwards++] = f;
    return 0;
}

static int set_kind(struct net_options *o, const char *v, struct err *e)
{
    if (!strcmp(v, "user")) {
        o->kind = NET_USER;
        return 0;
    }
    if (!strcmp(v, "none")) {
        o->kind = NET_NONE;
        return 0;
    }
    if (strncmp(v, "tap:", 4) || !v[4])
        return err_set(e, LE_USAGE,
                       "--net: '%.40s' is none of user, tap:IF, none", v);
    if (strlen(v + 4) >= sizeof o->ifname || strpbrk(v + 4, "/% "))
        return err_set(e, LE_USAGE,
                       "--net %.60s: that is no name of an interface; it has "
                       "at most %zu letters",
                       v, sizeof o->ifname - 1);
    o->kind = NET_TAP;
    strcpy(o->ifname, v + 4);
    return 0;
}

static int net_field(void *ctx, const char *key, const char *v, struct err *e)
{
    struct run_net *n = ctx;

    if (!key)
        return set_kind(&n->net, v, e);
    if (!strcmp(key, "model") && v)
        return set_model(n, v, e);
    if (!strcmp(key, "mac") && v) {
        snprintf(n->mac, sizeof n->mac, "%s", v);
        return strlen(v) == strlen(n->mac)
                   ? 0
                   : err_set(e, LE_USAGE,
                             "--net: mac=%.40s is no address; give one like "
                             "52:54:00:12:34:56",
                             v);
    }
    if (n->net.kind == NET_USER && !strcmp(key, "fwd") && v)
        return add_forward(&n->net, v, e);
    if (n->net.kind == NET_USER && !strcmp(key, "restrict") && !v) {
        n->net.restricted = true;
        return 0;
    }
    return err_set(e, LE_USAGE,
                   "--net: '%s%s%.40s' is none of model=CARD, mac=ADDRESS%s",
                   key, v ? "=" : "", v ? v : "",
                   n->net.kind == NET_USER ? ", fwd=…, restrict" : "");
}

/* Another one in each TAP's VM, for they may meet on a bridge; the same in each
   run. Behind `user` nobody else sees it. */
static void default_mac(struct run_net *n, unsigned card)
{
    uint32_t hash = 0x123456 + card;

    for (const char *p = n->net.ifname; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 0x01000193;
    if (n->net.ifname[0])
        hash ^= hash >> 24;
    snprintf(n->mac, sizeof n->mac, "52:54:00:%02x:%02x:%02x",
             hash >> 16 & 0xff, hash >> 8 & 0xff, hash & 0xff);
}

int run_add_net(struct run_request *r, const char *text, struct err *e)
{
    struct run_net *n = &r->nic[r->nnics];
    int rc;

    if (r->nnics == PC_NICS)
        return err_set(e, LE_USAGE, "--net: a PC takes at most %d cards",
                       PC_NICS);
    *n = (struct run_net){.model = models[0].class};
    if (!strcmp(text, "none")) /* no card at all */
        return 0;
    rc = cli_fields(text, net_field, n, e);
    if (rc < 0)
        return rc;
    if (!n->mac[0])
        default_mac(n, r->nnics);
    r->nnics++;
    return 0;
}
