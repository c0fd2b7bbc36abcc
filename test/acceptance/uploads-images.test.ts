import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveConfig } from '../../schemas/serve-config.ts';
import type { CommitReply, UploadReply } from '../../schemas/upload.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { type OpenUploads, openUploads } from '../../src/push/uploads.ts';
import { type RunningServer, startServer } from '../../src/serve/server.ts';
import { visionInputs } from '../../src/shard/inputs.ts';
import { createReader } from '../../src/shard/open-snapshot.ts';
import { resolveSnapshot } from '../../src/shard/snapshot.ts';
import { useStore } from '../support/folder.ts';
import { arrow, bodyOf, digestHeader, pushedSample, uploadOf } from '../support/pushed.ts';
import {
  type Entry,
  imageBody,
  imageUpload,
  type PushedImage,
  pipeline,
  pushedImage,
} from '../support/pushed-images.ts';

const place = useStore();
let server: RunningServer;
let uploads: OpenUploads;
beforeEach(async () => {
  uploads = openUploads({ store: place.store, leaseMs: 3_600_000 });
  server = await startServer({
    store: place.store,
    config: serveConfig.parse({ port: 0 }),
    uploads,
  });
});
afterEach(async () => {
  await server.close();
  await uploads.close();
});

interface Row {
  readonly mask: boolean[];
  readonly targets: Record<string, { counts: number[]; ids: number[]; probs: number[] }>;
}
interface Reply extends UploadReply, CommitReply {
  readonly code: string;
  readonly detail: string;
  readonly rows: Row[];
}

async function call(method: string, path: string, body?: unknown, headers = {}) {
  const isBytes = Buffer.isBuffer(body);
  const reply = await fetch(`${server.url}/v1/datasets/${path}`, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': isBytes ? arrow : 'application/json' }),
      ...headers,
    },
    body: isBytes ? new Uint8Array(body) : body === undefined ? undefined : JSON.stringify(body),
  });
  return { status: reply.status, body: (await reply.json()) as Reply };
}
const open = (more: object = {}) => call('POST', 'd/uploads', imageUpload(more));
const put = (upload: string, shard: number, body: Buffer) =>
  call('PUT', `d/uploads/${upload}/shards/${shard}`, body, {
    'content-digest': digestHeader(body),
  });
const commit = (upload: string) =>
  call('POST', `d/uploads/${upload}/commit`, {}, { 'if-match': '*' });
const push = async (images: readonly PushedImage[], more: object = {}) => {
  const { upload } = (await open(more)).body;
  expect((await put(upload, 0, imageBody(images))).status).toBe(200);
  return (await commit(upload)).body;
};
/** √(6e-3 / 3): the widest of both heads. */
const step = 0.0447;
const images = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => pushedImage(from + i, 1 + ((from + i) % 5)));

async function stored(snapshot: string, ordinal: number) {
  const reader = createReader(place.store, await resolveSnapshot(place.store, 'd', snapshot));
  const columns = await reader.read([ordinal], ['input_ref', 'mask', 'input_frame']);
  await reader.close();
  return visionInputs({ columns, fields: reader.manifest.input_fields ?? [] }, 0);
}

