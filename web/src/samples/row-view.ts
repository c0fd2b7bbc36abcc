/** How the positions of a row read: what a kind of input says in its own words. */
import type { Child } from '../element.ts';
import type { Position } from './position.ts';

export interface RowView {
  /** Of the group of buttons. */
  readonly name: string;
  readonly hint: string;
  /** What a colour stands for. */
  readonly colours: string;
  /** Of an entry, as the head of a column. */
  readonly entry: string;
  /** Of the entry that is the position's hard label. */
  readonly label: string;
  /** On the button of a position. */
  text(index: number): string;
  /** The same on one line. */
  spoken(index: number): string;
  /** Behind the number of the position. */
  heading(index: number): Child;
}

/** A picture of all positions beside their buttons. */
export interface Picture {
  readonly element: HTMLElement;
  mark(position: Position): void;
  /** What a position shows, small, for its button; undefined where it has none of its own. */
  icon?(index: number): HTMLElement | undefined;
}
