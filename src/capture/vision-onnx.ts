/** An ONNX classifier or detector in this process, run on the images of a list. */
import { basename } from 'node:path';
import type { VisionSourceConfig } from '../../schemas/build-config.ts';
import type { InputField } from '../../schemas/manifest.ts';
import {
  type ModelInput,
  type PreprocessConfig,
  preprocess as preprocessForm,
} from '../../schemas/preprocess.ts';
import { valuesIn } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson, digestOf } from '../formats/canonical.ts';
import { bytesOf } from '../formats/layout.ts';
import type { ImageFile } from './image-file.ts';
import { checkList, type KnownList, readProved, refOf } from './image-list.ts';
import type { PixelInput } from './image-pixels.ts';
import { inOrder } from './in-order.ts';
import { digestOfFile } from './input-file.ts';
import { onnxFiles } from './onnx-files.ts';
import { openOnnxPool } from './onnx-pool.ts';
import {
  type Chunk,
  chunkBytesMax,
  type Head,
  type ImageInput,
  type Lend,
  type SampleInput,
  type Source,
} from './source.ts';
import { samplesBehind } from './text-samples.ts';
import { headsOver, scoredHeads } from './vision-heads.ts';
import { fieldsOf, type Images, readImages, readPipeline } from './vision-images.ts';
import type {
  HeadForm,
  ImageFacts,
  ImageTask,
  OutputSizes,
  RowsPlace,
} from './vision-onnx-session.ts';

type Config = VisionSourceConfig & { readonly model: string };

/** Most pictures of one image. */
const picturesMax = 1024;
/** Chunks of images ahead are in memory at once. */
const newMemory: Lend = (bytes) => new SharedArrayBuffer(bytes);

/**
 * Errors: `package-missing`, `source-unreadable` (a file is missing or malformed),
 * `source-mismatch` (images and model differ in positions), `config-invalid`,
 * `teacher-unsuitable`; from the chunks also `teacher-refused` and `row-invalid`.
 */
export async function openVisionModel(config: Config): Promise<Source> {
  const files = await onnxFiles(config.model);
  const preprocess = config.preprocess ?? preprocessForm.parse({});
  const model = openModel(config, { bytes: files.bytes, preprocess });
  try {
    const facts = await model.run({ places: [] });
    const pipeline =
      config.pipeline === undefined ? undefined : await readPipeline(config.pipeline);
    const given = await fieldsOf(config.images, pipeline);
    const fields = fieldsWith(given, config);
    const images: Images = {
      file: config.images,
      fields: given,
      positions: facts.positions * picturesMax,
      usual: facts.positions,
    };
    const scored = scoredHeads(config).map((head, i) => ({
      parts: head.parts?.length ?? 1,
      width: facts.widths[i],
      heads: headsOver(head, facts.widths[i]),
    }));
    const known = await checkList(images, scored[0].width);
    const opened: Opened = { config, model, facts, fields, images, scored, known };
    const described = canonicalJson(facts.input);
    return {
      identity: {
        name: config.teacher,
        revision: digestOf({ model: files.digest, input: facts.input, ...settingsOf(config) }),
        source: 'vision',
        vocabulary: scored[0].width,
        tokenizer: null,
        reports: 'whole',
      },
      inputs: {
        origin: `images of ${config.images}, input of ${basename(config.model)} ${described}`,
        licence: config.licence,
        digest: digestOf({
          images: await digestOfFile(config.images),
          pipeline: pipeline?.digest ?? null,
          files: known.digest,
        }),
        ...(config.geometry !== undefined && { model_input: modelInputOf(facts.input) }),
      },
      positions: known.positions,
      vision: {
        heads: scored.flatMap(({ heads }) => heads),
        fields,
        pipeline: pipeline?.digest ?? null,
      },
      chunks: (from, lend = newMemory) => chunks(opened, from, lend),
      close: model.close,
    };
  } catch (error) {
    await model.close();
    throw error;
  }
}

interface Opened {
  readonly config: Config;
  readonly model: ReturnType<typeof openModel>;
  readonly facts: ImageFacts;
  readonly fields: readonly InputField[];
  readonly images: Images;
  readonly scored: readonly { parts: number; width: number; heads: readonly Head[] }[];
  readonly known: KnownList;
}

/** What the boxes that a model gives are in pixels of. */
function modelInputOf({ height, width, preprocess }: PixelInput): ModelInput {
  const { resize, shortest_edge } = preprocess;
  return { height, width, resize, ...(shortest_edge !== undefined && { shortest_edge }) };
}

/** What decides scores, beside the model and its input. */
function settingsOf(config: Config) {
  const heads = scoredHeads(config).map(({ classes = null, parts = null, ...head }) => {
    return { ...head, classes, parts };
  });
  return { heads, geometry: config.geometry ?? null };
}

