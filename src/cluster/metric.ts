import { Counter, Gauge, Histogram, type Registry } from "prom-client";

type MetricOptions = { readonly name: string; readonly help: string; readonly labelNames: readonly string[] };

/**
 * The counter of that name, registered at its first use: several reflectors and queues share one metric and differ
 * by a label.
 */
export function counterAt(registry: Registry, options: MetricOptions): Counter {
  const known = registry.getSingleMetric(options.name);
  if (known instanceof Counter) return known;
  return new Counter({ ...options, labelNames: [...options.labelNames], registers: [registry] });
}

/** As counterAt, for a gauge. */
export function gaugeAt(registry: Registry, options: MetricOptions): Gauge {
  const known = registry.getSingleMetric(options.name);
  if (known instanceof Gauge) return known;
  return new Gauge({ ...options, labelNames: [...options.labelNames], registers: [registry] });
}

/** As counterAt, for a histogram of seconds. */
export function secondsAt(registry: Registry, options: MetricOptions): Histogram {
  const known = registry.getSingleMetric(options.name);
  if (known instanceof Histogram) return known;
  const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
  return new Histogram({ ...options, labelNames: [...options.labelNames], buckets, registers: [registry] });
}
