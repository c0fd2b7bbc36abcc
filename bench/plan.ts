/** The order: exactly once in generated cases, resume, cost of a plan of any size, packs. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { planRequest } from '../schemas/plan.ts';
import { type OpenPlan, openPlan } from '../src/plan/open-plan.ts';
import type { OrderStore } from '../src/plan/order-store.ts';
import { createPacker } from '../src/plan/pack.ts';
import { makePlan, planReply } from '../src/plan/plan.ts';
import { type Benchmark, type Figure, median, plain } from './figure.ts';

const cases = 10_000;
const resumePlans = 40;

/** Plans without filters and packs read nothing. */
const noStore = undefined as unknown as OrderStore;

type Request = Record<string, unknown>;

function planOf(sizes: readonly number[], request: Request): Promise<OpenPlan> {
  const streams = sizes.map(() => ({ dataset: 'bench' }));
  const made = makePlan(
    planRequest.parse({ streams, ...request }),
    sizes.map((samples, i) => ({
      dataset: 'bench',
      snapshot: 'a'.repeat(64),
      contentId: (i % 16).toString(16).repeat(64),
      samples,
      filter: null,
      packing: null,
    })),
  );
  return openPlan(made, { store: noStore, orders: new Map() });
}

/** A seeded generator: a failing case can be made again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Case {
  readonly sizes: readonly number[];
  readonly request: Request;
  readonly world: number;
  readonly epoch: number;
}

function caseOf(seed: number): Case {
  const draw = random(seed * 7919 + 1);
  for (let i = 0; i < 5; i++) draw(2);
  const sizes = Array.from({ length: 1 + draw(4) }, () => 1 + draw(150));
  const share = ['none', 'proportion', 'absolute'][draw(3)];
  const streams = sizes.map(() => {
    const own = { dataset: 'bench' };
    if (share === 'proportion') return { ...own, proportion: 1 + draw(9) };
    if (share === 'none') return own;
    return draw(2) === 0 ? { ...own, repeat: 1 + draw(3) } : { ...own, choose: 1 + draw(200) };
  });
  const shuffles = [{ mode: 'none' }, { mode: 'global' }, { mode: 'block', block: 1 + draw(20) }];
  return {
    sizes,
    request: {
      streams,
      shuffle: shuffles[draw(3)],
      seed: String(draw(2 ** 32)),
      global_batch: 1 + draw(40),
      tail: ['short', 'pad', 'drop'][draw(3)],
      stop: ['first', 'all'][draw(2)],
    },
    world: 1 + draw(48),
    epoch: draw(2 ** 32),
  };
}

/** What an epoch must draw, where that can be said without the mix: nothing dropped, no weights. */
function asked(request: Request, sizes: readonly number[]): number[] | undefined {
  const streams = request.streams as { proportion?: number; repeat?: number; choose?: number }[];
  if (request.tail === 'drop' || streams[0].proportion !== undefined) return undefined;
  return streams.map(({ repeat = 1, choose }, i) => choose ?? repeat * sizes[i]);
}

/** Union over ranks and steps: every pass over a stream whole, but for the epoch's last one. */
async function isExact({ sizes, request, world, epoch }: Case): Promise<boolean> {
  const plan = await planOf(sizes, request);
  const drawn: number[][] = sizes.map(() => []);
  for (let step = 0; step < plan.steps; step++) {
    for (let rank = 0; rank < world; rank++) {
      const { streams, ordinals, pad } = await plan.samples({ epoch, step, rank, world });
      ordinals.forEach((ordinal, i) => {
        if (!pad[i]) drawn[streams[i]].push(ordinal);
      });
    }
  }
  const told = planReply(plan.plan).streams;
  return drawn.every((ordinals, stream) => {
    if (ordinals.length !== told[stream].drawn) return false;
    if (ordinals.length !== (asked(request, sizes)?.[stream] ?? ordinals.length)) return false;
    for (let from = 0; from < ordinals.length; from += sizes[stream]) {
      const pass = ordinals.slice(from, from + sizes[stream]);
      if (new Set(pass).size !== pass.length) return false;
      if (pass.some((ordinal) => ordinal >= sizes[stream])) return false;
    }
    return true;
  });
}

async function exactlyOnce(log: (text: string) => void): Promise<Figure> {
  let exact = 0;
  for (let seed = 0; seed < cases; seed++) {
    if (await isExact(caseOf(seed))) exact++;
    else log(`case ${seed}: ${JSON.stringify(caseOf(seed))}`);
  }
  const figure = 'random (N, shares, B, W, seed, shuffle, tail): each sample exactly once a pass';
  return { ...plain(figure, 'cases', exact), reach: `all of ${cases}`, ok: exact === cases };
}

