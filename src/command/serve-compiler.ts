import { validateImageRewrite, validateLocalRegistry, validatePullCredential } from "../config/custom-resource.ts";
import { registryKeysSecretName } from "../config/names.ts";
import { createFileSource } from "../credential/file.ts";
import { createSecretReader } from "../credential/secret-source.ts";
import { createSourceFollower, type SourceFollower } from "../credential/source-follower.ts";
import { type Compiler, type CompilerInput, createCompiler } from "../leader/compiler.ts";
import { highestRevision } from "../namespace/observed.ts";
import { readRegistryKeys } from "../registry/keys.ts";
import { readAdminLogin } from "../registry/secrets.ts";
import type { ServeReplica } from "./serve-replica.ts";

export type ServeCompiler = {
  readonly compiler: Compiler;
  /** Sources of PullCredentials that are files of this pod. */
  readonly files: SourceFollower;
  /** PullCredentials have changed: other files may be sources now. */
  readonly followFiles: () => void;
};

/** The leader's compiler, with everything that it reads: custom resources, source Secrets and files, keys, gateways. */
export function createServeCompiler(
  replica: ServeReplica,
  options: { readonly credentialFiles: string },
): ServeCompiler {
  const { stores, clock, random, log } = replica;
  const files = createSourceFollower({ clock, random, log });
  const readSecret = createSecretReader();
  const credentials = () =>
    stores.pullCredentials
      .list()
      .filter((object) => object.metadata.deletionTimestamp === undefined)
      .map(validatePullCredential);

  const read = (): CompilerInput => {
    const registry = stores.localRegistries.get("default");
    const isThere = registry !== undefined && registry.metadata.deletionTimestamp === undefined;
    return {
      registry: isThere ? validateLocalRegistry(registry) : undefined,
      mode: () => replica.plan().mode,
      ca: replica.clientTrust,
      keys: readRegistryKeys(replica.secret(registryKeysSecretName)) ?? [],
      accepted: replica.feed.generations(),
      externalLogin: (name) => readAdminLogin(replica.secret(name)),
      pullCredentials: credentials(),
      rewrites: stores.imageRewrites.list().map(validateImageRewrite),
      secret: replica.secret,
      readSecret,
      file: (path) => files.latest(`file/${path}`),
    };
  };
  const compiler = createCompiler({
    read,
    observed: () => ({ secret: replica.view.secret(), compiled: replica.compiled() }),
    highestRevision: () => Math.max(...[stores.pullSecrets, stores.pushSecrets ?? []].flat().map(highestRevision)),
    api: replica.api,
    namespace: replica.namespace,
    clock,
    random,
    log,
    metrics: replica.metrics,
  });
  return {
    compiler,
    files,
    followFiles() {
      const paths = credentials()
        .flatMap((credential) => (credential.kind === "valid" ? credential.spec.sources : []))
        .flatMap(({ file }) => (file === undefined ? [] : [file.path]));
      files.follow([...new Set(paths)].map((path) => createFileSource({ folder: options.credentialFiles, path })));
    },
  };
}
