import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dequantise } from '../../src/encode/levels.ts';
import { decodePlanes, encodePlanes } from '../../src/encode/planes.ts';

const folder = new URL('../golden/frames/', import.meta.url);

interface Golden {
  readonly about: string;
  readonly width: number;
  readonly kind: 'scaled' | 'unbiased';
  readonly compression: 'zstd' | 'lz4';
  readonly step: number;
  readonly tau: number;
  readonly count_width: number;
  readonly id_planes: number;
  readonly counts: number[];
  readonly ids: number[];
  readonly levels: number[];
  readonly rest_levels: number[];
  readonly probs: number[];
  readonly rest: number[];
}

const names = readdirSync(folder)
  .filter((name) => name.endsWith('.bin'))
  .map((name) => name.slice(0, -4));

const bytesOf = (name: string) => readFileSync(new URL(`${name}.bin`, folder));

describe.each(names)('golden frame %s', (name) => {
  const golden: Golden = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));
  const { width, kind, compression, step, tau, counts } = golden;

  it(`decodes to its expected values: ${golden.about}`, () => {
    const { header, levels } = decodePlanes(bytesOf(name), { width, count: counts.length });
    expect(header).toMatchObject({
      kind,
      compression,
      step,
      tau,
      countWidth: golden.count_width,
      idPlanes: golden.id_planes,
      positions: counts.length,
      entries: golden.ids.length,
    });
    expect(Array.from(levels.counts)).toEqual(counts);
    expect(Array.from(levels.ids)).toEqual(golden.ids);
    expect(Array.from(levels.levels)).toEqual(golden.levels);
    expect(Array.from(levels.rest)).toEqual(golden.rest_levels);
    const decoded = dequantise(levels, header);
    expect(Array.from(decoded.probs)).toEqual(golden.probs);
    expect(Array.from(decoded.rest)).toEqual(golden.rest);
  });

  it('survives another encoding of its integers', () => {
    const { header, levels } = decodePlanes(bytesOf(name), { width });
    const again = encodePlanes(levels, header);
    expect(decodePlanes(again, { width }).levels).toEqual(levels);
    if (golden.about.startsWith('another encoder')) return;
    expect(Buffer.from(again).equals(bytesOf(name))).toBe(true);
  });
});

it('there are golden frames of every kind, both compressions and every width', () => {
  const all = names.map((name) => decodePlanes(bytesOf(name), { width: 2 ** 32 }).header);
  const seen = (field: keyof (typeof all)[number]) => new Set(all.map((header) => header[field]));
  expect(seen('kind').size).toBe(3);
  expect(seen('compression').size).toBe(2);
  expect(seen('countWidth')).toEqual(new Set([1, 2, 4]));
  expect(seen('idPlanes')).toEqual(new Set([2, 3, 4]));
});
