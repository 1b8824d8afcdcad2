import { eventOf, type FakeApi, listOf, type RecordedRequest, type Reply, statusOf } from "./api-server.ts";

type Item = {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly resourceVersion: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly data: Readonly<Record<string, string>>;
};

/** ConfigMaps of one namespace as the fake API server serves them: pages, versions, `name=value` selectors, watches. */
export type FakeCollection = {
  /** Creates or replaces. */
  put(name: string, data: Readonly<Record<string, string>>, labels?: Readonly<Record<string, string>>): void;
  remove(name: string): void;
  /** What is done in there no watch ever tells of. */
  lose(work: () => void): void;
};

export function serveCollection(api: FakeApi, namespace: string): FakeCollection {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const items = new Map<string, Item>();
  const history: { readonly version: number; readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly item: Item }[] =
    [];
  let version = 100;
  let isLosing = false;

  const note = (type: "ADDED" | "MODIFIED" | "DELETED", item: Item) => {
    if (isLosing) return;
    history.push({ version, type, item });
    // The fake cannot see which selector a watch has: DELETED ends what it cannot know of.
    api.emit(path, (request: RecordedRequest) => eventFor(request, type, item));
  };
  const next = (name: string, data: Item["data"], labels: Item["metadata"]["labels"]): Item => {
    version += 1;
    return { metadata: { name, namespace, resourceVersion: String(version), labels }, data };
  };

  api.use(
    {
      on: `GET ${path}?watch`,
      reply: (request) => {
        const since = Number(request.query.get("resourceVersion"));
        const missed = history.filter((entry) => entry.version > since);
        return { watch: missed.map(({ type, item }) => eventFor(request, type, item)) };
      },
    },
    { on: `GET ${path}`, reply: (request) => pageOf(request, [...items.values()], version) },
  );
  return {
    put(name, data, labels = {}) {
      const type = items.has(name) ? "MODIFIED" : "ADDED";
      const item = next(name, data, labels);
      items.set(name, item);
      note(type, item);
    },
    lose(work) {
      isLosing = true;
      work();
      isLosing = false;
    },
    remove(name) {
      const item = items.get(name);
      if (item === undefined) return;
      items.delete(name);
      note("DELETED", next(name, item.data, item.metadata.labels));
    },
  };
}

function pageOf(request: RecordedRequest, all: readonly Item[], version: number): Reply {
  const chosen = all.filter((item) => isSelected(request, item)).map((item) => shaped(request, item));
  const from = Number(request.query.get("continue") ?? "0");
  const limit = Number(request.query.get("limit") ?? Number.POSITIVE_INFINITY);
  if (from > chosen.length) return statusOf(410, { reason: "Expired" });
  const items = chosen.slice(from, from + limit);
  const rest = from + limit < chosen.length ? { continue: String(from + limit) } : {};
  return listOf(items.length === 0 ? null : items, { resourceVersion: String(version), ...rest });
}

function eventFor(request: RecordedRequest, type: "ADDED" | "MODIFIED" | "DELETED", item: Item): unknown {
  return eventOf(isSelected(request, item) ? type : "DELETED", shaped(request, item));
}

function isSelected(request: RecordedRequest, item: Item): boolean {
  const selector = request.query.get("labelSelector");
  if (selector === null) return true;
  const [name = "", value] = selector.split("=");
  return item.metadata.labels[name] === value;
}

function shaped(request: RecordedRequest, item: Item): unknown {
  return request.headers.accept?.includes("PartialObjectMetadata") === true ? { metadata: item.metadata } : item;
}
