import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuditReport } from '../../schemas/audit.ts';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { countDuplicates } from '../../src/audit/duplicates.ts';
import { binOf, lengthBins, lengthHistogram } from '../../src/audit/lengths.ts';
import {
  createNamedSums,
  linesOf,
  mergeNamedSums,
  namesMax,
  othersName,
} from '../../src/audit/named-sums.ts';
import { createTokenCounter, mergeTokenCounts } from '../../src/audit/token-counts.ts';
import { entropyOf } from '../../src/distribution/entropy.ts';
import { dequantise, quantise } from '../../src/encode/levels.ts';
import { encodeIndex } from '../../src/shard/index-file.ts';
import { filePath } from '../../src/shard/names.ts';
import { random } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';
import { type Sample, targetSet, width, writeSamples } from '../support/shards.ts';
import { decodedEntries, randomTargets, targetShapes, targetsOf } from '../support/targets.ts';

const place = useStore();

const audit = (): Promise<AuditReport> =>
  auditSnapshot(place.store, { dataset: 'default', snapshot: 'latest' });

/** A sample whose most probable token at t is the one at t + 1 + shift, of p; two others beside. */
function shifted(seed: number, { shift = 0, p = 0.8, source = 'a', n = 40 } = {}): Sample {
  const next = random(seed);
  const tokens = Int32Array.from({ length: n }, () => Math.floor(next() * width));
  const targets = targetsOf(
    Array.from(tokens, (_, t) => {
      const id = tokens[t + 1 + shift] ?? 0;
      return [id, (id + 1) % width, (id + 7) % width].map((own, i) => {
        return { id: own, p: i === 0 ? p : (1 - p) / 4 };
      });
    }),
  );
  return { tokens, targets, meta: JSON.stringify({ source }) };
}

const several = (count: number, options: Parameters<typeof shifted>[1], from = 1) =>
  Array.from({ length: count }, (_, i) => shifted(from + i, options));

describe('alignment', () => {
  it('is best at the shift of the distributions', async () => {
    for (const shift of [-1, 0, 1] as const) {
      await writeSamples(place.store, [several(8, { shift })]);
      const { alignment } = await audit();
      expect(alignment[0]).toMatchObject({ target_set: 'teacher', best: shift, positions: 8 * 38 });
      const own = { '-1': 'before', '0': 'at', '1': 'after' }[shift] as 'at';
      expect(alignment[0][own]).toBeCloseTo(Math.log(0.8), 2);
    }
  });

  it('finds tokens in lists by rank, and outside any list as sources do', async () => {
    const raw = { ...targetSet, codec: { name: 'raw' as const, parameters: {} } };
    await writeSamples(place.store, [several(8, {})], { set: raw });
    const [{ at, before }] = (await audit()).alignment;
    expect(at).toBeCloseTo(Math.log(0.8), 5);
    expect(before).toBeLessThan(Math.log(0.1 / (width - 3)) + 0.3);
  });

  it('is told by shard and source, the worst first', async () => {
    const bad = several(4, { shift: -1, source: 'shifted' }, 50);
    await writeSamples(place.store, [several(4, {}), [...several(4, { source: 'b' }, 20), ...bad]]);
    const [{ shards, sources }] = (await audit()).alignment;
    expect(shards.rows.map(({ name }) => name.slice(-11))).toEqual(['00001.arrow', '00000.arrow']);
    expect(sources.rows.map(({ source }) => source)).toEqual([
      'shifted',
      expect.any(String),
      expect.any(String),
    ]);
    expect(sources.rows[0].before).toBeGreaterThan(sources.rows[0].at);
    expect(sources.rows[1].at).toBeGreaterThan(sources.rows[1].before);
    expect(sources.rows.reduce((sum, { positions }) => sum + positions, 0)).toBe(12 * 38);
  });

  it('has no best where nothing tells', async () => {
    const constant = { ...shifted(1), tokens: new Int32Array(40).fill(7) };
    await writeSamples(place.store, [[constant]]);
    expect((await audit()).alignment[0].best).toBeNull();
  });
});

describe('coverage', () => {
  it('counts sources, lengths, tokens, duplicates and what carries little', async () => {
    const samples = [
      shifted(1, { p: 0.9999, n: 30 }),
      shifted(2, { p: 0.4, source: 'b', n: 50 }),
      { ...shifted(3, { n: 7, p: 0.95 }), meta: 'no JSON' },
      { ...shifted(4, { n: 9, p: 0.95 }), meta: '{"file":"x.jsonl","document":"d"}' },
    ];
    await writeSamples(place.store, [samples.slice(0, 2), [...samples.slice(2), samples[1]]]);
    const { coverage } = await audit();
    expect(coverage.sources.rows).toEqual([
      { source: 'b', samples: 2, positions: 100, learned: 98 },
      { source: 'a', samples: 1, positions: 30, learned: 29 },
      { source: 'x.jsonl', samples: 1, positions: 9, learned: 8 },
      { source: '(none)', samples: 1, positions: 7, learned: 6 },
    ]);
    expect(coverage.duplicates).toEqual({ samples: 1, positions: 50 });
    const tokens = new Map<number, number>();
    for (const sample of [...samples, samples[1]]) {
      for (const id of sample.tokens) tokens.set(id, (tokens.get(id) ?? 0) + 1);
    }
    expect(coverage.vocabulary).toMatchObject({ size: width, used: tokens.size });
    const most = Math.max(...tokens.values());
    expect(coverage.vocabulary.most[0].share).toBeCloseTo(most / 146, 12);
    expect(coverage.lengths.counts.reduce((sum, count) => sum + count, 0)).toBe(5);
    expect(coverage.mask_faults).toEqual({ last: 0, without_target: 0 });
    const [least, , , nat] = coverage.little;
    expect(least).toMatchObject({ entropy_max: 0.01, positions: 29 });
    expect(nat.positions).toBe(29 + 6 + 8); // p = 0.4 leaves more than a nat
    expect(nat.bytes_saved).toBeGreaterThan(least.bytes_saved);
  });

  it('finds learned positions without a target', async () => {
    const empty = shifted(1);
    const targets = targetsOf(
      Array.from(empty.tokens, (_, t) => (t === 3 ? [] : [{ id: 1, p: 0.5 }])),
    );
    await writeSamples(place.store, [[{ ...empty, targets }, shifted(2)]]);
    expect((await audit()).coverage.mask_faults.without_target).toBe(1);
  });
});

