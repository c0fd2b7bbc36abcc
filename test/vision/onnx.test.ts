/** Images through a model in process: the snapshot that its scores as files build, by every way. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildConfig } from '../../schemas/build-config.ts';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { type BuildReport, build } from '../../src/build.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { plain } from '../support/columns.ts';
import { configOf } from '../support/dump.ts';
import {
  classifierSource,
  detectorSource,
  goldenLines,
  goldenVision,
  sides,
  torch,
} from '../support/golden-vision.ts';

const anchors = 15;
let folder: string;
let path: string;
let store: Store;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-onnx-images-'));
  path = join(folder, 'store');
  cpSync(goldenVision, join(folder, 'golden'), { recursive: true });
  store = await openStore(path);
});
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function buildOf(source: object, more: Record<string, unknown> = {}): Promise<BuildReport> {
  const config = configOf({ store: path, source, codec: { type: 'raw' }, ...more });
  return build(config, { dataFolder: 'data' });
}

/** What torch gave, as files, and a list of the same images with what the model says itself. */
async function writeScores(): Promise<Record<'images' | 'boxed', string>> {
  const boxes = new Float32Array((await torch('boxes')).buffer);
  const lines = goldenLines.map((line) => {
    const sha256 = sha256Hex(readFileSync(join(goldenVision, line.uri)));
    return { ...line, sha256 };
  });
  const boxed = lines.map((line, i) => {
    const own = Array.from({ length: anchors }, (_, a) => {
      return Array.from(boxes.subarray(4 * (anchors * i + a), 4 * (anchors * i + a + 1)));
    });
    return { ...line, geometry: own };
  });
  const [images, withBoxes] = ['images.jsonl', 'boxed.jsonl'].map((name) => join(folder, name));
  const text = (all: readonly object[]) => all.map((line) => JSON.stringify(line)).join('\n');
  writeFileSync(images, text(lines));
  writeFileSync(withBoxes, text(boxed));
  return { images, boxed: withBoxes };
}

const ordinals = goldenLines.map((_, i) => i);

async function columnsOf(dataset: string) {
  const reader: SnapshotReader = await openSnapshot(store, { dataset, snapshot: 'latest' });
  const columns = await reader.read(ordinals, Object.keys(reader.columns));
  return { manifest: reader.manifest, columns };
}

/** Targets of codec `raw`: the same classes, log-probs near each other. */
async function expectSame(dataset: string, other: string, sets: readonly string[]): Promise<void> {
  const [a, b] = await Promise.all([columnsOf(dataset), columnsOf(other)]);
  expect(a.manifest.content_id).toBe(b.manifest.content_id);
  expect(Object.keys(a.columns)).toEqual(Object.keys(b.columns));
  for (const name of sets) {
    const [counts, ids, logprobs] = ['counts', 'ids', 'logprobs'].map((kind) => `${name}_${kind}`);
    expect(plain(a.columns[counts])).toEqual(plain(b.columns[counts]));
    expect(plain(a.columns[ids])).toEqual(plain(b.columns[ids]));
    const [mine, its] = [a, b].map(({ columns }) => {
      return new Float32Array(new Uint8Array(columns[logprobs].buffers[1]).buffer);
    });
    expect(mine.length).toBe(its.length);
    const far = mine.reduce((most, x, i) => Math.max(most, Math.abs(x - its[i])), 0);
    expect(far).toBeLessThan(1e-4);
  }
}

describe('the snapshot of a model in process is that of its scores as files', () => {
  it('for a classifier', async () => {
    const { images } = await writeScores();
    const scores = `${goldenVision}/onnx.npz:stretch_logits`;
    await buildOf({ type: 'vision', images, scores }, { dataset: 'files' });
    const { manifest } = await buildOf(classifierSource, { dataset: 'model' });
    expect(manifest).toMatchObject({ kind: 'vision', alignment: null });
    expect(manifest.totals).toMatchObject({ samples: 16, positions: 16 });
    await expectSame('model', 'files', ['teacher']);
  });

  it('for a detector, with its heads and boxes', async () => {
    const { boxed } = await writeScores();
    const box = { name: 'box', scores: `${goldenVision}/onnx.npz:sides`, parts: sides };
    const classes = { scores: `${goldenVision}/onnx.npz:classes`, normalisation: 'sigmoid' };
    const files = { type: 'vision', images: boxed, ...classes, heads: [box] };
    await buildOf(files, { dataset: 'files-boxes' });
    // boxes of the same bits, so that ids can be equal: those of the list
    const given = { ...detectorSource, geometry: undefined, images: boxed };
    const images = join(folder, 'golden', 'boxed.jsonl');
    writeFileSync(images, readFileSync(boxed));
    const source = { ...given, images, normalisation: 'sigmoid' };
    await buildOf(source, { dataset: 'model-boxes' });
    await expectSame('model-boxes', 'files-boxes', ['teacher', ...sides]);
  });
});

