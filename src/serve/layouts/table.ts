/** The layouts by name. */
import type { LayoutName } from '../../../schemas/batch.ts';
import { dense } from './dense.ts';
import { frames } from './frames.ts';
import type { Layout } from './layout.ts';
import { plain } from './plain.ts';

export const layouts: Readonly<Record<LayoutName, Layout>> = { frames, plain, dense };
