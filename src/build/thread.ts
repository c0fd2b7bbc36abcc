/** What the threads of a build run. */
export { digestPiece } from '../capture/digest-piece.ts';
export { reduceInThread } from './reduce.ts';
