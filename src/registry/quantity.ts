const factors: Readonly<Record<string, number>> = {
  "": 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * The number that a Kubernetes quantity stands for, exact enough to compare sizes.
 *
 * @returns undefined for what is no quantity
 * @see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */
export function quantityValue(text: string): number | undefined {
  const match = /^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:[eE]([+-]?\d+)|([EPTGMK]i|[EPTGMkm]))?$/.exec(text);
  if (match === null) return undefined;
  const [, number = "", exponent, suffix] = match;
  return Number(number) * (exponent === undefined ? (factors[suffix ?? ""] ?? 1) : 10 ** Number(exponent));
}
