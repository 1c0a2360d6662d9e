"""What tests of guests on their own media have in common: a program's
main() and media.

  PROGRAM TEST ENGINE [WHERE…] --lodge FILE --guest FOLDER --keep FOLDER

runs the program's test_TEST(start, args, *WHERE); start(words, …) makes a VM
(vm.py) of words for `lodge run`. FOLDER of --guest has the media, which a
script in tools/ makes; a test whose medium is missing is skipped (status 77).
A test that fails leaves a picture of the screen in --keep.
"""
import argparse
import os
import re
import subprocess

from vm import VM, Failed

# Seconds, on a busy machine: to a boot loader, to an installer's first
# question, from one question to the next.
LOADER, INSTALLER, STEP = 180, 900, 240


class Skip(Exception):
    """Something that the test needs is not there."""


def medium(args, name, maker='pc-guests'):
    path = f'{args.guest}/{name}'
    if not os.path.exists(path):
        raise Skip(f'{path} is missing; tools/{maker}.sh makes it')
    return path


def main(tests, guest='build/guest-pc'):
    """tests: globals() of the program. Returns its exit status."""
    p = argparse.ArgumentParser()
    p.add_argument('test')
    p.add_argument('engine')
    p.add_argument('where', nargs='*')
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--guest', default=guest)
    p.add_argument('--keep')
    args = p.parse_args()
    name = '-'.join([args.test, args.engine] + args.where)

    def start(words, **more):
        return VM(args.lodge, ['--engine', args.engine] + words, name=name,
                  keep=args.keep, **more)

    engines = subprocess.run([args.lodge, 'engines'], capture_output=True,
                             text=True, timeout=20).stdout
    try:
        if not re.search(rf'^{args.engine} +yes', engines, re.M):
            raise Skip(f'this host does not offer engine {args.engine}')
        tests['test_' + args.test](start, args, *args.where)
    except Skip as e:
        print(f'skipped: {e}')
        return 77
    except Failed as e:
        if re.search('package (seabios|ovmf|ipxe-qemu)', str(e)):
            print(f'skipped: {e}')
            return 77
        print(f'{name}: {e}')
        return 1
    return 0