describe('uploads of images', () => {
  it('become a snapshot of images, each head a target set', async () => {
    const { upload } = (await open()).body;
    await put(upload, 1, imageBody(images(8, 12)));
    await put(upload, 0, imageBody(images(0, 8)));
    const { body } = await commit(upload);
    expect(body).toMatchObject({ parent: null, samples: 12, duplicates: 0 });
    const { rows } = (await call('GET', 'd/snapshots/latest/rows?length=20')).body;
    expect(rows).toHaveLength(12);
    for (const [i, row] of rows.entries()) {
      const given = images(i, i + 1)[0];
      const { inputRef, values } = await stored(body.snapshot, i);
      expect(inputRef).toBe(given.ref);
      const inputs = [given.hard_label, given.geometry, given.seed, given.dx];
      expect(values.map((own) => [...own])).toEqual(inputs.map((own) => [...bytesOf(own)]));
      expect(row.mask).toEqual([...given.mask].map(Boolean));
      for (const name of ['teacher', 'objects'] as const) {
        const lists = given.entries[name].map((own) => [...own].sort(([a], [b]) => a - b));
        const { counts, ids, probs } = row.targets[name];
        expect(counts).toEqual(lists.map(({ length }) => length));
        expect(ids).toEqual(lists.flat().map(([id]) => id));
        lists.flat().forEach(([, p], e) => {
          // half a step on √p moves p by √p · step
          const room = step * Math.exp(p / 2) + step ** 2;
          expect(Math.abs(probs[e] - Math.exp(p))).toBeLessThan(room);
        });
      }
    }
    const report = await verifySnapshot(place.store, { dataset: 'd', snapshot: body.snapshot });
    expect(report.problems).toEqual([]);
  });

  it('leave out what comes twice, wherever the image lies', async () => {
    const parent = await push([...images(0, 5), ...images(3, 6)]);
    expect(parent).toMatchObject({ samples: 6, duplicates: 2 });
    const moved = { ...images(2, 3)[0] };
    const ref = moved.ref.replace('s3:', 'file:');
    const other = { ...moved, dx: moved.dx.map((x) => x + 1) };
    const body = await push([{ ...moved, ref }, other]);
    expect(body).toMatchObject({ parent: parent.snapshot, samples: 1, duplicates: 1 });
    const report = await verifySnapshot(place.store, { dataset: 'd', snapshot: body.snapshot });
    expect(report.problems).toEqual([]);
  });

  it('refuse what the data set is not of', async () => {
    await push(images(0, 3));
    const [first, second] = imageUpload().heads;
    for (const more of [
      { augmentation_pipeline: 'b'.repeat(64) },
      { heads: [{ ...first, classes: undefined }, second] },
      { heads: [first, { ...second, normalisation: 'softmax' }] },
      { heads: [first, { ...second, size: 4 }] },
      { heads: [first] },
      { sparsifier: { type: 'top-k', k: 5 } },
      { input_fields: imageUpload().input_fields.slice(0, 3) },
    ]) {
      expect(await open(more)).toMatchObject({ status: 409, body: { code: 'conflict' } });
    }
    const text = await call('POST', 'd/uploads', uploadOf());
    expect(text).toMatchObject({ status: 409, body: { code: 'conflict' } });
    const images6 = await call('POST', 'd/uploads', imageUpload({ upload: 'again' }));
    expect(images6.status).toBe(201);
  });

  it('are of images alone, and say so', async () => {
    const { upload } = (await open()).body;
    const text = await put(upload, 0, bodyOf([pushedSample(0)]));
    expect(text).toMatchObject({ status: 400, body: { code: 'request-invalid' } });
    expect((await call('GET', `d/uploads/${upload}`)).body.request).toMatchObject(imageUpload());
  });

  const [label, box, seed, dx] = imageUpload().input_fields;
  const [first] = imageUpload().heads;
  it.each([
    ['seeds without a pipeline', { augmentation_pipeline: null }],
    ['a pipeline without seeds', { input_fields: [label, box] }],
    ['parameters without seeds', { input_fields: [label, dx] }],
    ['fields in another order', { input_fields: [box, label, seed, dx] }],
    ['a field of another type', { input_fields: [{ ...label, type: 'uint8' }, seed] }],
    ['a field twice', { input_fields: [seed, dx, dx] }],
    ['a field that no build has', { input_fields: [seed, { ...dx, name: 'depth' }] }],
    ['no heads', { heads: [] }],
    ['two heads of one name', { heads: [first, first] }],
    ['a head with the name of a column', { heads: [{ ...first, name: 'input' }] }],
    ['names of other classes', { heads: [{ ...first, size: 7 }] }],
    ['draws', { sparsifier: { type: 'threshold', tau: 0.1 } }],
    ['a vocabulary', { vocabulary: 6 }],
    ['another kind', { kind: 'sound' }],
  ])('are not opened with %s', async (_, more) => {
    expect(await open(more)).toMatchObject({ status: 400, body: { code: 'request-invalid' } });
  });
});

