/** The inputs and the output of an ONNX language model, found by name, type and shape. */
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { LogitcaskError } from '../errors.ts';

type Runtime = typeof import('onnxruntime-node');
type Input = InferenceSession.TensorValueMetadata;
type Feed = (ort: Runtime, input: Input, tokens: Int32Array) => Tensor;

export interface OnnxGraph {
  readonly inputs: readonly { readonly input: Input; readonly feed: Feed }[];
  /** Name of the output [1, n, V]. */
  readonly logits: string;
  readonly type: 'f32' | 'f16';
  /** V; where the graph does not say, the first run does. */
  width: number | undefined;
}

const integers = ['int64', 'int32'];
const floats = ['float32', 'float16'];

/** Inputs that are known by name; one more, of integers [batch, length], holds the token ids. */
const named: readonly [name: RegExp, types: readonly string[], rank: number, feed: Feed][] = [
  [/^attention_mask$/, integers, 2, (ort, input, { length }) => ints(ort, input, ones(length))],
  [/^position_ids$/, integers, 2, (ort, input, { length }) => ints(ort, input, counted(length))],
  [/^past_key_values?\./, floats, 4, empty],
];

/** Throws `teacher-unsuitable` where an input cannot be fed, or no output has the logits' form. */
export function readGraph(session: InferenceSession, model: string): OnnxGraph {
  const inputs = session.inputMetadata.map((input) => {
    const feed = input.isTensor ? feedFor(input) : undefined;
    if (input.isTensor && feed !== undefined) return { input, feed };
    const expected = 'input_ids, attention_mask, position_ids and past_key_values';
    throw unsuitable(`${model} wants the input ${described(input)}`, expected);
  });
  const ids = inputs.filter(({ feed }) => feed === tokenIds);
  if (ids.length !== 1) {
    const got = ids.map(({ input }) => input.name).join(', ') || 'none';
    throw unsuitable(`${model} has as inputs for token ids: ${got}`, 'one');
  }
  const outputs = session.outputMetadata.filter(isLogits);
  const output = outputs.find(({ name }) => name === 'logits') ?? outputs[0];
  if (output === undefined || (outputs.length > 1 && output.name !== 'logits')) {
    const got = session.outputMetadata.map(described).join(', ');
    throw unsuitable(`${model} gives ${got}`, 'logits [batch, length, V] of float32 or float16');
  }
  const width = output.shape[2];
  return {
    inputs,
    logits: output.name,
    type: output.type === 'float32' ? 'f32' : 'f16',
    width: typeof width === 'number' && width > 0 ? width : undefined,
  };
}

export function feedsOf(ort: Runtime, graph: OnnxGraph, tokens: Int32Array) {
  return Object.fromEntries(
    graph.inputs.map(({ input, feed }) => [input.name, feed(ort, input, tokens)]),
  );
}

function feedFor(input: Input): Feed | undefined {
  const known = named.find(([name]) => name.test(input.name));
  const [, types, rank, feed] = known ?? [undefined, integers, 2, tokenIds];
  return types.includes(input.type) && input.shape.length === rank ? feed : undefined;
}

function isLogits(output: InferenceSession.ValueMetadata): output is Input {
  return output.isTensor && floats.includes(output.type) && output.shape.length === 3;
}

function tokenIds(ort: Runtime, input: Input, tokens: Int32Array): Tensor {
  return ints(ort, input, tokens);
}

/** A past of no tokens. */
function empty(ort: Runtime, { type, shape }: Input): Tensor {
  const [, heads, , width] = shape.map((size) => (typeof size === 'number' ? size : 0));
  const dims = [1, heads, 0, width];
  return type === 'float32'
    ? new ort.Tensor('float32', new Float32Array(0), dims)
    : new ort.Tensor('float16', new Uint16Array(0), dims);
}

function ints(ort: Runtime, { type }: Input, values: Int32Array): Tensor {
  const dims = [1, values.length];
  if (type === 'int32') return new ort.Tensor('int32', values, dims);
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

const ones = (length: number) => new Int32Array(length).fill(1);
const counted = (length: number) => Int32Array.from({ length }, (_, i) => i);

function described(value: InferenceSession.ValueMetadata): string {
  return value.isTensor ? `${value.name} ${value.type} [${value.shape.join(', ')}]` : value.name;
}

function unsuitable(what: string, expected: string): LogitcaskError {
  const message = `capture: ${what}; expected ${expected}: export the model for text generation`;
  return new LogitcaskError('teacher-unsuitable', message, { expected, got: what });
}
