/**
 * Every error that logitcask reports: stable code, HTTP status, exit code, whether a retry helps.
 */

/** Exit codes: 1 the work failed, 2 the request was wrong, 3 stored data is damaged. */
export const errors = {
  'config-invalid': [400, 2, false, 'the configuration does not have the documented form'],
  'config-unreadable': [400, 2, false, 'the configuration file is missing or cannot be parsed'],
  'request-invalid': [
    400,
    2,
    false,
    'a parameter, header or body does not have the documented form',
  ],
  'name-invalid': [400, 2, false, 'a name holds characters, or a path, that are not allowed'],
  'digest-mismatch': [400, 1, true, 'the body has another digest than its header says'],
  'source-unreadable': [
    400,
    2,
    false,
    'an input of the teacher source is missing, malformed, or changes while it is read',
  ],
  'source-mismatch': [400, 2, false, 'inputs of the teacher source do not belong together'],
  'source-misaligned': [422, 2, false, 'the distributions are not those of the next token'],
  'teacher-unreachable': [503, 1, true, 'the teacher does not answer'],
  'teacher-refused': [502, 1, false, 'the teacher refuses a request, in its own words'],
  'teacher-unsuitable': [422, 2, false, 'the teacher answers, but not with what is needed'],
  'package-missing': [501, 2, false, 'an optional package that this needs is not installed'],
  'row-invalid': [422, 2, false, 'a row of logits holds NaN or +inf, or has no finite entry'],
  'token-out-of-range': [422, 2, false, 'a token id lies outside the label space'],
  unauthorized: [401, 2, false, 'a bearer token is missing or not known'],
  forbidden: [
    403,
    2,
    false,
    'the bearer token lacks the scope of the route, or another site asks without one',
  ],
  'dataset-not-found': [404, 2, false, 'no data set of that name is in the store'],
  'snapshot-not-found': [404, 2, false, 'no snapshot of that digest or tag is in the data set'],
  'file-not-found': [404, 2, false, 'the snapshot lists no file of that name'],
  'image-not-found': [404, 2, false, 'the snapshot stores no image of that digest'],
  'sample-not-found': [404, 2, false, 'the snapshot holds no such sample'],
  'audit-not-found': [404, 2, false, 'the snapshot was never audited: POST to the same address'],
  'upload-not-found': [404, 2, false, 'no upload of that name is open: it has expired or ended'],
  'plan-not-found': [404, 2, false, 'no plan of that id is in the store'],
  'route-not-found': [404, 2, false, 'the server has no such address'],
  'step-out-of-range': [404, 2, false, 'the epoch has no such step'],
  'not-acceptable': [406, 2, false, 'no representation that the server has fits the request'],
  'request-timeout': [
    408,
    1,
    true,
    'the request did not arrive, or was not answered, in the time allowed',
  ],
  conflict: [409, 1, false, 'another writer was first, or two things that must agree do not'],
  'build-running': [409, 1, true, 'another process works on the same build'],
  'snapshot-moved': [412, 1, false, 'the data set has another head than the request names'],
  'body-too-large': [413, 2, false, 'the body is over the limit'],
  'range-not-satisfiable': [416, 2, false, 'the range lies outside the file'],
  'rank-out-of-range': [422, 2, false, 'the rank does not lie inside the world size'],
  'plan-unsupported': [422, 2, false, 'this version cannot run a plan of that kind'],
  'temperature-unsupported': [422, 2, false, 'the target set cannot be read at that temperature'],
  'too-many-requests': [429, 1, true, 'the client sends more requests than the limit allows'],
  'headers-too-large': [431, 2, false, 'the request header is over the limit'],
  'frame-damaged': [500, 3, false, 'a frame fails its checksum or contradicts its own header'],
  'shard-damaged': [500, 3, false, 'a shard is missing, cut short or has another digest'],
  'image-damaged': [500, 3, false, 'a stored image is missing or has another digest'],
  'index-damaged': [500, 3, false, 'an index file contradicts itself or its shard'],
  'manifest-invalid': [500, 3, false, 'a manifest is malformed or its digest is another'],
  'manifest-unsupported': [501, 2, false, 'a manifest needs a later version or an unknown feature'],
  'reply-truncated': [502, 1, true, 'a reply ended before the rows that it announced'],
  'reply-invalid': [
    502,
    1,
    false,
    'a reply does not have the documented form, or answers another request',
  ],
  'server-unreachable': [503, 1, true, 'no server answers at that address'],
  'audits-waiting': [503, 1, true, 'as many audits wait for their turn as the limit allows'],
  'shutting-down': [503, 1, true, 'the server is about to stop'],
  'store-not-found': [404, 1, false, 'the store holds nothing under that name'],
  'store-exists': [409, 1, false, 'the store already holds something under that name'],
  'store-truncated': [500, 3, false, 'a stored file is shorter than it was'],
  'log-damaged': [500, 3, false, 'a record of a log fails its checksum'],
  'store-full': [507, 1, true, 'the store has no room left'],
  'store-failed': [500, 1, true, 'the store could not read or write'],
  'port-in-use': [500, 1, true, 'another program listens at that address'],
  interrupted: [500, 1, true, 'the work was stopped before its end; it resumes when run again'],
  internal: [500, 1, false, 'a defect of logitcask: please report it'],
} as const satisfies Record<string, readonly [number, 1 | 2 | 3, boolean, string]>;

export type ErrorCode = keyof typeof errors;

export interface ErrorDetails {
  /** What would have been right, in words or as a value. */
  expected?: unknown;
  /** What came instead. */
  got?: unknown;
  cause?: unknown;
}

/** The one error class; `message` reads `<stage>: what happened, with the values, what to do`. */
export class LogitcaskError extends Error {
  readonly code: ErrorCode;
  readonly expected: unknown;
  readonly got: unknown;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'LogitcaskError';
    this.code = code;
    this.expected = details.expected;
    this.got = details.got;
  }

  get status(): number {
    return errors[this.code][0];
  }

  get exitCode(): 1 | 2 | 3 {
    return errors[this.code][1];
  }

  get retryable(): boolean {
    return errors[this.code][2];
  }
}

/** An error as data: what a thread throws arrives without its code. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly expected: unknown;
  readonly got: unknown;
}

/** Other errors than our own are thrown on. */
export function errorData(thrown: unknown): ErrorData {
  if (!(thrown instanceof LogitcaskError)) throw thrown;
  const { code, message, expected, got } = thrown;
  return { code, message, expected, got };
}

/** The error that a thread gave back as data. */
export function errorOfData({ code, message, expected, got }: ErrorData): LogitcaskError {
  return new LogitcaskError(code, message, { expected, got });
}

/** Wraps whatever was thrown; a LogitcaskError passes unchanged. */
export function asLogitcaskError(thrown: unknown): LogitcaskError {
  if (thrown instanceof LogitcaskError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new LogitcaskError('internal', `internal: ${message}`, { cause: thrown });
}
