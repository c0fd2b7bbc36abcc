/** Prints what 512 rows of a dump cost one core at least: to read, reduce, encode and digest. */
import { createHash } from 'node:crypto';
import { openSync, readSync } from 'node:fs';
import { planes } from '../src/encode/planes.ts';
import { createSparsifier } from '../src/sparsify/table.ts';

const shape = { rows: 512, width: 8192 };
const repeats = 64;

/** Seconds for 512 rows, by what nothing can do without. */
function floorOf(logits: string): Record<'read' | 'kernel' | 'encode' | 'digest', number> {
  const bytes = Buffer.alloc(shape.rows * shape.width * 2);
  const file = openSync(logits, 'r');
  const timed = (work: () => void) => {
    const started = performance.now();
    work();
    return (performance.now() - started) / 1000;
  };
  const sparsifier = createSparsifier({ type: 'top-k', k: 64 });
  const codec = planes({ kind: 'scaled', step: 0.003, compression: 'zstd', width: shape.width });
  const found = { read: 0, kernel: 0, encode: 0, digest: 0 };
  const hash = createHash('sha256');
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const read = timed(() => readSync(file, bytes, 0, bytes.length, 128 + repeat * bytes.length));
    const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    const rows = { form: 'dense', count: shape.rows, type: 'f16', values } as const;
    const labels = new Int32Array(shape.rows).fill(-1);
    const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position: 0 };
    const targets = sparsifier.sparsify({ ...rows, width: shape.width }, context);
    const kernel = timed(() => sparsifier.sparsify({ ...rows, width: shape.width }, context));
    const encode = timed(() => codec.encode(targets));
    const digest = timed(() => hash.update(bytes));
    if (repeat === 0) continue; // warm-up
    for (const [key, value] of Object.entries({ read, kernel, encode, digest })) {
      found[key as keyof typeof found] += value / repeats;
    }
  }
  return found;
}

console.log(JSON.stringify(floorOf(process.argv[2])));
