/** Types of documents before defaults are filled in. */
export type { input } from 'zod';
