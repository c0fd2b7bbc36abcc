/** The part of a store that plans need: what they read, and what they write whole or not at all. */
export interface OrderStore {
  read(name: string, offset: number, length: number): Promise<Buffer>;
  readAll(name: string, bytesMax?: number): Promise<Buffer>;
  size(name: string): Promise<number | undefined>;
  list(folder: string): Promise<string[]>;
  write(name: string, bytes: Uint8Array): Promise<void>;
  create(name: string): Promise<OrderWriter>;
}

export interface OrderWriter {
  append(bytes: Uint8Array): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}
