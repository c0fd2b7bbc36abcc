/** What the router knows of a page: made anew at each visit, and told when it is left. */

export interface Visit {
  /** Parts of the address, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Aborted when the page is left: requests and timers end with it. */
  readonly signal: AbortSignal;
}

export interface Page {
  /** Of the window; the page has a heading of its own. */
  readonly title: string;
  readonly body: Node;
}

export type PageMaker = (visit: Visit) => Promise<Page>;

/** Repeats while the page is open and seen, so many milliseconds after the last run ended. */
export function repeat(run: () => Promise<void>, ms: number, signal: AbortSignal): void {
  const again = async () => {
    if (signal.aborted) return;
    if (!document.hidden) await run();
    setTimeout(again, ms);
  };
  setTimeout(again, ms);
}
