/**
 * Prints what a share of a dump costs at least: to read it, reduce its rows, encode and write its
 * samples, and beside them to digest it. Processor seconds of the whole process, by stage.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { chunkBytesMax } from '../src/capture/source.ts';
import { joinTargets, type Targets } from '../src/distribution/targets.ts';
import { planes } from '../src/encode/planes.ts';
import { createSparsifier } from '../src/sparsify/table.ts';

const sample = { rows: 512, width: 8192 };
const headerBytes = 128;
const rowBytes = 2 * sample.width;
const chunkRows = chunkBytesMax / rowBytes;

/** Samples `from` to `to` of the dump; the frames go to `out`. */
function floorOf(logits: string, { from, to, out }: { from: number; to: number; out: string }) {
  const bytes = Buffer.alloc(chunkBytesMax);
  const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const rows = {
    form: 'dense',
    type: 'f16',
    count: chunkRows,
    width: sample.width,
    values,
  } as const;
  const labels = new Int32Array(chunkRows).fill(-1);
  const sparsifier = createSparsifier({ type: 'top-k', k: 64 });
  const codec = planes({ kind: 'scaled', step: 0.003, compression: 'zstd', width: sample.width });
  const hash = createHash('sha256');
  const input = openSync(logits, 'r');
  const output = openSync(out, 'w');
  const cpu = { read: 0, kernel: 0, encode: 0, write: 0, digest: 0 };
  const timed = <T>(stage: keyof typeof cpu, work: () => T): T => {
    const before = process.cpuUsage();
    const done = work();
    const { user, system } = process.cpuUsage(before);
    cpu[stage] += (user + system) / 1e6;
    return done;
  };
  const started = performance.now();
  for (let ordinal = from; ordinal < to; ordinal++) {
    const parts: Targets[] = [];
    for (let position = 0; position < sample.rows; position += chunkRows) {
      const at = headerBytes + (ordinal * sample.rows + position) * rowBytes;
      timed('read', () => readSync(input, bytes, 0, bytes.length, at));
      const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position };
      parts.push(timed('kernel', () => sparsifier.sparsify(rows, context)));
      timed('digest', () => hash.update(bytes));
    }
    const [frame] = timed('encode', () => codec.encode(joinTargets(parts)));
    timed('write', () => writeSync(output, frame as Uint8Array));
  }
  timed('write', () => fsyncSync(output));
  const elapsed = (performance.now() - started) / 1000;
  for (const file of [input, output]) closeSync(file);
  return { ...cpu, elapsed };
}

const [logits, from, to, out] = process.argv.slice(2);
console.log(JSON.stringify(floorOf(logits, { from: Number(from), to: Number(to), out })));
