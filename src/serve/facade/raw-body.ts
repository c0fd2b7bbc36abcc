/** JSON bodies that stay bytes: what is passed on to a teacher is passed on as it came. */
import { type CompletionBody, completionBody } from '../../../schemas/facade.ts';
import { LogitcaskError } from '../../errors.ts';
import type { Server } from '../routes/route.ts';

/** Adds routes whose JSON bodies are buffers. */
export function withRawBodies(server: Server, add: (scope: Server) => void): void {
  server.register(async (scope) => {
    scope.removeContentTypeParser('application/json');
    scope.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) =>
      done(null, body),
    );
    add(scope as Server);
  });
}

/** Throws `request-invalid`. */
export function completionOf(bytes: unknown): CompletionBody {
  const parsed = completionBody.safeParse(jsonOf(bytes));
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  const text = `request: \`body.${path.join('.')}\` is wrong: ${message}`;
  throw new LogitcaskError('request-invalid', text, { expected: message });
}

function jsonOf(bytes: unknown): unknown {
  try {
    return JSON.parse((bytes as Buffer).toString());
  } catch (cause) {
    const message = `request: the body is no JSON (${(cause as Error).message})`;
    throw new LogitcaskError('request-invalid', message, { expected: 'application/json', cause });
  }
}
