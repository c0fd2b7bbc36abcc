/** Six steps of colour for nats, the same in every sample, so that samples can be compared. */

/** Upper ends of all steps but the last. */
export const heatEdges = [0.5, 1, 2, 3, 5] as const;

export function heatOf(nats: number | null): number | null {
  if (nats === null) return null;
  const step = heatEdges.findIndex((edge) => nats < edge);
  return step < 0 ? heatEdges.length : step;
}

export const heatNames = [
  `below ${heatEdges[0]}`,
  ...heatEdges.slice(1).map((edge, i) => `${heatEdges[i]} to ${edge}`),
  `${heatEdges[heatEdges.length - 1]} and more`,
];
