/**
 * The sum over all series of a name whose labels include the given ones, in the Prometheus text format; 0 where there
 * is none. Label values with commas or escaped quotes do not occur in what is read here.
 */
export function sumOfSeries(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  let sum = 0;
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (match === null || match[1] !== name) continue;
    const own = match[2] ?? "";
    const isWanted = Object.entries(labels).every(([key, value]) => own.split(",").includes(`${key}="${value}"`));
    if (isWanted) sum += Number(match[3]);
  }
  return sum;
}
