#!/usr/bin/env python3
"""A guest on the network: what it fetches, sends and serves arrives unchanged.

  net.py TEST ENGINE CARD --lodge FILE --guest FOLDER [--bytes N]

TEST is user (libslirp) or tap, which needs the right to make a network
namespace. FOLDER has vmlinuz and initrd (tools/net-guest.sh). All traffic
stays on the loopback interface and in the namespace. What cannot run here is
skipped (status 77).
"""
import argparse
import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading

from boot import BOOT, PROMPT, Failed, Run


class Server:
    """An HTTP server with one file, and a socket that takes what comes."""

    def __init__(self, address, size):
        block = hashlib.sha512(b'lodge').digest() * 1024
        self.data = (block * (size // len(block) + 1))[:size]
        self.sum = hashlib.sha256(self.data).hexdigest()
        data = self.data

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except ConnectionError:
                    pass  # who asked wanted no more

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.sink = socket.create_server((address, 0))
        self.took = []
        for work in (self.http.serve_forever, self._take):
            threading.Thread(target=work, daemon=True).start()

    def _take(self):
        while True:
            c, _ = self.sink.accept()
            digest = hashlib.sha256()
            while True:
                part = c.recv(1 << 20)
                if not part:
                    break
                digest.update(part)
            self.took.append(digest.hexdigest())
            c.close()

    @property
    def http_port(self):
        return self.http.server_address[1]

    @property
    def sink_port(self):
        return self.sink.getsockname()[1]


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def start(args, runs, *more):
    words = ['--kernel', args.guest + '/vmlinuz', '--initrd',
             args.guest + '/initrd', '--append', 'console=ttyS0 loglevel=4',
             '-m', '256M', '--no-reboot', *more]
    g = Run(args, words)
    runs.append(g)
    g.expect(PROMPT, BOOT)
    return g


def fetch(g, server, address):
    g.shell(f'wget -q -O - http://{address}:{server.http_port}/ | sha256sum',
            r'\n' + server.sum, 300)


def send(g, server, address):
    """From the guest: a file of another checksum than the one fetched."""
    size = len(server.data) // 2
    want = hashlib.sha256(server.data[:size]).hexdigest()
    g.shell(f'wget -q -O - http://{address}:{server.http_port}/ | '
            f'head -c {size} > /tmp/f; nc {address} {server.sink_port} '
            '< /tmp/f; echo sent$((1))', 'sent1', 300)
    if server.took != [want]:
        raise Failed(f'the host got {server.took}, not {want}')


def talk(port, text):
    """Through a TCP forward to a guest that sends back what it gets."""
    with socket.create_connection(('127.0.0.1', port), timeout=60) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        back = b''
        while True:
            part = s.recv(65536)
            if not part:
                break
            back += part
    if back != text:
        raise Failed(f'{len(text)} bytes went in, {len(back)} others came out')


def test_user(args, runs):
    server = Server('127.0.0.1', args.bytes)
    tcp = free_port()
    g = start(args, runs, '--net',
              f'user,model={args.card},fwd=tcp:{tcp}:7')
    g.shell('ip link set eth0 up; udhcpc -i eth0 -q -n -s /bin/dhcp',
            r'lease of 10\.0\.2\.15 obtained from 10\.0\.2\.2')
    fetch(g, server, '10.0.2.2')
    send(g, server, '10.0.2.2')
    g.shell('nc -l -p 7 -e cat & sleep 1; echo up$((1))', 'up1')
    talk(tcp, os.urandom(200000))
    if socket.has_ipv6:
        g.shell('for i in 1 2 3 4 5 6 7 8 9; do ip -6 addr show eth0 | '
                'grep -q fec0:: && break; sleep 1; done; '
                'ip -6 addr show eth0', r'fec0::\S+/64')
    g.type('poweroff -f\r')
    g.want_status(0)


def test_restrict(args, runs):
    """Of the host's services a restricted guest reaches none."""
    server = Server('127.0.0.1', 1000)
    g = start(args, runs, '--net', f'user,model={args.card},restrict')
    g.shell('ip link set eth0 up; udhcpc -i eth0 -q -n -s /bin/dhcp',
            r'lease of 10\.0\.2\.15 obtained')
    # Not wget's own -T: Debian's static busybox crashes with it anywhere.
    g.shell('timeout 5 wget -q -O - '
            f'http://10.0.2.2:{server.http_port}/ | wc -c', r'\n0\r\n')
    g.type('poweroff -f\r')
    g.want_status(0)


def test_tap(args, runs):
    """In a network namespace of our own, so no interface of the host's."""
    if os.environ.get('LODGE_NETNS') != 'mine':
        way = ['unshare', '--net']
        if os.getuid():
            way += ['--user', '--map-root-user']
        script = ('ip link set lo up && ip tuntap add tap0 mode tap && '
                  'ip addr add 192.0.2.1/24 dev tap0 && ip link set tap0 up')
        can = subprocess.run(way + ['sh', '-c', script], capture_output=True,
                             text=True)
        if can.returncode:
            print('skipped: no network namespace with a TAP interface can be '
                  'made here: ' + can.stderr.strip())
            return 77
        os.environ['LODGE_NETNS'] = 'mine'
        os.execvp(way[0], way + ['sh', '-c', script + ' && exec "$0" "$@"',
                                 sys.executable, *sys.argv])
    server = Server('192.0.2.1', args.bytes)
    g = start(args, runs, '--net', f'tap:tap0,model={args.card}')
    g.shell('ip link set eth0 up; ip addr add 192.0.2.2/24 dev eth0; '
            'ping -c 1 192.0.2.1', '1 packets received')
    fetch(g, server, '192.0.2.1')
    send(g, server, '192.0.2.1')
    g.type('poweroff -f\r')
    g.want_status(0)
    return 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument('test')
    p.add_argument('engine')
    p.add_argument('card')
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--guest', default='build/net-guest')
    p.add_argument('--bytes', type=int, default=100000000)
    args = p.parse_args()
    runs = []

    for name in ('vmlinuz', 'initrd'):
        if not os.path.exists(f'{args.guest}/{name}'):
            print(f'skipped: {args.guest}/{name} is missing; '
                  'tools/net-guest.sh makes it')
            return 77
    engines = subprocess.run([args.lodge, 'engines'], capture_output=True,
                             text=True, timeout=20).stdout
    if not re.search(rf'^{args.engine} +yes', engines, re.M):
        print(f'skipped: this host does not offer engine {args.engine}')
        return 77
    try:
        return globals()['test_' + args.test](args, runs) or 0
    except Failed as e:
        print(f'{args.test} {args.engine} {args.card}: {e}')
        print('--- terminal, its end:')
        print(runs[-1].text[-1500:] if runs else '')
        if runs and 'lacks libslirp' in runs[-1].text:
            print('skipped: built without libslirp')
            return 77
        return 1
    finally:
        for r in runs:
            r.close()


if __name__ == '__main__':
    sys.exit(main())
