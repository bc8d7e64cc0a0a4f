/** One row of a table of metrics: what is counted, in which unit, by which labels. Labels have few values, ever. */
export interface MetricRow {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly say: string;
  readonly labels?: readonly string[];
}

/** One figure. `suffix` is `_bucket`, `_sum` or `_count` of a histogram. */
export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  readonly suffix?: "_bucket" | "_sum" | "_count";
}

/** Figures by the names of a table. */
export type Samples<T> = { readonly [N in keyof T]?: readonly Sample[] };

/** The text that Prometheus reads (exposition format 0.0.4). Names without figures are left out. */
export async function renderMetrics<T extends Readonly<Record<string, MetricRow>>>(
  table: T,
  samples: Samples<T>,
): Promise<string> {
  // Loaded when somebody looks: most daemons are never scraped.
  const { default: client } = await import("prom-client");
  const families = Object.entries(table).flatMap(([name, { kind, say }]) => {
    const values = samples[name] ?? [];
    if (values.length === 0) return [];
    const rows = values.map(({ value, labels, suffix = "" }) => ({
      value,
      labels: { ...labels },
      metricName: `${name}${suffix}`,
    }));
    return [{ name, help: say, type: kind, aggregator: "sum", values: rows }];
  });
  return client.AggregatorRegistry.aggregate([families]).metrics();
}
