/** Threads that hold an ONNX model each, as many as their memory allows. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { type ThreadName, threadFile } from '../built.ts';
import { type ErrorData, errorOfData } from '../errors.ts';
import { createWindow, type Window } from './in-order.ts';

/** What sessions and their outputs may take together before there are fewer, with more threads. */
const sessionsBytesMax = 4 * 1024 * 1024 * 1024;

export interface OnnxPoolOptions {
  /** Module and function that a thread runs. */
  readonly file: ThreadName;
  readonly name: string;
  /** Cores that run the model; all by default. */
  readonly threads: number | undefined;
  /** What one session takes. */
  readonly bytes: number;
}

export interface OnnxPool<Task, Result> {
  /** One more than can run, so that no session waits for its next sample. */
  readonly window: Window;
  /** What a thread throws arrives with its code. */
  run(task: Omit<Task, 'threads'>): Promise<Result>;
  close(): Promise<void>;
}

/** As many sessions as there are cores, each with one thread, where their memory allows that. */
export function openOnnxPool<Task extends { readonly threads: number }, Result extends object>({
  file,
  name,
  threads = availableParallelism(),
  bytes,
}: OnnxPoolOptions): OnnxPool<Task, Result> {
  const sessions = Math.max(1, Math.min(threads, Math.floor(sessionsBytesMax / bytes)));
  const pool = new Piscina({
    filename: threadFile(file),
    name,
    minThreads: 1,
    maxThreads: sessions,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  return {
    window: createWindow(sessions + 1, sessions + 1),
    async run(task) {
      const own = { ...task, threads: Math.floor(threads / sessions) };
      const result: Result | ErrorData = await pool.run(own);
      if (!('code' in result)) return result;
      throw errorOfData(result);
    },
    close: async () => pool.destroy(),
  };
}
