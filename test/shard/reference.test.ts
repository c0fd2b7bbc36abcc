import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createReferencePicker,
  type ReferencePicker,
  type ReferencePosition,
  readReference,
  writeReference,
} from '../../src/shard/reference.ts';
import { coded } from '../contracts/store.ts';
import { random } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';

const place = useStore();

interface Offered {
  readonly sampleId: Uint8Array;
  readonly position: number;
}

function offersOf(samples: number, seed: number, copies = 1): Offered[] {
  const next = random(seed);
  return Array.from({ length: samples }, () => {
    const sampleId = Uint8Array.from({ length: 16 }, () => next() * 256);
    const length = 1 + Math.floor(next() * 9);
    const positions = Array.from({ length }, (_, position) => ({ sampleId, position }));
    return Array.from({ length: copies }, () => positions).flat();
  }).flat();
}

function positionOf(priority: number, ordinal: number): ReferencePosition {
  return {
    priority,
    ordinal,
    position: ordinal % 7,
    label: ordinal % 3 === 0 ? -1 : ordinal,
    labelLogprob: ordinal % 3 === 0 ? Number.NaN : -ordinal,
    tail: 0.25,
    ids: Uint32Array.from({ length: ordinal % 5 }, (_, i) => i * ordinal),
    logprobs: Float32Array.from({ length: ordinal % 5 }, (_, i) => -i - 0.5),
  };
}

/** Offers positions; their number in the order of arrival stands for the ordinal. */
function offer(picker: ReferencePicker, offers: readonly Offered[], first = 0): void {
  offers.forEach(({ sampleId, position }, i) => {
    const priority = picker.priority(sampleId, position);
    if (priority !== undefined) picker.add(positionOf(priority, first + i));
  });
}

/** Priorities of all offers: a picker that keeps everything tells them. */
function prioritiesOf(offers: readonly Offered[], seed: number): number[] {
  const all = createReferencePicker({ positions: 1e6, seed });
  return offers.map(({ sampleId, position }) => all.priority(sampleId, position) ?? Number.NaN);
}

const kept = (picker: ReferencePicker, candidates: readonly ReferencePosition[]) => {
  const belongs = picker.sample();
  return candidates.filter(({ priority }) => belongs(priority)).map(({ ordinal }) => ordinal);
};

const cases = fc.record({
  samples: fc.integer({ min: 0, max: 80 }),
  positions: fc.integer({ min: 0, max: 60 }),
  seed: fc.nat(2 ** 32 - 1),
  /** How often each sample comes: equal ids have equal priorities. */
  copies: fc.constantFrom(1, 1, 3),
});

