/** Rules over files: what is damaged, missing, or belongs to nothing. */
import type { AuditReport, Finding } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';

type Problem = AuditReport['integrity']['problems']['rows'][number];

function ofFile(code: string, { file, message }: Problem, meaning: string): Finding {
  return {
    code,
    severity: 'fault',
    section: 'integrity',
    target_set: null,
    message: `integrity: ${file}: ${message}; ${meaning}`,
    expected: 'the bytes that the manifest states',
    got: file,
  };
}

const damages: Readonly<Record<string, readonly [code: string, meaning: string]>> = {
  'store-not-found': ['file-missing', 'the samples in it cannot be read'],
  'manifest-invalid': ['manifest-wrong', 'counts and sizes that others report of it are wrong'],
};

const damaged = ({ integrity }: AuditReport): Finding[] =>
  integrity.problems.rows.map((problem) => {
    const [code, meaning] = damages[problem.code] ?? [
      'file-damaged',
      'what it holds cannot be trusted',
    ];
    return ofFile(code, problem, meaning);
  });

const orphans = ({ integrity: { orphans } }: AuditReport): Finding[] => {
  if (orphans.total === 0) return [];
  const [first] = orphans.rows;
  const message =
    `integrity: ${orphans.total} files belong to no snapshot and no running build, e.g. ` +
    `${first?.path}; they only take space: remove them once no build is under way`;
  return [
    {
      code: 'orphan-files',
      severity: 'warning',
      section: 'integrity',
      target_set: null,
      message,
      expected: 0,
      got: orphans.total,
    },
  ];
};

/** The tokenizer that lies beside the samples must be the one that their ids are of. */
const tokenizerFile = (_: AuditReport, { files, label_space }: Manifest): Finding[] => {
  const file = files.find(({ role }) => role === 'tokenizer');
  const { tokenizer } = label_space;
  if (file === undefined || tokenizer === null || file.sha256 === tokenizer) return [];
  return [
    {
      code: 'tokenizer-mismatch',
      severity: 'fault',
      section: 'integrity',
      target_set: null,
      message:
        `integrity: ${file.name} has digest ${file.sha256.slice(0, 16)}…, but the ids are of the ` +
        `tokenizer ${tokenizer.slice(0, 16)}…: texts made with it are others; store the right one`,
      expected: tokenizer,
      got: file.sha256,
    },
  ];
};

/** Soft labels of an image that is another by now teach nonsense. */
const imagesChanged = ({ integrity: { images } }: AuditReport): Finding[] => {
  if (images === null || images.wrong === 0) return [];
  const [{ what, uri }] = images.problems;
  return [
    {
      code: images.stored ? 'images-damaged' : 'images-changed',
      severity: 'fault',
      section: 'integrity',
      target_set: null,
      message:
        `integrity: ${images.wrong} of ${images.checked} ${images.stored ? 'stored ' : ''}images ` +
        `are missing or others than the teacher saw (${what}: ${uri}): ` +
        (images.stored
          ? 'restore a good copy, or build again'
          : 'restore them, or label the new ones'),
      expected: 0,
      got: images.wrong,
    },
  ];
};

export const integrityRules = [damaged, orphans, tokenizerFile, imagesChanged];
