"""docs/plan.md read once more, in plain Python: the order of plans and the packing of documents."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator

ALGORITHM = "feistel10-murmur3-le/fisher-yates-65536/groups-16/rotation-mix"
WORD = 0xFFFFFFFF


def plan_id(identity: dict) -> str:
    """SHA-256 of RFC 8785 JSON; identities hold integers and ASCII strings only."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def identity_of(request: dict, content_ids: list[str]) -> dict:
    shares = [
        {k: s[k] for k in ("proportion", "repeat", "choose") if k in s}
        for s in request.get("streams", [{} for _ in content_ids])
    ]
    return {
        "algorithm": ALGORITHM,
        "streams": [{"content_id": c, **s} for c, s in zip(content_ids, shares)],
        "seed": request.get("seed", "0"),
        "shuffle": request.get("shuffle", {"mode": "global"}),
        "global_batch": request.get("global_batch", 8),
        "epoch_size": request.get("epoch_size"),
        "stop": request.get("stop", "all"),
        "packing": None,
        "tail": request.get("tail", "short"),
        "filter": None,
    }


def murmur(x: int) -> int:
    x = (x ^ (x >> 16)) * 0x85EBCA6B & WORD
    x = (x ^ (x >> 13)) * 0xC2B2AE35 & WORD
    return x ^ (x >> 16)


def permutation(key: bytes, n: int) -> Callable[[int], int]:
    k = struct.unpack("<8I", key)

    def f(c: int, x: int) -> int:
        return murmur((murmur(x ^ k[c % 8]) + k[(c + 3) % 8] + c * 0x9E3779B9) & WORD)

    if n < 1 << 16:
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = f(i, i) * (i + 1) >> 32
            order[i], order[j] = order[j], order[i]
        return order.__getitem__
    half = math.ceil((n - 1).bit_length() / 2)

    def once(v: int) -> int:
        left, right = v >> half, v & ((1 << half) - 1)
        for c in range(10):
            left, right = right, left ^ (f(c, right) >> (32 - half))
        return left << half | right

    def at(i: int) -> int:
        v = once(i)
        while v >= n:
            v = once(v)
        return v

    return at


def divide(whole: int, weights: list[int]) -> list[int]:
    total, ends, run = sum(weights), [], 0
    for weight in weights:
        run += weight
        ends.append(whole * run // total if total else 0)
    return [end - start for start, end in zip([0, *ends], ends)]


def stride(n: int) -> int:
    g = max(1, math.floor(n * 0.6180339887498949))
    while math.gcd(g, n) != 1:
        g += 1
    return g


class Plan:
    """A plan over streams of `items` items."""

    def __init__(self, identity: dict, items: list[int]) -> None:
        self.identity, self.items, self.id = identity, items, plan_id(identity)
        self.batch, streams = identity["global_batch"], identity["streams"]
        weights = [
            s.get("proportion") or s.get("choose") or s.get("repeat", 1) * n
            for s, n in zip(streams, items)
        ]
        total = sum(weights)
        size = identity["epoch_size"]
        if size is None and "proportion" in streams[0]:
            if identity["stop"] == "first":
                size = min(n * total // w for n, w in zip(items, weights))
            else:
                size = max(-(-n * total // w) for n, w in zip(items, weights))
        self.size = total if size is None else size
        self.quotas = divide(self.size, weights)
        self.full = self.size // self.batch
        self.full_quotas = divide(self.full * self.batch, self.quotas)
        self.left = self.size - self.full * self.batch
        self.steps = self.full + (self.left > 0 and identity["tail"] != "drop")

    def before(self, step: int) -> list[int]:
        """Items of each stream in the steps before one, by going through them if there are few."""
        if len(self.items) == 1 or self.full == 0:
            return [step * (q // self.full if self.full else 0) for q in self.full_quotas]
        period, a = self.full, stride(self.full)
        bounds = [0]
        for quota in self.full_quotas:
            bounds.append(bounds[-1] + quota % period)
        counts = [step * (q // period) for q in self.full_quotas]
        for t in range(step):
            u = t * a % period
            ends = [(bound + u) // period for bound in bounds]
            for i in range(len(counts)):
                counts[i] += ends[i + 1] - ends[i]
        return counts

    def places(self, step: int) -> list[tuple[int, int]]:
        """(stream, number of the draw) of a step, without pads."""
        start = self.before(step)
        end = self.before(step + 1) if step < self.full else self.quotas
        slots = [i for i, (a, b) in enumerate(zip(start, end)) for _ in range(b - a)]
        n = len(slots)
        g = stride(n) if n else 1
        streams = [0] * n if len(start) == 1 else [slots[q * g % n] for q in range(n)]
        found = []
        for stream in streams:
            found.append((stream, start[stream]))
            start[stream] += 1
        return found

    def samples(self, epoch: int, step: int, rank: int, world: int) -> dict[str, list[int]]:
        places = [(*place, 0) for place in self.places(step)]
        if self.identity["tail"] == "pad":
            j, held = 0, len(places)
            while len(places) < self.batch:
                place = (j % self.size) // self.batch, (j % self.size) % self.batch
                places.append((*self.places(place[0])[place[1]], 1))
                j += 1
            assert held + j == self.batch or j == 0
        n = len(places)
        cut = places[n * rank // world : n * (rank + 1) // world]
        return {
            "streams": [stream for stream, _, _ in cut],
            "ordinals": [self.item(epoch, stream, draw) for stream, draw, _ in cut],
            "pad": [pad for _, _, pad in cut],
        }

    def item(self, epoch: int, stream: int, draw: int) -> int:
        n = self.items[stream]
        index, shuffle = draw % n, self.identity["shuffle"]

        def key(part: int) -> bytes:
            numbers = struct.pack("<IIQQ", epoch, stream, draw // n, part)
            domain = b"logitcask/order/1" + bytes.fromhex(self.id)
            return hashlib.sha256(domain + numbers).digest()

        if shuffle["mode"] == "none":
            return index
        if shuffle["mode"] == "global":
            return permutation(key(0), n)(index)
        block = shuffle["block"]
        whole, rest = divmod(n, block)
        rest_at = (int.from_bytes(key(1)[:4], "little") * (whole + 1) >> 32) * block
        group = index // (16 * block)
        first = group * 16 * block
        place = first + permutation(key(2 + group), min(16 * block, n - first))(index - first)
        if rest_at <= place < rest_at + rest:
            return whole * block + place - rest_at
        among = place if place < rest_at else place - rest
        return permutation(key(0), whole)(among // block) * block + among % block


def pack(lengths: list[int], length: int, window: int) -> Iterator[list[list[int]]]:
    """Packs of [ordinal, first position, positions], in order."""
    packs: list[tuple[int, int, list[list[int]]]] = []  # free, number, segments
    opened = 0
    for ordinal, positions in enumerate(lengths):
        first = 0
        while positions - first > length:
            yield [[ordinal, first, length]]
            first += length
        piece = positions - first
        fitting = [p for p in packs if p[0] >= piece]
        if fitting:
            best = min(fitting, key=lambda p: p[:2])
            packs.remove(best)
        else:
            best = (length, opened, [])
            opened += 1
        free, number, segments = best
        segments.append([ordinal, first, piece])
        if free == piece:
            yield segments
        else:
            packs.append((free - piece, number, segments))
        if len(packs) > window:
            fullest = min(packs, key=lambda p: p[:2])
            packs.remove(fullest)
            yield fullest[2]
    for _, _, segments in sorted(packs, key=lambda p: p[1]):
        yield segments
