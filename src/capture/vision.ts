/** Images that a teacher has scored: a list of them, and an array of scores a head, or a model. */
import type { VisionSourceConfig } from '../../schemas/build-config.ts';
import { digestOf } from '../formats/canonical.ts';
import { digestOfFile } from './input-file.ts';
import {
  type Chunk,
  chunkBytesMax,
  type Head,
  type Lend,
  ownMemory,
  type Source,
} from './source.ts';
import { headsOver, refuseLabels, scoredHeads } from './vision-heads.ts';
import { fieldsOf, type Images, mismatch, readImages, readPipeline } from './vision-images.ts';
import { openVisionModel } from './vision-onnx.ts';
import { openScores, type Scores } from './vision-scores.ts';

/** An array of scores, and the heads that it gives: one, or one for each part. */
interface Given {
  readonly scores: Scores;
  readonly heads: readonly Head[];
}

/**
 * Errors: `source-unreadable` (a file is missing or malformed), `source-mismatch` (images and
 * scores differ in positions), `config-invalid`, `row-invalid` (from the chunks).
 */
export async function openVisionSource(config: VisionSourceConfig): Promise<Source> {
  if (config.model !== undefined) return openVisionModel({ ...config, model: config.model });
  const pipeline = config.pipeline === undefined ? undefined : await readPipeline(config.pipeline);
  const fields = await fieldsOf(config.images, pipeline);
  const given = await openAll(config);
  const close = async () => {
    for (const { scores } of given) await scores.close();
  };
  try {
    const heads = given.flatMap((one) => one.heads);
    const { count } = given[0].scores;
    const other = given.find(({ scores }) => scores.count !== count)?.scores.count;
    if (other !== undefined)
      throw mismatch('the heads have scores of as many positions', count, other);
    const digest = await digestFiles(config);
    const images = { file: config.images, fields, positions: count };
    return {
      identity: {
        name: config.teacher,
        revision: digest,
        source: 'vision',
        vocabulary: heads[0].labelSpace.size,
        tokenizer: null,
        reports: 'whole',
      },
      inputs: { origin: `images of ${config.images}`, licence: config.licence, digest },
      positions: count,
      vision: { heads, fields, pipeline: pipeline?.digest ?? null },
      chunks: (from, lend = ownMemory()) => chunks(images, given, { from, lend }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openAll(config: VisionSourceConfig): Promise<Given[]> {
  const given: Given[] = [];
  try {
    for (const head of scoredHeads(config)) {
      const { scores: file, parts, normalisation, values } = head;
      const scores = await openScores({ file, parts: parts?.length, normalisation, values });
      given.push({ scores, heads: [] });
      given[given.length - 1] = { scores, heads: headsOver(head, scores.width) };
    }
    return given;
  } catch (error) {
    for (const { scores } of given) await scores.close();
    throw error;
  }
}

/** SHA-256 (hex) over the digests of all input files, and what their scores are. */
async function digestFiles(config: VisionSourceConfig): Promise<string> {
  const all = [config, ...config.heads];
  const files = all.map(({ scores }) => scores.replace(/\.npz:.*$/, '.npz'));
  const digests: Record<string, unknown> = {
    images: await digestOfFile(config.images),
    pipeline: config.pipeline && (await digestOfFile(config.pipeline)),
  };
  for (const [i, file] of files.entries()) {
    const { normalisation, values, classes, scores } = all[i];
    const member = scores.slice(file.length);
    digests[i] = [await digestOfFile(file), member, normalisation, values, classes ?? null];
  }
  return digestOf(digests);
}

async function* chunks(
  images: Images,
  given: readonly Given[],
  { from, lend }: { from: number; lend: Lend },
): AsyncGenerator<Chunk> {
  const cursors = new Map<Given, Awaited<ReturnType<Scores['rows']>>>();
  const { positions } = images;
  let first = 0;
  try {
    for await (const sample of readImages(images)) {
      const count = sample.mask.length;
      if (first + count > positions)
        throw mismatch('the images have more positions', positions, first + count);
      refuseLabels(sample, given[0].scores.width);
      if (sample.ordinal >= from) {
        let head = 0;
        for (const one of given) {
          const cursor = cursors.get(one) ?? (await one.scores.rows(first));
          cursors.set(one, cursor);
          const most = Math.max(1, Math.floor(chunkBytesMax / (2 * one.scores.rowBytes)));
          for (let position = 0; position < count; position += most) {
            const parts = await cursor.take(Math.min(most, count - position));
            for (const [part, rowsIn] of parts.entries()) {
              yield { sample, position, rows: rowsIn(lend), head: head + part };
            }
          }
          head += one.heads.length;
        }
      }
      first += count;
    }
    if (first < positions) throw mismatch('the images have fewer positions', positions, first);
  } finally {
    for (const cursor of cursors.values()) await cursor.close();
  }
}
