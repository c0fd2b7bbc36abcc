/** POST /v1/chat/completions: passed on to the teacher, and what it generated is remembered. */
import { passOn } from '../facade/pass-on.ts';
import { teacherFor } from '../facade/prompt-request.ts';
import { completionOf, withRawBodies } from '../facade/raw-body.ts';
import type { Route } from './route.ts';

const path = '/v1/chat/completions';

export const chatCompletions: Route = (server, context) => {
  const { score_bytes_max: bodyLimit, score_timeout_ms: timeoutMs } = context.config.limits;
  withRawBodies(server, (scope) => {
    const options = { config: { scope: 'write', timeoutMs }, bodyLimit } as const;
    scope.post(path, options, async (request, reply) => {
      const bytes = request.body as Buffer;
      const body = completionOf(bytes);
      return passOn(context, teacherFor(context, body), { path, body, bytes }, reply);
    });
  });
};
