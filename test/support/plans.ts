/** Plans over streams that exist only as numbers, and a store in memory that counts its reads. */
import type { input } from '../../schemas/parse.ts';
import { planRequest } from '../../schemas/plan.ts';
import { type OpenPlan, openPlan } from '../../src/plan/open-plan.ts';
import type { OrderStore } from '../../src/plan/order-store.ts';
import { makePlan, type PlanStream } from '../../src/plan/plan.ts';

export type Asked = Partial<input<typeof planRequest>>;

export const streamOf = (samples: number, content = 'b'): PlanStream => ({
  dataset: 'default',
  snapshot: 'a'.repeat(64),
  contentId: content.repeat(64),
  samples,
  filter: null,
  packing: null,
});

export interface MemoryStore extends OrderStore {
  readonly files: Map<string, Buffer>;
  /** Bytes that were read, by file. */
  readonly reads: { name: string; length: number }[];
}

export function memoryStore(): MemoryStore {
  const files = new Map<string, Buffer>();
  const reads: { name: string; length: number }[] = [];
  const file = (name: string) => files.get(name) ?? Buffer.alloc(0);
  return {
    files,
    reads,
    async read(name, offset, length) {
      reads.push({ name, length });
      const bytes = file(name).subarray(offset, offset + length);
      if (bytes.length === length) return Buffer.from(bytes);
      throw new Error(`${name} is shorter than ${offset + length} bytes`);
    },
    readAll: async (name) => file(name),
    size: async (name) => files.get(name)?.length,
    list: async (folder) => [...files.keys()].flatMap((name) => belowOf(folder, name)).sort(),
    async write(name, bytes) {
      files.set(name, Buffer.from(bytes));
    },
    async create(name) {
      const parts: Uint8Array[] = [];
      return {
        append: async (bytes) => void parts.push(Uint8Array.from(bytes)),
        commit: async () => void files.set(name, Buffer.concat(parts)),
        abort: async () => {},
      };
    },
  };
}

const belowOf = (folder: string, name: string) =>
  name.startsWith(`${folder}/`) ? [name.slice(folder.length + 1)] : [];

export function requestOf(streams: number, asked: Asked = {}) {
  return planRequest.parse({
    streams: Array.from({ length: streams }, () => ({ dataset: 'default' })),
    ...asked,
  });
}

/** A plan over as many streams as there are sizes. */
export function planOf(samples: number | readonly number[], asked: Asked = {}): Promise<OpenPlan> {
  const sizes = typeof samples === 'number' ? [samples] : samples;
  const streams = sizes.map((size, i) => streamOf(size, 'bcdef'[i % 5]));
  const plan = makePlan(requestOf(sizes.length, asked), streams);
  return openPlan(plan, { store: memoryStore(), orders: new Map() });
}

/** All steps of an epoch for one rank, rows as `stream/ordinal`. */
export async function rowsOf(
  plan: OpenPlan,
  view: { epoch?: number; rank?: number; world?: number },
) {
  const { epoch = 0, rank = 0, world = 1 } = view;
  const steps: string[][] = [];
  for (let step = 0; step < plan.steps; step++) {
    const { streams, ordinals } = await plan.samples({ epoch, step, rank, world });
    steps.push(ordinals.map((ordinal, i) => `${streams[i]}/${ordinal}`));
  }
  return steps;
}
