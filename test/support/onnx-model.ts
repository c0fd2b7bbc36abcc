/** Tiny ONNX models, written as the protobuf messages that they are: bigrams, with inputs to test. */
export interface Bigram {
  /** V × V logits, row-major: those of the token after each token. */
  readonly table: Float32Array;
  readonly width: number;
  /** Elements: 1 float32, 6 int32, 7 int64, 10 float16, 9 bool. */
  readonly ids?: { readonly name: string; readonly type: number };
  /** More inputs [batch, length] of int64, each added to the logits times its factor. */
  readonly added?: Readonly<Record<string, number>>;
  /** More inputs, fed but not read. */
  readonly unread?: Readonly<Record<string, { type: number; shape: (number | string)[] }>>;
  /** Output float16. */
  readonly halves?: boolean;
  readonly output?: string;
}

type Part = Buffer;

export function bigramModel(bigram: Bigram): Buffer {
  const { table, width, added = {}, unread = {}, halves = false, output = 'logits' } = bigram;
  const ids = bigram.ids ?? { name: 'input_ids', type: 7 };
  const nodes: Part[] = [node('Gather', ['table', ids.name], 'sum0')];
  const initializers = [
    tensor('table', 1, [width, width], Buffer.from(table.buffer, table.byteOffset, 4 * width ** 2)),
    tensor('axes', 7, [1], Buffer.from(BigInt64Array.of(2n).buffer)),
  ];
  Object.entries(added).forEach(([name, factor], i) => {
    initializers.push(tensor(`${name}_factor`, 1, [], Buffer.from(Float32Array.of(factor).buffer)));
    nodes.push(
      node('Cast', [name], `${name}_cast`, 1),
      node('Unsqueeze', [`${name}_cast`, 'axes'], `${name}_column`),
      node('Mul', [`${name}_column`, `${name}_factor`], `${name}_product`),
      node('Add', [`sum${i}`, `${name}_product`], `sum${i + 1}`),
    );
  });
  nodes.push(node('Cast', [`sum${Object.keys(added).length}`], output, halves ? 10 : 1));
  const inputs = [
    value(ids.name, ids.type, ['batch', 'length']),
    ...Object.keys(added).map((name) => value(name, 7, ['batch', 'length'])),
    ...Object.entries(unread).map(([name, { type, shape }]) => value(name, type, shape)),
  ];
  const graph = Buffer.concat([
    ...nodes.map((part) => message(1, part)),
    text(2, 'bigram'),
    ...initializers.map((part) => message(5, part)),
    ...inputs.map((part) => message(11, part)),
    message(12, value(output, halves ? 10 : 1, ['batch', 'length', 'width'])),
  ]);
  const opset = Buffer.concat([text(1, ''), number(2, 17)]);
  return Buffer.concat([number(1, 8), message(7, graph), message(8, opset)]);
}

function node(op: string, inputs: readonly string[], output: string, to?: number): Part {
  const parts = [...inputs.map((name) => text(1, name)), text(2, output), text(4, op)];
  if (to !== undefined) {
    parts.push(message(5, Buffer.concat([text(1, 'to'), number(3, to), number(20, 2)])));
  }
  return Buffer.concat(parts);
}

function tensor(name: string, type: number, dims: readonly number[], data: Buffer): Part {
  const sizes = dims.map((size) => number(1, size));
  return Buffer.concat([...sizes, number(2, type), text(8, name), message(9, data)]);
}

function value(name: string, type: number, shape: readonly (number | string)[]): Part {
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
