/** How busy a queue is, and how long it let things wait since the start. */

export interface QueueLoad {
  readonly waiting: number;
  /** Things that had their turn. */
  readonly entered: number;
  readonly waitedMs: number;
}
