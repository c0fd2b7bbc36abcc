/** Prompts as a server takes them, and the ids that they are, on which both sides must agree. */
import { LogitcaskError } from '../errors.ts';
import type { ChatTemplate } from './chat-template.ts';
import type {
  Answer,
  GeneratorProtocol,
  PostJson,
  Prompt,
  SentPrompt,
} from './generators/generator.ts';
import type { TextTokenizer } from './tokenizer.ts';

export interface PromptsOptions {
  readonly protocol: GeneratorProtocol;
  readonly template: ChatTemplate | undefined;
  readonly tokenizer: TextTokenizer | undefined;
  /** For errors. */
  readonly server: string;
  readonly post: PostJson;
}

export interface Prompts {
  /** Throws `config-invalid` where the server cannot be sent it, `source-mismatch`. */
  sent(prompt: Prompt): Promise<SentPrompt>;
  /** Ids of the prompt, as far as they are known. Throws `source-mismatch`. */
  agreed(prompt: Prompt, sent: SentPrompt, answer: Answer): Int32Array | undefined;
}

export function openPrompts(options: PromptsOptions): Prompts {
  const { protocol, template, tokenizer, server, post } = options;
  if (template !== undefined && tokenizer === undefined) {
    const message = 'config: a chat template needs the tokenizer.json of the teacher; set it too';
    throw new LogitcaskError('config-invalid', message, { expected: 'a tokenizer' });
  }
  const takes = (form: 'messages' | 'text' | 'tokens') => protocol.takes.includes(form);
  /** What the declared template makes of a conversation. */
  const rendered = (prompt: Prompt): Int32Array | undefined =>
    'messages' in prompt && template !== undefined
      ? tokenizer?.encode(template.render(prompt.messages))
      : undefined;
  return {
    async sent(prompt) {
      const told = await protocol.promptTokens?.(post, prompt);
      if (told !== undefined) {
        compare(rendered(prompt), told, server);
        return { tokens: told };
      }
      if ('messages' in prompt && takes('messages')) return prompt;
      if ('text' in prompt && takes('text') && (takes('messages') || tokenizer === undefined)) {
        return prompt;
      }
      const own = 'text' in prompt ? tokenizer?.encode(prompt.text, true) : rendered(prompt);
      if (own !== undefined && takes('tokens')) return { tokens: own };
      throw cannotBeSent(prompt, protocol.name);
    },
    agreed(prompt, sent, { promptTokens, promptCount }) {
      const own = 'tokens' in sent ? sent.tokens : rendered(prompt);
      if (promptTokens !== undefined) compare(own, promptTokens, server);
      else if (own !== undefined && promptCount > 0 && promptCount !== own.length) {
        throw differs(server, `${own.length} tokens`, `${promptCount} tokens`);
      }
      return promptTokens ?? own;
    },
  };
}

function compare(own: Int32Array | undefined, told: Int32Array, server: string): void {
  if (own === undefined) return;
  const other = told.findIndex((id, i) => id !== own[i]);
  if (other < 0 && told.length === own.length) return;
  const at = other < 0 ? told.length : other;
  const [expected, got] = [own, told].map((ids) => `${ids.length} tokens, ${ids[at]} at ${at}`);
  throw differs(server, expected, got);
}

function differs(server: string, expected: string, got: string): LogitcaskError {
  const message =
    `capture: the prompt as ${server} reads it is not what the template and tokenizer here make ` +
    'of it; give those of the served model, or leave the template out';
  return new LogitcaskError('source-mismatch', message, { expected, got });
}

function cannotBeSent(prompt: Prompt, name: string): LogitcaskError {
  if ('text' in prompt) {
    const message = `config: ${name} takes conversations only; give \`messages\` in place of texts`;
    return new LogitcaskError('config-invalid', message, { expected: 'messages', got: 'text' });
  }
  const message =
    `config: ${name} applies no chat template; set the model's chat_template.jinja and ` +
    'tokenizer.json, or give texts';
  return new LogitcaskError('config-invalid', message, { expected: 'a chat template' });
}
