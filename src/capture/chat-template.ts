/** Chat templates as models ship them: a conversation as the text that the model reads. */
import { dirname, join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { LogitcaskError } from '../errors.ts';
import type { ChatMessage } from './generators/generator.ts';
import { readInput } from './input-file.ts';

export interface ChatTemplate {
  /** The text up to where the answer begins. Throws `source-mismatch` where it is refused. */
  render(messages: readonly ChatMessage[]): string;
}

/** Of tokenizer_config.json. */
interface TokenizerConfig {
  readonly chat_template?: string | readonly { readonly name: string; readonly template: string }[];
  readonly [name: string]: unknown;
}

const specialTokens = ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const;

/**
 * From `chat_template.jinja`, whose special tokens are those of the tokenizer_config.json beside
 * it, or from a tokenizer_config.json that holds one. Throws `source-unreadable`.
 */
export async function openChatTemplate(file: string): Promise<ChatTemplate> {
  const text = (await readInput(file)).toString();
  if (!file.endsWith('.json')) return templateOf(text, file, await configBeside(file));
  const config = parseConfig(text, file);
  const { chat_template: own } = config;
  const source =
    typeof own === 'string' ? own : own?.find(({ name }) => name === 'default')?.template;
  if (source !== undefined) return templateOf(source, file, config);
  const message = `capture: ${file} holds no chat_template; give the model's chat_template.jinja`;
  throw new LogitcaskError('source-unreadable', message, { expected: 'chat_template' });
}

async function configBeside(file: string): Promise<TokenizerConfig> {
  const name = join(dirname(file), 'tokenizer_config.json');
  try {
    return parseConfig((await readInput(name)).toString(), name);
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (cause?.code === 'ENOENT') return {};
    throw error;
  }
}

function parseConfig(text: string, file: string): TokenizerConfig {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = `capture: ${file} is no tokenizer_config.json (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}

function templateOf(source: string, file: string, config: TokenizerConfig): ChatTemplate {
  const tokens: Record<string, string> = {};
  for (const name of specialTokens) {
    const token = config[name] as string | { content?: string } | null | undefined;
    const text = typeof token === 'string' ? token : token?.content;
    if (text !== undefined) tokens[name] = text;
    // a template renders what it does not know as nothing
    else if (new RegExp(`\\b${name}\\b`).test(source)) throw unknownToken(file, name);
  }
  const template = parse(source, file);
  return {
    render(messages) {
      try {
        return template.render({ messages, add_generation_prompt: true, ...tokens });
      } catch (cause) {
        const reason = (cause as Error).message;
        const message = `capture: the template ${file} does not take a conversation: ${reason}`;
        throw new LogitcaskError('source-mismatch', message, { cause });
      }
    },
  };
}

function unknownToken(file: string, name: string): LogitcaskError {
  const message =
    `capture: the template ${file} uses ${name}, which is not known; put the model's ` +
    'tokenizer_config.json beside it';
  return new LogitcaskError('source-unreadable', message, { expected: name });
}

function parse(source: string, file: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    const message = `capture: ${file} is no chat template (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}
