/** How the pixels of an image become the input of a model, as in its own evaluation. */
import { z } from 'zod';

export const preprocess = z
  .strictObject({
    /** Height and width of the input; by default those of the model, which may leave them open. */
    size: z.tuple([z.int().min(1).max(16_384), z.int().min(1).max(16_384)]).optional(),
    /** To the size: sides apart, the centre of what covers it, or whole with a border. */
    resize: z.enum(['stretch', 'crop', 'letterbox']).default('stretch'),
    /** crop: the shorter side, before the centre is cut out; by default as small as covers. */
    shortest_edge: z.int().min(1).max(16_384).optional(),
    /** letterbox: value of the border, before scale, mean and std. */
    pad: z.int().min(0).max(255).optional(),
    /** As Pillow does them. */
    resample: z.enum(['nearest', 'bilinear', 'bicubic']).default('bilinear'),
    colour: z.enum(['rgb', 'bgr']).default('rgb').describe('order of channels, where they are 3'),
    /** Input = (pixel · scale − mean) / std; 1/255 by default, and uint8 inputs have none. */
    scale: z.number().positive().optional(),
    /** One for each channel. */
    mean: z.array(z.number()).min(1).max(4).optional(),
    std: z.array(z.number().positive()).min(1).max(4).optional(),
  })
  .refine((own) => own.shortest_edge === undefined || own.resize === 'crop', {
    error: 'expected `shortest_edge` with `resize: crop` alone',
  })
  .refine((own) => own.pad === undefined || own.resize === 'letterbox', {
    error: 'expected `pad` with `resize: letterbox` alone',
  });

/** What a model saw of an image: boxes that it gave are in pixels, or shares, of this size. */
export const modelInput = z.strictObject({
  height: z.int().positive(),
  width: z.int().positive(),
  /** How the image came to this size (docs/vision.md). */
  resize: preprocess.shape.resize.unwrap(),
  shortest_edge: preprocess.shape.shortest_edge,
});

export type ModelInput = z.infer<typeof modelInput>;
export type PreprocessConfig = z.infer<typeof preprocess>;
