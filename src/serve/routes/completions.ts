/** POST /v1/completions as clients of vLLM send it: prompts scored, or generation passed on. */
import { completionReply } from '../facade/completion-reply.ts';
import { passOn } from '../facade/pass-on.ts';
import { asksForScores, promptRequest, teacherFor } from '../facade/prompt-request.ts';
import { createPromptTexts } from '../facade/prompt-texts.ts';
import { completionOf, withRawBodies } from '../facade/raw-body.ts';
import { sendBody } from '../replies.ts';
import { allScored } from '../settled.ts';
import type { Route } from './route.ts';

const path = '/v1/completions';

export const completions: Route = (server, context) => {
  const { config, replies } = context;
  const { score_bytes_max: bodyLimit, score_timeout_ms: timeoutMs } = config.limits;
  const texts = createPromptTexts(config.cache.text_bytes_max);
  withRawBodies(server, (scope) => {
    const options = { config: { scope: 'write', timeoutMs }, bodyLimit } as const;
    scope.post(path, options, async (request, reply) => {
      const bytes = request.body as Buffer;
      const body = completionOf(bytes);
      const teacher = teacherFor(context, body);
      if (!asksForScores(body)) return passOn(context, teacher, { path, body, bytes }, reply);
      const asked = promptRequest(body, teacher, config);
      const share = await replies.enter();
      share.hold(asked.bytes); // others go on while a teacher is waited for
      try {
        const { k, temperature, prompts } = asked;
        const wanted = { k, temperature, client: request };
        const found = await allScored(prompts.map((tokens) => texts.of(teacher, tokens, wanted)));
        reply.type('application/json').header('cache-control', 'no-store');
        const reached = completionReply(teacher, asked, found);
        return sendBody(request, reply, { body: reached, share, replies });
      } catch (error) {
        share.release();
        throw error;
      }
    });
  });
};