describe('the picker of reference positions', () => {
  it('keeps the positions with the least priorities, whatever their order', () => {
    fc.assert(
      fc.property(cases, ({ samples, positions, seed, copies }) => {
        const offers = offersOf(samples, seed, copies);
        const priorities = prioritiesOf(offers, seed);
        const least = [...priorities].sort((a, b) => a - b).slice(0, positions);
        for (const order of [offers, offers.toReversed()]) {
          const picker = createReferencePicker({ positions, seed });
          offer(picker, order);
          const found = kept(picker, picker.take()).map((i) => prioritiesOf([order[i]], seed)[0]);
          const own = found.sort((a, b) => a - b);
          expect(own).toEqual(least);
        }
      }),
    );
  });

  it('keeps the same sample after an interruption at any place', () => {
    fc.assert(
      fc.property(cases, fc.nat(), ({ samples, positions, seed, copies }, at) => {
        const offers = offersOf(samples, seed, copies);
        const cut = offers.length === 0 ? 0 : at % offers.length;
        const whole = createReferencePicker({ positions, seed });
        offer(whole, offers);
        const first = createReferencePicker({ positions, seed });
        offer(first, offers.slice(0, cut));
        const part = first.take();
        const second = createReferencePicker({ positions, seed });
        for (const { priority } of part) second.restore(priority);
        offer(second, offers.slice(cut), cut);
        expect(kept(second, [...part, ...second.take()])).toEqual(kept(whole, whole.take()));
      }),
    );
  });

  it('asks for little more than it keeps where it is told how many come', () => {
    const offers = offersOf(4000, 3);
    for (const positions of [4, 50, 800]) {
      const all = createReferencePicker({ positions, seed: 7 });
      const told = createReferencePicker({ positions, seed: 7, learned: offers.length });
      const asked = offers.filter(({ sampleId, position }) => {
        return told.priority(sampleId, position) !== undefined;
      }).length;
      expect(asked).toBeGreaterThanOrEqual(positions);
      expect(asked).toBeLessThan(1.25 * positions + 12 * Math.sqrt(positions));
      for (const picker of [all, told]) offer(picker, offers);
      expect(kept(told, told.take())).toEqual(kept(all, all.take()));
    }
  });

  it('keeps the same sample where it is told how many come, whatever the masks and the seed', () => {
    const masked = fc.record({
      seed: fc.nat(2 ** 32 - 1),
      positions: fc.constantFrom(150, 400),
      every: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(masked, ({ seed, positions, every }) => {
        const all = offersOf(800, seed);
        const offers = all.filter((_, i) => i % every === 0);
        const plain = createReferencePicker({ positions, seed });
        const told = createReferencePicker({
          positions,
          seed,
          total: all.length,
          learned: offers.length,
        });
        for (const picker of [plain, told]) offer(picker, offers);
        expect(kept(told, told.take())).toEqual(kept(plain, plain.take()));
      }),
    );
  });

  it('keeps the same sample where it has foreseen all, and asks for no more than that', () => {
    fc.assert(
      fc.property(cases, fc.nat(), ({ samples, positions, seed, copies }, at) => {
        const offers = offersOf(samples, seed, copies);
        const cut = offers.length === 0 ? 0 : at % offers.length;
        const plain = createReferencePicker({ positions, seed });
        const foreseeing = createReferencePicker({ positions, seed });
        const before = prioritiesOf(offers.slice(0, cut), seed).map((priority, i) =>
          positionOf(priority, i - cut),
        );
        for (const { priority } of before) {
          for (const picker of [plain, foreseeing]) picker.restore(priority);
        }
        foreseeing.foresee(
          offers.slice(cut).map(({ sampleId, position }) => ({
            sampleId,
            mask: new Uint8Array(position + 2).fill(1, position, position + 1),
          })),
        );
        const rest = offers.slice(cut);
        for (const picker of [plain, foreseeing]) offer(picker, rest);
        const candidates = foreseeing.take();
        // equal priorities belong to the sample in order of arrival
        const [found, expected] = [candidates, plain.take()].map((own) => [...before, ...own]);
        expect(kept(foreseeing, found)).toEqual(kept(plain, expected));
        if (copies === 1) expect(candidates.length).toBeLessThanOrEqual(positions);
      }),
    );
  });

  it('draws another sample with another seed, evenly over positions', () => {
    const offers = offersOf(400, 5);
    const sample = (seed: number) => {
      const picker = createReferencePicker({ positions: 100, seed });
      offer(picker, offers);
      return new Set(kept(picker, picker.take()));
    };
    const [a, b] = [sample(0), sample(1)];
    const common = [...a].filter((ordinal) => b.has(ordinal)).length;
    expect(common).toBeLessThan(30); // of 100 among about 2,000: 5 by chance
    const mean = [...a].reduce((sum, ordinal) => sum + ordinal, 0) / a.size / offers.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.12);
  });

  it('keeps candidates few where one sample comes again and again', () => {
    const picker = createReferencePicker({ positions: 10, seed: 0 });
    offer(picker, offersOf(3, 1, 2000));
    expect(picker.take().length).toBeLessThanOrEqual(60);
  });

  it('hands out candidates once, and none where none are asked for', () => {
    const picker = createReferencePicker({ positions: 4, seed: 0 });
    offer(picker, offersOf(5, 1));
    expect(picker.take().length).toBeGreaterThan(0);
    expect(picker.take()).toEqual([]);
    const none = createReferencePicker({ positions: 0, seed: 0 });
    expect(none.priority(randomBytes(16), 0)).toBeUndefined();
    expect(none.sample()(0)).toBe(false);
  });
});

async function readAll(): Promise<ReferencePosition[]> {
  const rows: ReferencePosition[] = [];
  for await (const batch of readReference(place.store, 'reference')) rows.push(...batch);
  return rows;
}

async function* parts(...all: ReferencePosition[][]) {
  yield* all;
}

describe('the reference file', () => {
  it('gives back every position, also over several batches, and without any', async () => {
    for (const count of [0, 1, 1024, 2500]) {
      const rows = Array.from({ length: count }, (_, i) => positionOf(2 ** 52 + i, i));
      const written = await writeReference(
        place.store,
        'reference',
        parts(rows.slice(0, 3), [], rows.slice(3)),
      );
      expect(written).toBe(count);
      expect(await readAll()).toEqual(rows);
    }
  });

  it('takes more candidates of a shard than a call takes arguments', async () => {
    const rows = Array.from({ length: 200_000 }, (_, i) => positionOf(i, 1));
    expect(await writeReference(place.store, 'reference', parts(rows))).toBe(rows.length);
  });

  it('is refused where it is cut, and missing where it is missing', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => positionOf(i, i));
    await writeReference(place.store, 'reference', parts(rows));
    const bytes = await place.store.readAll('reference');
    for (const length of [0, 7, 100, Math.floor(bytes.length / 2)]) {
      await place.store.write('reference', bytes.subarray(0, length));
      await expect(readAll()).rejects.toThrowError(coded('shard-damaged'));
    }
    await place.store.remove('reference');
    await expect(readAll()).rejects.toThrowError(coded('store-not-found'));
  });

  it('leaves nothing where its rows fail', async () => {
    async function* failing(): AsyncGenerator<ReferencePosition[]> {
      yield [positionOf(1, 1)];
      throw new Error('stopped');
    }
    await expect(writeReference(place.store, 'reference', failing())).rejects.toThrowError(
      'stopped',
    );
    expect(await place.store.list('')).toEqual([]);
  });
});