/** Order of an epoch that is interrupted at given steps, each time with another world. */
async function interrupted(one: Case, stops: readonly number[]): Promise<string> {
  let plan = await planOf(one.sizes, one.request);
  let world = 1;
  const ids: string[] = [];
  for (let step = 0; step < plan.steps; step++) {
    if (stops.includes(step)) {
      world = (world % 7) + 1;
      plan = await planOf(one.sizes, one.request);
    }
    for (let rank = 0; rank < world; rank++) {
      const rows = await plan.samples({ epoch: one.epoch, step, rank, world });
      ids.push(rows.ordinals.map((ordinal, i) => `${rows.streams[i]}/${ordinal}`).join());
    }
  }
  return ids.filter((part) => part !== '').join();
}

async function resume(): Promise<Figure> {
  let same = 0;
  let all = 0;
  for (let seed = 0; seed < resumePlans; seed++) {
    const one = caseOf(seed + cases);
    const whole = await interrupted(one, []);
    const { steps } = await planOf(one.sizes, one.request);
    for (let first = 0; first < Math.min(steps, 60); first++) {
      for (let count = 1; count <= 4; count++) {
        const stops = Array.from({ length: count }, (_, i) => first + i);
        all++;
        if ((await interrupted(one, stops)) === whole) same++;
      }
    }
  }
  const figure = 'resumed at every step, 1 to 4 times in a row, another W each time: same order';
  return { ...plain(figure, 'cases', same), reach: `all of ${all}`, ok: same === all };
}

async function* anySize(): AsyncGenerator<Figure> {
  for (const sizes of [[10 ** 9], [6 * 10 ** 8, 3 * 10 ** 8, 10 ** 8]]) {
    const of = `10^9 samples of ${sizes.length === 1 ? 'one stream' : `${sizes.length} streams`}`;
    const make: number[] = [];
    const step: number[] = [];
    const heap = process.memoryUsage().heapUsed;
    for (let round = 0; round < 51; round++) {
      const started = performance.now();
      const plan = await planOf(sizes, { global_batch: 1024, seed: String(round) });
      make.push(performance.now() - started);
      const again = performance.now();
      const at = Math.floor((plan.steps - 1) * ((round * 0.618) % 1));
      await plan.samples({ epoch: round, step: at, rank: 0, world: 1 });
      step.push(performance.now() - again);
    }
    const mib = (process.memoryUsage().heapUsed - heap) / 2 ** 20;
    const limit = { reach: 'milliseconds', ok: median(make) < 5 };
    yield { ...plain(`plan over ${of}: made`, 'ms', median(make)), ...limit };
    const whole = { reach: 'milliseconds', ok: median(step) < 25 };
    yield { ...plain(`any step of 1,024 of it`, 'ms', median(step)), ...whole };
    yield plain(`heap after 51 such plans`, 'MiB', Math.max(0, mib));
  }
}

/** Lengths in words of the verses and chapters of a real text. */
function* packs(): Generator<Figure> {
  const text = gunzipSync(readFileSync('data/kjv.txt.gz')).toString();
  const words = (part: string) => part.split(/\s+/).filter(Boolean).length;
  const documents = {
    verses: text.split('\n').map(words).filter(Boolean),
    chapters: text.split('\n\n').map(words).filter(Boolean),
  };
  for (const [name, lengths] of Object.entries(documents)) {
    for (const [length, window] of [
      [2048, 64],
      [2048, 1024],
    ]) {
      const started = performance.now();
      const packer = createPacker({ length, window });
      let count = 0;
      for (const [ordinal, n] of lengths.entries()) count += packer.add(ordinal, n).length;
      count += packer.finish().length;
      const seconds = (performance.now() - started) / 1000;
      const held = lengths.reduce((sum, n) => sum + n, 0) / (count * length);
      const of = `${lengths.length} ${name} of a text, packs of ${length}, window ${window}`;
      yield plain(`${of}: positions that hold one`, '%', 100 * held);
      yield plain('  documents packed', 'M/s', lengths.length / seconds / 1e6);
    }
  }
}

export const plan: Benchmark = {
  name: 'plan',
  summary: 'the order: exactly once, resume, plans of any size, packs',
  async *run(log) {
    log(`${cases} generated cases`);
    yield await exactlyOnce(log);
    log('resume at every step');
    yield await resume();
    log('plans of 10^9 samples');
    yield* anySize();
    log('packs');
    yield* packs();
  },
};