describe('a shard of images that is not what it should be', () => {
  const good = pushedImage(0);
  const lists = (name: 'teacher' | 'objects', own: readonly Entry[]) => ({
    entries: { ...good.entries, [name]: [own, ...good.entries[name].slice(1)] },
  });
  const cases: [string, string, Partial<PushedImage>][] = [
    ['a label that is no class', 'token-out-of-range', { hard_label: Int32Array.of(6, -100, 0) }],
    ['a label below 0', 'token-out-of-range', { hard_label: Int32Array.of(-1, -100, 0) }],
    ['labels of other positions', 'request-invalid', { hard_label: Int32Array.of(1) }],
    ['boxes of other positions', 'request-invalid', { geometry: new Float32Array(8) }],
    ['a box of no number', 'request-invalid', { geometry: new Float32Array(12).fill(Number.NaN) }],
    ['seeds of other positions', 'request-invalid', { seed: new BigUint64Array(4) }],
    ['no positions', 'request-invalid', { mask: new Uint8Array(0) }],
    ['a reference of no image', 'request-invalid', { ref: '{}' }],
    ['a reference in another form', 'request-invalid', { ref: good.ref.replace(',', ', ') }],
    ['a digest in capitals', 'request-invalid', { ref: good.ref.replace(/[a-f]/, 'A') }],
    ['an id that is no class', 'row-invalid', lists('teacher', [[6, -1]])],
    ['an id twice', 'row-invalid', lists('objects', [[1, -1], [1, -1]])], // biome-ignore format: a list
    ['a log-prob of no number', 'row-invalid', lists('objects', [[1, Number.NaN]])],
    ['a score above 1', 'row-invalid', lists('objects', [[1, 0.5]])],
    ['masses above 1', 'row-invalid', lists('teacher', [[0, -0.1], [1, -0.1]])], // biome-ignore format: a list
    ['a rest that is not left', 'row-invalid', { rest: Float32Array.of(0.4, 0.1, 0.1) }],
    ['a rest that is less than what is left', 'row-invalid', { rest: Float32Array.of(0.09, 0.1, 0.1) }], // biome-ignore format: a list
    ['a rest of no number', 'row-invalid', { rest: Float32Array.of(Number.NaN, 0.1, 0.1) }],
    ['nothing to be learned from', 'request-invalid', lists('teacher', [])],
    ['more entries than K', 'request-invalid', lists('teacher', [0, 1, 2, 3, 4].map((i) => [i, -4]))], // biome-ignore format: a list
  ];
  it.each(cases)('is refused for %s', async (_, code, change) => {
    const { upload } = (await open()).body;
    const { body } = await put(upload, 0, imageBody([pushedImage(1), { ...good, ...change }]));
    expect(body).toMatchObject({ code });
    expect(body.detail).toContain('image 1');
    expect((await call('GET', `d/uploads/${upload}`)).body.shards).toEqual([]);
  });

  it('is refused without a column, and without images', async () => {
    const { upload } = (await open()).body;
    for (const missing of ['geometry', 'mask', 'teacher_rest', 'objects_ids']) {
      const reply = await put(upload, 0, imageBody([good], missing));
      expect(reply).toMatchObject({ status: 400, body: { code: 'request-invalid' } });
    }
    expect((await put(upload, 0, imageBody([good]).subarray(0, 3000))).status).toBe(400);
  });

  it('takes sigmoid scores that sum to more than 1, or none at all', async () => {
    const own = lists('objects', [[0, -0.01], [1, -0.01], [2, -0.01]]); // biome-ignore format: a list
    const none = { entries: { ...good.entries, objects: [[], [], []] } };
    const body = await push([
      { ...good, ...own },
      { ...pushedImage(1), ...none },
    ]);
    expect(body.samples).toBe(2);
    const [row] = (await call('GET', 'd/snapshots/latest/rows?length=1')).body.rows;
    expect(row.targets.objects.probs.slice(0, 3).map((p) => Math.round(p * 100))).toEqual([
      99, 99, 99,
    ]);
  });

  it('keeps no entry of probability 0, and masses within their slack', async () => {
    const none = Number.NEGATIVE_INFINITY;
    const own = (teacher: Entry[], objects: Entry[], rest: number) => ({
      ...lists('teacher', teacher),
      entries: {
        teacher: [teacher, ...good.entries.teacher.slice(1)],
        objects: [objects, ...good.entries.objects.slice(1)],
      },
      rest: Float32Array.of(rest, 0.1, 0.1),
    });
    const given = [
      own([[1, 0], [3, none]], [[1, -1], [2, none]], 0), // biome-ignore format: a list
      own([[1, 0.0009], [3, none]], [[1, 0.0009]], -0.0009), // biome-ignore format: a list
      own([[1, none]], [[0, none], [2, none]], 1), // biome-ignore format: a list
    ].map((change, i) => ({ ...pushedImage(i), ...change, ref: pushedImage(i).ref }));
    const { snapshot } = await push(given.map((one) => ({ ...good, ...one })));
    const { rows } = (await call('GET', 'd/snapshots/latest/rows?length=5')).body;
    expect(rows.map(({ targets }) => targets.teacher.counts[0])).toEqual([1, 1, 0]);
    expect(rows.map(({ targets }) => targets.objects.counts[0])).toEqual([1, 1, 0]);
    const report = await verifySnapshot(place.store, { dataset: 'd', snapshot });
    expect(report.problems).toEqual([]);
  });

  it('is refused with a code, whatever byte was changed', async () => {
    const { upload } = (await open()).body;
    const body = imageBody(images(0, 3));
    const codes = new Set<string>();
    let taken = 0;
    for (let i = 0; i < 150; i++) {
      const other = Buffer.from(body);
      other[(i * 7919) % other.length] ^= 1 << (i % 8);
      const reply = await put(upload, i, i % 5 === 0 ? other.subarray(i) : other);
      if (reply.status === 200) taken++;
      else codes.add(reply.body.code);
    }
    const known = ['request-invalid', 'row-invalid', 'token-out-of-range'];
    expect([...codes].filter((code) => !known.includes(code))).toEqual([]);
    expect(codes.size).toBeGreaterThan(0);
    expect((await call('GET', `d/uploads/${upload}`)).body.shards).toHaveLength(taken);
  });

  it('has the pipeline in the manifest', async () => {
    await push(images(0, 2));
    const manifest = (await call('GET', 'd/snapshots/latest')).body;
    expect(JSON.stringify(manifest)).toContain(`"augmentation_pipeline":"${pipeline}"`);
  });
});
