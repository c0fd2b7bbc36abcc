/** A student's tokenizer beside the one that is kept with a snapshot. */
import type { Manifest } from '../../schemas/manifest.ts';
import { compareTokenizers, describeComparison } from '../capture/tokenizer-compare.ts';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';

/** `fetchFile`: a file of the snapshot by name. Throws `conflict`, `reply-invalid`. */
export async function checkStudentTokenizer(
  student: Uint8Array,
  { dataset, files }: Manifest,
  fetchFile: (name: string) => Promise<Buffer>,
): Promise<void> {
  const file = files.find(({ role }) => role === 'tokenizer');
  if (file === undefined) throw differs(`${dataset} has no tokenizer`);
  if (sha256Hex(student) === file.sha256) return;
  const teacher = await fetchFile(file.name);
  if (sha256Hex(teacher) !== file.sha256) {
    const message = `client: ${file.name} came damaged; ask again`;
    throw new LogitcaskError('reply-invalid', message, { expected: file.sha256 });
  }
  const comparison = compareTokenizers(teacher, student);
  if (comparison.kind !== 'same') throw differs(describeComparison(comparison));
}

function differs(what: string): LogitcaskError {
  const message = `client: the student's tokenizer is not the teacher's: ${what}`;
  return new LogitcaskError('conflict', message, { expected: "the teacher's", got: what });
}
