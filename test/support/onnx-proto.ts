/** ONNX models, written as the protobuf messages that they are. */
export type Part = Buffer;

export interface Graph {
  readonly nodes: readonly Part[];
  readonly initializers?: readonly Part[];
  readonly inputs: readonly Part[];
  readonly outputs: readonly Part[];
}

export function model({ nodes, initializers = [], inputs, outputs }: Graph): Buffer {
  const graph = Buffer.concat([
    ...nodes.map((part) => message(1, part)),
    text(2, 'graph'),
    ...initializers.map((part) => message(5, part)),
    ...inputs.map((part) => message(11, part)),
    ...outputs.map((part) => message(12, part)),
  ]);
  const opset = Buffer.concat([text(1, ''), number(2, 17)]);
  return Buffer.concat([number(1, 8), message(7, graph), message(8, opset)]);
}

/** `to`: what a Cast is to. */
export function node(op: string, inputs: readonly string[], output: string, to?: number): Part {
  const parts = [...inputs.map((name) => text(1, name)), text(2, output), text(4, op)];
  if (to !== undefined) {
    parts.push(message(5, Buffer.concat([text(1, 'to'), number(3, to), number(20, 2)])));
  }
  return Buffer.concat(parts);
}

export function tensor(name: string, type: number, dims: readonly number[], data: Buffer): Part {
  const sizes = dims.map((size) => number(1, size));
  return Buffer.concat([...sizes, number(2, type), text(8, name), message(9, data)]);
}

export function value(name: string, type: number, shape: readonly (number | string)[]): Part {
  const dims = shape.map((size) =>
    message(1, typeof size === 'number' ? number(1, size) : text(2, size)),
  );
  const tensorType = Buffer.concat([number(1, type), message(2, Buffer.concat(dims))]);
  return Buffer.concat([text(1, name), message(2, message(1, tensorType))]);
}

function varint(from: number): Buffer {
  const bytes: number[] = [];
  for (let left = from; ; left = Math.floor(left / 128)) {
    bytes.push(left >= 128 ? (left % 128) + 128 : left);
    if (left < 128) return Buffer.from(bytes);
  }
}

const number = (field: number, from: number) => Buffer.concat([varint(8 * field), varint(from)]);
const message = (field: number, bytes: Buffer) =>
  Buffer.concat([varint(8 * field + 2), varint(bytes.length), bytes]);
const text = (field: number, from: string) => message(field, Buffer.from(from));