/** With the boxes that the model gives, where a list would have them. Throws `config-invalid`. */
function fieldsWith(given: readonly InputField[], { geometry, images }: Config): InputField[] {
  if (geometry === undefined) return [...given];
  if (given.some(({ name }) => name === 'geometry')) {
    const message = `config: ${images} has geometry, and the model its own; leave one out`;
    throw new LogitcaskError('config-invalid', message, { expected: 'one of them', got: geometry });
  }
  const at = placeOfGeometry(given);
  return [
    ...given.slice(0, at),
    { name: 'geometry', type: 'float32', items: 4 },
    ...given.slice(at),
  ];
}

const placeOfGeometry = (given: readonly InputField[]) => Number(given[0]?.name === 'hard_label');

async function* chunks(opened: Opened, from: number, lend: Lend): AsyncGenerator<Chunk> {
  const wanted = samplesBehind(readImages(opened.images), from);
  const score = (sample: SampleInput) => scoreImage(opened, sample, lend);
  for await (const parts of inOrder(wanted, score, opened.model.window)) yield* parts;
}

async function scoreImage(opened: Opened, sample: SampleInput, lend: Lend): Promise<Chunk[]> {
  const { images, facts, model } = opened;
  const file = await readProved(opened, sample);
  const count = sample.mask.length;
  const expected = file.pictures * facts.positions;
  const { uri: name } = refOf(sample);
  if (count !== expected) {
    const given = `image ${name} has ${count} positions in ${images.file}, and by the model `;
    const made = `${expected}, ${facts.positions} for each picture`;
    const message = `capture: ${given}${made}; set \`positions\`, or lists of as many`;
    throw new LogitcaskError('source-mismatch', message, { expected, got: count });
  }
  const { places, made } = placesFor(opened, sample, lend);
  const image = { name, bytes: file.bytes };
  const { geometry } = await model.run({ image, places, sizes: sizesOf(facts) });
  const whole = { ...sample, image: withFile(sample, { file, geometry }, images.fields) };
  return made.map((chunk) => ({ ...chunk, sample: whole }));
}

const sizesOf = ({ positions, widths }: ImageFacts): OutputSizes => ({ positions, widths });

/** Memory for the rows of an image: chunks of the heads, and where a thread writes them. */
function placesFor({ scored }: Opened, sample: SampleInput, lend: Lend) {
  const places: RowsPlace[] = [];
  const made: Chunk[] = [];
  let first = 0;
  for (const [number, { parts, width, heads }] of scored.entries()) {
    const most = Math.max(1, Math.floor(chunkBytesMax / (4 * width)));
    for (let from = 0; from < sample.mask.length; from += most) {
      const count = Math.min(most, sample.mask.length - from);
      for (let part = 0; part < parts; part++) {
        const memory = lend(4 * count * width);
        const values = valuesIn(memory, 'f32', count * width);
        places.push({ head: number, parts, part, from, count, memory });
        const rows = { form: 'dense', count, width, type: 'f32', values } as const;
        made.push({ sample, position: from, rows, head: first + part });
      }
    }
    first += heads.length;
  }
  return { places, made };
}

/** With the digest and the address of its file, and the boxes where the model gives them. */
function withFile(
  { image }: SampleInput,
  { file, geometry }: { file: ImageFile; geometry: Float32Array | undefined },
  given: readonly InputField[],
): ImageInput {
  const { labels, values } = image as ImageInput;
  const ref = canonicalJson({ sha256: file.sha256, uri: file.uri });
  if (geometry === undefined) return { ref, labels, values };
  if (!geometry.every(Number.isFinite)) {
    const message = `capture: the geometry of image ${file.uri} is not finite; correct the model`;
    throw new LogitcaskError('row-invalid', message, { expected: 'numbers', got: file.uri });
  }
  const at = placeOfGeometry(given);
  return { ref, labels, values: [...values.slice(0, at), bytesOf(geometry), ...values.slice(at)] };
}

function openModel(
  config: Config,
  { bytes, preprocess }: { bytes: number; preprocess: PreprocessConfig },
) {
  const { model, geometry } = config;
  const heads = scoredHeads(config).map(({ scores, parts, normalisation, values }): HeadForm => {
    const inner = parts === undefined ? [undefined] : [parts.length, undefined];
    return { output: scores, inner, normalisation, values };
  });
  const own = { file: 'vision-onnx-session', name: 'scoreImage' } as const;
  const options = { ...own, threads: undefined, bytes };
  const { window, run, close } = openOnnxPool<ImageTask, ImageFacts>(options);
  return {
    window,
    run: (work: Pick<ImageTask, 'image' | 'places' | 'sizes'>) => {
      return run({ model, preprocess, heads, geometry, ...work });
    },
    close,
  };
}
