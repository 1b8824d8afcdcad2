import { readFileSync } from "node:fs";
import { delimiter } from "node:path";
// The file, not the package: its index loads every generated class (docs/adr/0002).
import { KubeConfig } from "@kubernetes/client-node/dist/config.js";
import { SlipwayError } from "../errors.ts";

/** Where the cluster and our identity come from. Neither `kubeconfig` nor `inCluster`: the rule of kubectl. */
export type ClusterSource = {
  /** A path, or several separated as in KUBECONFIG: the first that names a thing wins. */
  readonly kubeconfig?: string | undefined;
  /** A context of the kubeconfig; its current one unless given. */
  readonly context?: string | undefined;
  /** The ServiceAccount of the pod that we run in. */
  readonly inCluster?: boolean | undefined;
};

/**
 * Reads the configuration anew: nothing is kept between calls, cached credentials included.
 *
 * @throws SlipwayError KUBECONFIG_INVALID when a file, the context or its cluster is missing or cannot be read
 * @see https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
 */
export function loadKubeConfig(source: ClusterSource): KubeConfig {
  const config = new KubeConfig();
  try {
    if (source.inCluster === true) config.loadFromCluster();
    else if (source.kubeconfig !== undefined) loadFiles(config, source.kubeconfig);
    else config.loadFromDefault();
  } catch (error) {
    throw new SlipwayError("KUBECONFIG_INVALID", `${describe(source)}: ${messageOf(error)}`, { cause: error });
  }
  if (source.context !== undefined) config.setCurrentContext(source.context);
  refuseIncomplete(config, source);
  return config;
}

/**
 * The namespace that the context names, `default` else.
 *
 * @throws as loadKubeConfig
 */
export function contextNamespace(source: ClusterSource): string {
  const config = loadKubeConfig(source);
  return config.getContextObject(config.getCurrentContext())?.namespace ?? "default";
}

function loadFiles(config: KubeConfig, paths: string): void {
  const [first = "", ...others] = paths.split(delimiter).filter((path) => path !== "");
  config.loadFromFile(first);
  for (const path of others) {
    const further = new KubeConfig();
    further.loadFromFile(path);
    mergeConfig(config, further);
  }
}

/** The client's own merge refuses a name that occurs twice. */
function mergeConfig(config: KubeConfig, further: KubeConfig): void {
  const isNew = <T extends { readonly name: string }>(known: readonly T[]) => {
    const names = new Set(known.map(({ name }) => name));
    return ({ name }: T) => !names.has(name);
  };
  config.clusters.push(...further.clusters.filter(isNew(config.clusters)));
  config.users.push(...further.users.filter(isNew(config.users)));
  config.contexts.push(...further.contexts.filter(isNew(config.contexts)));
  if (!config.currentContext) config.setCurrentContext(further.currentContext);
}

function refuseIncomplete(config: KubeConfig, source: ClusterSource): void {
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) {
    const known = config.getContexts().map((context) => context.name);
    const found = `context '${config.getCurrentContext() ?? ""}' has no cluster; contexts: ${known.join(", ") || "none"}`;
    throw new SlipwayError("KUBECONFIG_INVALID", `${describe(source)}: ${found}`);
  }
  // What the client's default rule ends with when it finds nothing at all.
  if (config.getCurrentContext() === "loaded-context" && source.kubeconfig === undefined) {
    const advice = "there is no kubeconfig and this is no pod; set KUBECONFIG or name a file";
    throw new SlipwayError("KUBECONFIG_INVALID", advice);
  }
  if (!URL.canParse(server)) throw new SlipwayError("KUBECONFIG_INVALID", `server '${server}' is no URL`);
  if (server.startsWith("http:") && config.getCurrentCluster()?.skipTLSVerify !== true) {
    throw new SlipwayError("KUBECONFIG_INVALID", `server '${server}' is plain http; it has to be https`);
  }
  if (source.inCluster === true) refuseOutsideOfPod(config);
}

function refuseOutsideOfPod(config: KubeConfig): void {
  const server = config.getCurrentCluster()?.server ?? "";
  const caFile = config.getCurrentCluster()?.caFile ?? "";
  try {
    readFileSync(caFile);
  } catch (error) {
    throw new SlipwayError("KUBECONFIG_INVALID", `no ServiceAccount here (${caFile}); server ${server}`, {
      cause: error,
    });
  }
}

function describe(source: ClusterSource): string {
  return source.inCluster === true
    ? "in-cluster configuration"
    : `kubeconfig ${source.kubeconfig ?? "by default rule"}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
