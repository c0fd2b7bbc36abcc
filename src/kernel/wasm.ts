/** Which engine runs. */
import { referenceEngine } from './reference.ts';

export const createEngine = referenceEngine;
