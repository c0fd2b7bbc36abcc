/** The optional package that runs ONNX models: how it is loaded, and its errors in our words. */
import type { InferenceSession } from 'onnxruntime-node';
import { LogitcaskError } from '../errors.ts';

export type Runtime = typeof import('onnxruntime-node');

/** Throws `package-missing`, and `source-unreadable` where the model cannot be loaded. */
export async function openSession(
  model: string,
  threads: number,
): Promise<{ ort: Runtime; session: InferenceSession }> {
  const ort = await loadRuntime();
  const session = await refusing('source-unreadable', `${model} cannot be loaded`, () =>
    ort.InferenceSession.create(model, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 4, // what it logs is in the error as well
    }),
  );
  return { ort, session };
}

async function loadRuntime(): Promise<Runtime> {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    const [reason] = (cause as Error).message.split('\n');
    const message = `capture: ONNX models need a package: npm install onnxruntime-node (${reason})`;
    throw new LogitcaskError('package-missing', message, { expected: 'onnxruntime-node', cause });
  }
}

/** Does work of the runtime; what it throws gets a code. */
export async function refusing<T>(
  code: 'source-unreadable' | 'teacher-refused',
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    const [reason] = (cause as Error).message.split('\n');
    throw new LogitcaskError(code, `capture: ${what} (${reason})`, { cause });
  }
}
