/** Tiny ONNX models of images, whose outputs are known without running them. */
import { model, node, tensor, value } from './onnx-proto.ts';

/** Scores: the mean of each channel. Input float16 [1, 3, H, W] of any size. */
export function meansModel(): Buffer {
  return model({
    nodes: [
      node('Cast', ['images'], 'floats', 1),
      node('GlobalAveragePool', ['floats'], 'means'),
      node('Flatten', ['means'], 'scores'),
    ],
    inputs: [value('images', 10, [1, 3, 'height', 'width'])],
    outputs: [value('scores', 1, [1, 3])],
  });
}

/** A position for each black pixel, as a detector behind NMS: [1, found, 4]. Input [1, 1, 2, 2]. */
export function blackPixelsModel(): Buffer {
  return model({
    nodes: [
      node('Cast', ['images'], 'flags', 9),
      node('Not', ['flags'], 'black'),
      node('NonZero', ['black'], 'places'),
      node('Cast', ['places'], 'numbers', 1),
      node('Transpose', ['numbers'], 'rows'),
      node('Unsqueeze', ['rows', 'first'], 'scores'),
    ],
    initializers: [tensor('first', 7, [1], Buffer.from(BigInt64Array.of(0n).buffer))],
    inputs: [value('images', 1, [1, 1, 2, 2])],
    outputs: [value('scores', 1, [1, 'found', 4])],
  });
}
