/** One ONNX model in one thread: token ids in, a row of logits for each position out. */
import type { InferenceSession, Tensor, TypedTensor } from 'onnxruntime-node';
import { valuesIn } from '../distribution/rows.ts';
import { type ErrorData, errorData, LogitcaskError } from '../errors.ts';
import { feedsOf, type OnnxGraph, readGraph } from './onnx-graph.ts';
import { openSession, type Runtime, refusing } from './onnx-runtime.ts';

/** Plain data, so that it can be sent to a thread. */
export interface OnnxTask {
  readonly model: string;
  /** Threads of one run; they decide no byte. */
  readonly threads: number;
  readonly tokens: Int32Array;
  /** Where the rows go, `rowsMax` into each; none: only the facts are wanted. */
  readonly memories: readonly SharedArrayBuffer[];
  readonly rowsMax: number;
}

export interface OnnxFacts {
  /** V, the width of the model's output. */
  readonly width: number;
  readonly type: 'f32' | 'f16';
}

interface Session {
  readonly ort: Runtime;
  readonly session: InferenceSession;
  readonly graph: OnnxGraph;
  /** The output of one run; it grows to the longest sample. */
  output: ArrayBuffer;
}

/** A thread holds one model. */
let opened: Promise<Session> | undefined;

/** What a thread runs: the sample alone, since with dynamic quantisation neighbours change it. */
export async function scoreInThread(task: OnnxTask): Promise<OnnxFacts | ErrorData> {
  try {
    opened ??= open(task);
    return await score(await opened, task);
  } catch (error) {
    return errorData(error);
  }
}

async function open({ model, threads }: OnnxTask): Promise<Session> {
  const { ort, session } = await openSession(model, threads);
  return { ort, session, graph: readGraph(session, model), output: new ArrayBuffer(0) };
}

async function score(held: Session, task: OnnxTask): Promise<OnnxFacts> {
  const { ort, session, graph } = held;
  const { tokens, memories, rowsMax, model } = task;
  const what = `${model} fails on ${tokens.length} tokens`;
  const hint = 'keep samples within its context (--sample-length)';
  const logits = await refusing('teacher-refused', `${what}; ${hint}`, async () => {
    const fetches = { [graph.logits]: outputOf(held, tokens.length) };
    return (await session.run(feedsOf(ort, graph, tokens), fetches))[graph.logits];
  });
  const [batch, count, width] = logits.dims;
  if (logits.dims.length !== 3 || batch !== 1 || count !== tokens.length) {
    const expected = `[1, ${tokens.length}, V]`;
    const message = `capture: ${model} gives ${graph.logits} [${logits.dims}], not ${expected}`;
    throw new LogitcaskError('teacher-unsuitable', message, { expected, got: logits.dims });
  }
  graph.width ??= width;
  const values = bitsOf(logits);
  for (const [i, memory] of memories.entries()) {
    const part = values.subarray(i * rowsMax * width, (i + 1) * rowsMax * width);
    valuesIn(memory, graph.type, part.length).set(part);
  }
  return { width, type: graph.type };
}

/** Memory for the output, used again by every run; null (the runtime's own) while V is unknown. */
function outputOf(held: Session, count: number): Tensor | null {
  const { ort, graph } = held;
  if (graph.width === undefined) return null;
  const length = count * graph.width;
  const valueBytes = graph.type === 'f32' ? 4 : 2;
  if (held.output.byteLength < length * valueBytes) {
    held.output = new ArrayBuffer(length * valueBytes);
  }
  const dims = [1, count, graph.width];
  return graph.type === 'f32'
    ? new ort.Tensor('float32', new Float32Array(held.output, 0, length), dims)
    : new ort.Tensor('float16', new Uint16Array(held.output, 0, length), dims);
}

function bitsOf(logits: Tensor): Float32Array | Uint16Array {
  const { data } = logits as TypedTensor<'float32' | 'float16'>;
  if (data instanceof Float32Array) return data;
  return new Uint16Array(data.buffer, data.byteOffset, data.length);
}
