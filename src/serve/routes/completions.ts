/** POST /v1/completions as clients of vLLM send it: prompts scored, or generation passed on. */
import { completionReply } from '../facade/completion-reply.ts';
import { passOn } from '../facade/pass-on.ts';
import { createPromptTexts } from '../facade/prompt-texts.ts';
import { withRawBodies } from '../facade/raw-body.ts';
import { createRequestReader } from '../facade/read-request.ts';
import { sendBody } from '../replies.ts';
import { allScored } from '../settled.ts';
import type { Route } from './route.ts';

const path = '/v1/completions';

export const completions: Route = (server, context) => {
  const { config, replies } = context;
  const { score_bytes_max: bodyLimit, score_timeout_ms: timeoutMs } = config.limits;
  const texts = createPromptTexts(config.cache.text_bytes_max);
  const read = createRequestReader(context);
  withRawBodies(server, (scope) => {
    const options = { config: { scope: 'write', timeoutMs }, bodyLimit } as const;
    scope.post(path, options, async (request, reply) => {
      const bytes = (request.body ?? Buffer.of()) as Buffer;
      const asked = read(bytes);
      if ('body' in asked) {
        return passOn(context, asked.teacher, { path, body: asked.body, bytes }, reply);
      }
      const share = await replies.enter();
      share.hold(asked.bytes); // others go on while a teacher is waited for
      try {
        const found = await allScored(asked.prompts.map((one) => texts.of(one, asked, request)));
        reply.type('application/json').header('cache-control', 'no-store');
        return sendBody(request, reply, { body: completionReply(asked, found), share, replies });
      } catch (error) {
        share.release();
        throw error;
      }
    });
  });
};
