/** Tiny ONNX models of texts: bigrams, with inputs to test. */
import { model, node, type Part, tensor, value } from './onnx-proto.ts';

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
  const outputs = [value(output, halves ? 10 : 1, ['batch', 'length', 'width'])];
  return model({ nodes, initializers, inputs, outputs });
}
