/** One ONNX model of images in one thread: the bytes of an image in, rows of every head out. */
import { isDeepStrictEqual } from 'node:util';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import type { PreprocessConfig } from '../../schemas/preprocess.ts';
import { type ErrorData, errorData, LogitcaskError } from '../errors.ts';
import { toFloat16 } from '../formats/float16.ts';
import { picturesOf } from './image-file.ts';
import { inputOf, type PixelInput } from './image-pixels.ts';
import { openSession, type Runtime, refusing } from './onnx-runtime.ts';
import {
  type ImageGraph,
  type OutputForm,
  type OutputValues,
  readImageGraph,
  valuesOfOutput,
} from './vision-onnx-graph.ts';
import { toLogits } from './vision-scores.ts';

export interface HeadForm extends OutputForm {
  readonly normalisation: 'softmax' | 'sigmoid';
  readonly values: 'logits' | 'probabilities';
}

/** Where rows of one part of an output go. */
export interface RowsPlace {
  /** Number of the output. */
  readonly head: number;
  readonly parts: number;
  readonly part: number;
  /** Positions of the image. */
  readonly from: number;
  readonly count: number;
  readonly memory: SharedArrayBuffer;
}

/** Plain data, so that it can be sent to a thread. */
export interface ImageTask {
  readonly model: string;
  /** Threads of one run; they decide no byte. */
  readonly threads: number;
  readonly preprocess: PreprocessConfig;
  readonly heads: readonly HeadForm[];
  readonly geometry: string | undefined;
  /** Without one an empty image is run, for the facts. */
  readonly image?: { readonly name: string; readonly bytes: Uint8Array };
  /** Sizes of the empty image's outputs, which those of every picture have. */
  readonly sizes?: OutputSizes;
  readonly places: readonly RowsPlace[];
}

export interface OutputSizes {
  /** A, positions of a picture. */
  readonly positions: number;
  /** V of each output. */
  readonly widths: readonly number[];
}

export interface ImageFacts extends OutputSizes {
  readonly input: PixelInput;
  /** Four numbers a position of all pictures, where the model gives them. */
  readonly geometry: Float32Array | undefined;
}

interface Session {
  readonly ort: Runtime;
  readonly session: InferenceSession;
  readonly graph: ImageGraph;
}

/** A thread holds one model. */
let opened: Promise<Session> | undefined;

/** What a thread runs: one picture a run, so that neither neighbours nor resuming change it. */
export async function scoreImage(task: ImageTask): Promise<ImageFacts | ErrorData> {
  try {
    opened ??= open(task);
    return await score(await opened, task);
  } catch (error) {
    return errorData(error);
  }
}

async function open({ model, threads, ...task }: ImageTask): Promise<Session> {
  const { ort, session } = await openSession(model, threads);
  const { preprocess, heads, geometry } = task;
  const wanted = [...heads.map(({ output }) => output), ...(geometry ? [geometry] : [])];
  const missing = wanted.find((name) => !session.outputNames.includes(name));
  if (missing !== undefined) {
    const got = session.outputNames.join(', ');
    const message = `config: ${model} has no output ${missing}, only ${got}; name one of them`;
    throw new LogitcaskError('config-invalid', message, { expected: got, got: missing });
  }
  return { ort, session, graph: readImageGraph(session, { model, preprocess }) };
}

async function score(held: Session, task: ImageTask): Promise<ImageFacts> {
  const { model, image, heads, places } = task;
  const { input } = held.graph;
  const forms = formsOf(task);
  const runs: OutputValues[][] = [];
  if (image === undefined) runs.push(await run(held, emptyInput(input), task));
  else {
    const { name } = image;
    for (const picture of await picturesOf(Buffer.from(image.bytes), name)) {
      runs.push(await run(held, inputOf(picture, input, name), task));
    }
  }
  const outputs = forms.map((_, i) => joined(runs.map((own) => own[i])));
  const { positions, widths } = sizesOf(runs, task);
  heads.forEach(({ normalisation, values, output }, i) => {
    const file = `${output} of ${model}${image === undefined ? '' : ` for ${image.name}`}`;
    if (values === 'probabilities') toLogits(outputs[i], widths[i], { file, normalisation });
  });
  for (const place of places) fill(place, outputs[place.head], widths[place.head]);
  return { input, positions, widths, geometry: outputs[heads.length] };
}