describe('duplicates', () => {
  it('are counted as a set of ids counts them, in any number of passes', async () => {
    const shard = fc.array(fc.nat(40), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(shard, { maxLength: 4 }),
        fc.integer({ min: 1, max: 300 }),
        async (shards, passSamplesMax) => {
          const ids = Array.from({ length: 41 }, (_, id) => {
            const next = random(id);
            return Buffer.from(Array.from({ length: 16 }, () => Math.floor(next() * 256)));
          });
          const header = {
            positions: 0,
            learned: 0,
            entries: 0,
            nextInput: 0,
            shardBytes: 0,
            shardDigest: Buffer.alloc(32),
          };
          for (const [i, own] of shards.entries()) {
            const rows = own.map((id) => ({ sampleId: ids[id], positions: 3 + id, learned: 1 }));
            const batch = { firstRow: 0, rows: rows.length, offset: 0, metadataBytes: 0 };
            await place.store.write(
              filePath('default', `${i}.index`),
              encodeIndex(header, [batch], rows),
            );
          }
          const seen = new Set<number>();
          const expected = { samples: 0, positions: 0 };
          for (const id of shards.flat()) {
            if (seen.has(id)) {
              expected.samples++;
              expected.positions += 3 + id;
            }
            seen.add(id);
          }
          const indexes = shards.map((_, i) => `${i}.index`);
          const options = { dataset: 'default', indexes, samples: shards.flat().length };
          expect(await countDuplicates(place.store, { ...options, passSamplesMax })).toEqual(
            expected,
          );
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('sums by name', () => {
  it('are exact for the names kept, and the same in any grouping', () => {
    const names = fc.array(fc.integer({ min: 0, max: 3 * namesMax }), {
      minLength: 10,
      maxLength: 6000,
      size: 'max',
    });
    fc.assert(
      fc.property(names, fc.nat(), (numbers, seed) => {
        const of = (part: readonly number[]) => {
          const sums = createNamedSums(2);
          for (const number of part) sums.add(`n${number}`, [1, number]);
          return sums.value();
        };
        const cuts = [seed % numbers.length, (seed * 7) % numbers.length].sort((a, b) => a - b);
        const parts = [
          numbers.slice(0, cuts[0]),
          numbers.slice(...(cuts as [number, number])),
          numbers.slice(cuts[1]),
        ];
        const [a, b, c] = parts.map(of);
        const sorted = (value: ReturnType<typeof of>) => [...linesOf(value)].sort();
        const whole = sorted(of(numbers));
        expect(sorted(mergeNamedSums(mergeNamedSums(a, b), c))).toEqual(whole);
        expect(sorted(mergeNamedSums(a, mergeNamedSums(b, c)))).toEqual(whole);
        const distinct = [...new Set(numbers.map((number) => `n${number}`))].sort();
        const lines = new Map(whole.map(([name, sums]) => [name, sums[0]]));
        for (const name of distinct.slice(0, namesMax)) {
          expect(lines.get(name)).toBe(numbers.filter((number) => `n${number}` === name).length);
        }
        expect(lines.has(othersName)).toBe(distinct.length > namesMax);
      }),
      { numRuns: 6 },
    );
  });
});

describe('what tallies are made of', () => {
  it('entropies are those of the logarithm, to 2e-4 nats', () => {
    fc.assert(
      fc.property(targetShapes, (shape) => {
        const bounded = { ...shape, width: Math.min(shape.width, 128_256) };
        const targets = dequantise(quantise(randomTargets(bounded), { step: 0.003, tau: 0 }), {
          step: 0.003,
          tau: 0,
        });
        const entropy = entropyOf(targets, bounded.width);
        for (let t = 0; t < targets.count; t++) {
          const entries = decodedEntries(targets, t);
          const rest = targets.rest[t];
          const each = rest / Math.max(1, bounded.width - entries.length);
          const sum = entries.reduce((total, { p }) => total - p * Math.log(p), 0);
          expect(entropy(t)).toBeCloseTo(
            Math.max(0, sum - (rest > 0 ? rest * Math.log(each) : 0)),
            3,
          );
        }
      }),
    );
  });

  it('a length lies in its bin', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (length) => {
        const counts = new Array<number>(lengthBins).fill(0);
        counts[binOf(length)]++;
        const { edges } = lengthHistogram(counts);
        expect(edges).toHaveLength(2);
        expect(length).toBeGreaterThanOrEqual(edges[0]);
        expect(length).toBeLessThan(edges[1]);
      }),
    );
  });

  it('token counts of parts add up', () => {
    const ids = fc.array(fc.nat(300_000), { maxLength: 60 });
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        const count = (part: readonly number[]) => {
          const counter = createTokenCounter();
          counter.add(Int32Array.from(part));
          return counter.value();
        };
        expect(mergeTokenCounts(count(a), count(b))).toEqual(count([...a, ...b]));
      }),
    );
  });
});
