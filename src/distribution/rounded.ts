/** Numbers as reports give them. */

/** Six significant digits: enough to compare, and stable where sums round differently. */
export const rounded = (value: number) => Number(value.toPrecision(6));

/** Three significant digits, for sentences. */
export const brief = (value: number) => String(Number(value.toPrecision(3)));
