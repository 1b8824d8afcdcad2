import type { IncomingMessage } from "node:http";

/** What the fake answers with: one body, or the lines of a watch. */
export type Reply =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: unknown }
  | {
      readonly watch: readonly unknown[];
      /** What follows the lines: open until `emit` or `endWatches`, a clean end, or one of the faults. */
      readonly end?: WatchEnding;
    };

/**
 * - `reset`: the connection is cut; after the headers and half of the body when there is a reply, at once else
 * - `hang`: no answer, ever
 * - `silence`: the headers, then nothing, ever
 * - `half-line`: half of the reply's body (or of an event), then a clean end
 * - `slow`: the reply's body in pieces of three bytes, which cuts characters in two
 */
export type Fault = "reset" | "hang" | "silence" | "half-line" | "slow";
export type WatchEnding = "open" | "close" | "reset" | "half-line";

export type Route = {
  /**
   * `METHOD path?name=value&name`: every named parameter must be there; one without `watch` never meets a watch.
   * `*` is every request.
   */
  readonly on: string;
  /** Only in this state; the fake starts in state "". */
  readonly in?: string;
  /** The state after this answer. */
  readonly then?: string;
  /** Used up after so many requests. */
  readonly times?: number;
  readonly reply?: Reply | ((request: RecordedRequest) => Reply);
  readonly fault?: Fault;
};

export type RecordedRequest = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
};

/** A list as the API server answers it. */
export function listOf(
  items: readonly unknown[] | null,
  metadata: { readonly resourceVersion: string; readonly continue?: string },
): Reply {
  return { status: 200, body: { kind: "List", apiVersion: "v1", metadata, items } };
}

/** A metav1.Status of failure. */
export function statusOf(
  code: number,
  options: {
    readonly reason?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly message?: string;
  } = {},
): Reply {
  const { reason = "", message = `fake ${code}`, headers = {} } = options;
  return {
    status: code,
    headers,
    body: { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message },
  };
}

/** One line of a watch. */
export function eventOf(type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR", object: unknown): unknown {
  return { type, object };
}

export type Table = {
  take(request: RecordedRequest): Route | undefined;
  use(...routes: readonly Route[]): void;
  /** Takes away every route with this `on`. */
  drop(on: string): void;
};

/** The routes in their order, and the state that they move. */
export function createTable(initial: readonly Route[]): Table {
  let state = "";
  const withCount = (route: Route) => ({ route, left: route.times ?? Number.POSITIVE_INFINITY });
  let rows = initial.map(withCount);
  return {
    drop(on) {
      rows = rows.filter(({ route }) => route.on !== on);
    },
    use: (...routes) => void rows.unshift(...routes.map(withCount)),
    take(request) {
      const fits = ({ route, left }: (typeof rows)[number]) =>
        left > 0 && (route.in ?? state) === state && matches(route.on, request);
      const row = rows.find(fits);
      if (row === undefined) return undefined;
      row.left -= 1;
      state = row.route.then ?? state;
      return row.route;
    },
  };
}

/** @param on as Route.on */
export function matches(on: string, request: RecordedRequest): boolean {
  if (on === "*") return true;
  const [method, target = ""] = on.split(" ");
  const [path, query = ""] = target.split("?");
  const wanted = new URLSearchParams(query);
  if (request.method !== method || request.path !== path) return false;
  if (wanted.has("watch") !== request.query.has("watch")) return false;
  return [...wanted].every(([name, value]) =>
    value === "" ? request.query.has(name) : request.query.get(name) === value,
  );
}