describe('a build on images', () => {
  it('is whole, and its images are audited where they lie', async () => {
    const images = join(folder, 'golden', 'images.jsonl');
    await buildOf({ ...detectorSource, images }, { dataset: 'audited', codec: { type: 'planes' } });
    const place = { dataset: 'audited', snapshot: 'latest' };
    expect((await verifySnapshot(store, place)).problems).toEqual([]);
    const whole = await auditSnapshot(store, place);
    expect(whole.integrity.images).toMatchObject({ checked: 16, skipped: 0, wrong: 0 });
    rmSync(join(folder, 'golden', 'images', '3.png'));
    const { integrity } = await auditSnapshot(store, place);
    expect(integrity.images?.problems).toMatchObject([{ ordinal: 3, what: 'missing' }]);
    cpSync(join(goldenVision, 'images'), join(folder, 'golden', 'images'), { recursive: true });
  });

  it('interrupted behind a shard, goes on to the same bytes', async () => {
    const images = join(folder, 'golden', 'many.jsonl');
    const lines = Array.from({ length: 160 }, (_, i) => {
      const { uri } = goldenLines[i % goldenLines.length];
      return JSON.stringify({ uri, hard_label: i % 10 });
    });
    writeFileSync(images, lines.join('\n'));
    const source = { ...detectorSource, images };
    const ids: string[] = [];
    for (const name of ['whole', 'stopped']) {
      const shard = { bytes_max: 65_536, batch_bytes_max: 4096 };
      const settings = { store: join(folder, name), source, shard, codec: { type: 'raw' } };
      const stop = new AbortController();
      if (name === 'stopped') {
        const onProgress = ({ shards }: { shards: number }) => shards > 0 && stop.abort();
        const options = { dataFolder: 'data', onProgress, signal: stop.signal };
        await expect(build(configOf(settings), options)).rejects.toMatchObject({
          code: 'interrupted',
        });
      }
      const report = await build(configOf(settings), { dataFolder: 'data' });
      expect(report.resumedSamples > 0).toBe(name === 'stopped');
      ids.push(report.snapshot);
    }
    expect(ids[1]).toBe(ids[0]);
  });

  it('is another with another preprocessing, and reused with the same', async () => {
    const first = await buildOf(classifierSource, { dataset: 'other' });
    const again = await buildOf(classifierSource, { dataset: 'other' });
    expect(again.snapshot).toBe(first.snapshot);
    const preprocess = { ...classifierSource.preprocess, resample: 'nearest' };
    const other = await buildOf({ ...classifierSource, preprocess }, { dataset: 'other' });
    const revisions = [first, again, other].map(({ manifest }) => {
      return manifest.target_sets[0].teacher.revision;
    });
    expect(revisions[1]).toBe(revisions[0]);
    expect(revisions[2]).not.toBe(revisions[0]);
    expect(other.manifest.content_id).toBe(first.manifest.content_id);
  });

  it.each(['softmax', 'sigmoid'])(
    'refuses scores that are no numbers (%s)',
    async (normalisation) => {
      // the pixels are scaled beyond what the model's arithmetic holds
      const preprocess = { scale: 3e38 };
      const source = { ...classifierSource, normalisation, preprocess };
      await expect(buildOf(source, { dataset: 'nan' })).rejects.toMatchObject({
        code: 'row-invalid',
        message: expect.stringMatching(/\(image file:.*\/0\.png, positions 0 to 0 of teacher\)/),
      });
    },
  );
});

describe('logitcask build', () => {
  const cli = (...args: string[]) =>
    execFileSync(process.execPath, ['dist/src/cli.js', 'build', ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
    });

  it('takes a model by flags, and by a configuration', async () => {
    const config = join(folder, 'config.yaml');
    writeFileSync(config, JSON.stringify({ source: classifierSource }));
    cli('--config', config, '--store', path, '--dataset', 'configured');
    const own = ['--images', classifierSource.images, '--model', classifierSource.model];
    cli(...own, '--scores', 'logits', '--store', path, '--dataset', 'flags');
    const [configured, flags] = await Promise.all(['configured', 'flags'].map(columnsOf));
    expect(configured.manifest.content_id).toBe(flags.manifest.content_id);
    const origin = flags.manifest.inputs.origin;
    expect(origin).toMatch(/input of classifier\.onnx .*"resize":"stretch"/);
  });

  it.each(['sharp', 'onnxruntime-node'])('says how to install %s where it is missing', (name) => {
    const hook = `export async function resolve(wanted, context, next) {
      if (wanted === '${name}') throw new Error('Cannot find package ${name}');
      return next(wanted, context);
    }`;
    const data = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
    const url = JSON.stringify(data(hook));
    const register = `import { register } from 'node:module'; register(${url});`;
    const { images, model } = classifierSource;
    const own = ['--images', images, '--model', model, '--scores', 'logits', '--store', path];
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--import', data(register), 'dist/src/cli.js', 'build', ...own, '--dataset', 'missing'],
      { encoding: 'utf8' },
    );
    expect(stderr).toMatch(new RegExp(`npm install ${name}[^]*package-missing`));
    expect(status).toBe(2);
  });

  it('refuses target sets with the names of columns', () => {
    const head = { name: 'box', scores: 'sides' };
    const misfits = [
      { target_set: 'input' },
      { source: { ...detectorSource, heads: [{ ...head, name: 'augmentation' }] } },
      { source: { ...detectorSource, heads: [{ ...head, parts: ['left', 'input'] }] } },
    ];
    for (const misfit of misfits) {
      const parsed = buildConfig.safeParse({ source: detectorSource, ...misfit });
      expect(parsed.error?.issues).toMatchObject([
        { message: 'expected another name than input and augmentation' },
      ]);
    }
    expect(buildConfig.safeParse({ target_set: 'input' }).success).toBe(true);
  });

  it('names what does not go together', () => {
    const images = ['--images', classifierSource.images, '--store', path];
    const config = join(folder, 'wrong.yaml');
    writeFileSync(config, '{source: {type: vision, preprocess: {resize: crop}}}');
    const run = () => cli(...images, '--config', config, '--scores', 'x.npy');
    expect(run).toThrow(/`preprocess` and `geometry` with `model` alone/);
  });
});