/** Those of all runs. Throws `teacher-unsuitable`: rows would be left out, or others' in places. */
function sizesOf(runs: readonly OutputValues[][], task: ImageTask): OutputSizes {
  const { model, image, heads } = task;
  for (const [{ positions }, ...others] of runs) {
    const other = others.find((own) => own.positions !== positions);
    if (other === undefined) continue;
    const message = `capture: outputs of ${model} differ in positions; take heads of one size`;
    const details = { expected: positions, got: other.positions };
    throw new LogitcaskError('teacher-unsuitable', message, details);
  }
  const own = runs.map((outputs) => ({
    positions: outputs[0].positions,
    widths: heads.map((_, i) => outputs[i].width),
  }));
  const sizes = task.sizes ?? own[0];
  const got = own.find((one) => !isDeepStrictEqual(one, sizes));
  if (got === undefined) return sizes;
  const expected = `${sizes.positions} positions of ${sizes.widths.join(', ')} scores`;
  const found = `${got.positions} of ${got.widths.join(', ')}`;
  const message = `capture: ${model} gives ${found} for ${image?.name}, not ${expected} as for an `;
  const hint = 'empty image; export it with outputs of one size, before NMS';
  throw new LogitcaskError('teacher-unsuitable', message + hint, { expected: sizes, got });
}

async function run(
  held: Session,
  values: Float32Array | Uint8Array,
  task: ImageTask,
): Promise<OutputValues[]> {
  const { model, image } = task;
  const forms = formsOf(task);
  const names = [...new Set(forms.map(({ output }) => output))];
  const what = `${model} fails on ${image === undefined ? 'an empty image' : image.name}`;
  const hint = 'give it the size that it was exported for';
  const outputs = await refusing('teacher-refused', `${what}; ${hint}`, () =>
    held.session.run({ [held.graph.name]: tensorOf(held, values) }, names),
  );
  return forms.map((form) => valuesOfOutput(outputs[form.output], form, model));
}

function emptyInput({ height, width, channels, type }: PixelInput): Float32Array | Uint8Array {
  const length = height * width * channels;
  return type === 'uint8' ? new Uint8Array(length) : new Float32Array(length);
}

function formsOf({ heads, geometry }: ImageTask): readonly OutputForm[] {
  return geometry === undefined ? heads : [...heads, { output: geometry, inner: [4] }];
}

/** A copy: the runtime uses its memory again, and outputs of one name may be read twice. */
function joined(runs: readonly OutputValues[]): Float32Array {
  const out = new Float32Array(runs.reduce((sum, { values }) => sum + values.length, 0));
  let at = 0;
  for (const { values } of runs) {
    out.set(values, at);
    at += values.length;
  }
  return out;
}

function tensorOf({ ort, graph }: Session, values: Float32Array | Uint8Array): Tensor {
  const { layout, type, height, width, channels } = graph.input;
  const dims = layout === 'nchw' ? [1, channels, height, width] : [1, height, width, channels];
  if (values instanceof Uint8Array) return new ort.Tensor('uint8', values, dims);
  if (type === 'float32') return new ort.Tensor('float32', values, dims);
  return new ort.Tensor('float16', toFloat16(values), dims);
}

function fill(place: RowsPlace, values: Float32Array, width: number): void {
  const { parts, part, from, count, memory } = place;
  const rows = new Float32Array(memory, 0, count * width);
  for (let t = 0; t < count; t++) {
    const at = ((from + t) * parts + part) * width;
    rows.set(values.subarray(at, at + width), t * width);
  }
}
