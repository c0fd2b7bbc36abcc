/** Prompts from files, one at a time: JSON lines, Parquet or plain text; duplicates are told. */
import { createHash } from 'node:crypto';
import type { LabelConfig } from '../../schemas/label-config.ts';
import { DigestTable } from '../capture/digest-table.ts';
import { textDocuments } from '../capture/documents.ts';
import type { ChatMessage, Prompt } from '../capture/generators/generator.ts';
import { recordsOf } from '../capture/lists-record.ts';
import { isPlainText } from '../capture/text-samples.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { parseTemplate, type Template } from './template.ts';

export interface PromptRecord {
  readonly prompt: Prompt;
  /** SHA-256 of the prompt: its name. */
  readonly digest: Buffer;
  /** The same but for white space and case: decides duplicates and the side of the split. */
  readonly likeness: Buffer;
  /** A prompt like it came before. */
  readonly isDuplicate: boolean;
}

type PromptConfig = Pick<LabelConfig, 'prompts' | 'mode' | 'template' | 'system' | 'filter'>;
type Cells = Readonly<Record<string, unknown>>;

/** Columns of Parquet that are read without a template; chats are lists of structs. */
const chatKeys = ['messages.role', 'messages.content', 'system'] as const;
const textKeys = ['prompt', 'text'] as const;

/**
 * The same prompts in the same order whenever it is called. Errors: `config-invalid`,
 * `source-unreadable`, `source-mismatch`.
 */
export async function* readPrompts(config: PromptConfig): AsyncGenerator<PromptRecord> {
  if (config.prompts.length === 0) {
    const message = 'config: there are no prompts; give files as `prompts` (--prompts)';
    throw new LogitcaskError('config-invalid', message, { expected: 'files', got: [] });
  }
  if (config.mode === 'text' && config.system !== undefined) {
    const message = 'config: a system message needs mode chat; put it into the template';
    throw new LogitcaskError('config-invalid', message, { expected: 'chat', got: 'text' });
  }
  const template = config.template === undefined ? undefined : parseTemplate(config.template);
  const seen = new DigestTable();
  for (const name of config.prompts) {
    for await (const { cells, place } of cellsOf(name, template)) {
      const prompt = promptOf(cells, { place, template, config });
      const likeness = digestOfText(canonicalJson(alike(prompt)));
      const isNew = config.filter.duplicate_prompts === 'keep' || seen.set(likeness);
      const digest = digestOfText(canonicalJson(prompt));
      yield { prompt, digest, likeness, isDuplicate: !isNew };
    }
  }
}

/** Runs of white space are one blank, letters are small. */
export const normalised = (text: string) => text.replace(/\s+/gu, ' ').trim().toLowerCase();

function alike(prompt: Prompt): Prompt {
  if ('text' in prompt) return { text: normalised(prompt.text) };
  const small = ({ role, content }: ChatMessage) => ({ role, content: normalised(content) });
  return { messages: prompt.messages.map(small) };
}

export function digestOfText(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function* cellsOf(
  name: string,
  template: Template | undefined,
): AsyncGenerator<{ place: string; cells: Cells }> {
  if (await isPlainText(name)) {
    let row = 0;
    for await (const text of textDocuments(name)) {
      yield { place: `document ${row++} of ${name}`, cells: { text } };
    }
    return;
  }
  const keys = [...chatKeys, ...textKeys, ...(template?.fields ?? [])];
  yield* recordsOf(name, { file: 0, keys });
}

interface PromptOptions {
  readonly place: string;
  readonly template: Template | undefined;
  readonly config: PromptConfig;
}

function promptOf(cells: Cells, { place, template, config }: PromptOptions): Prompt {
  const messages = template === undefined ? messagesOf(cells, place) : undefined;
  if (config.mode === 'text') {
    if (messages === undefined) return { text: textOf(cells, { place, template }) };
    throw mismatch(place, '`prompt` or `text` (messages need mode chat)', 'messages');
  }
  const own = messages ?? [{ role: 'user', content: textOf(cells, { place, template }) }];
  const system = typeof cells.system === 'string' ? cells.system : config.system;
  if (system === undefined || own[0].role === 'system') return { messages: own };
  return { messages: [{ role: 'system', content: system }, ...own] };
}

function textOf(cells: Cells, { place, template }: Omit<PromptOptions, 'config'>): string {
  const text = template?.fill(cells, place) ?? textKeys.map((key) => cells[key]).find(isText);
  if (isText(text)) return text;
  const got = Object.keys(cells).join(', ') || 'none of them';
  throw mismatch(place, '`messages`, or text as `prompt` or `text` (or a template)', got);
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** The last one must be the user's: the response follows it. */
function messagesOf(cells: Cells, place: string): ChatMessage[] | undefined {
  const given = cells.messages ?? columnsOf(cells, place);
  if (given === undefined || given === null) return undefined;
  const expected = 'messages of `role` and `content`, the last one a user’s';
  if (!Array.isArray(given)) throw mismatch(place, expected, typeof given);
  const messages = given.map((message: unknown): ChatMessage => {
    const { role, content } = Object(message);
    if (typeof role === 'string' && typeof content === 'string') return { role, content };
    throw mismatch(place, expected, JSON.stringify(message)?.slice(0, 80));
  });
  const last = messages.at(-1)?.role ?? 'none';
  if (last === 'assistant' || messages.length === 0) throw mismatch(place, expected, last);
  return messages;
}

function columnsOf(cells: Cells, place: string): unknown[] | undefined {
  const { 'messages.role': roles, 'messages.content': contents } = cells;
  if (roles === undefined || contents === undefined) return undefined;
  if (!Array.isArray(roles) || !Array.isArray(contents) || roles.length !== contents.length) {
    throw mismatch(place, 'as many texts as `messages.role` as `messages.content`', 'others');
  }
  return roles.map((role, i) => ({ role, content: contents[i] }));
}

function mismatch(place: string, expected: string, got: unknown): LogitcaskError {
  const message = `label: ${place} holds ${got}, expected ${expected}; see docs/label.md`;
  return new LogitcaskError('source-mismatch', message, { expected, got: String(got) });
}
