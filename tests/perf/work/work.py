# Python: objects, dictionaries, strings, generators, big numbers.
import collections


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def add(self, other):
        return Point(self.x + other.x, self.y - other.y)


def words(n):
    for i in range(n):
        yield "w%d" % (i * 7919 % 997)


p = Point(0, 0)
for i in range(80000):
    p = p.add(Point(i, i % 7))
count = collections.Counter()
for w in words(150000):
    count[w] += len(w)
primes = [n for n in range(2, 12000) if all(n % d for d in range(2, int(n**0.5) + 1))]
big = 1
for n in range(1, 1200):
    big *= n
print(p.x, p.y, sorted(count.items())[:3], sum(primes), big % 1000000007)
