import { stringify } from "yaml";
import { distributionPort, registryHost } from "../config/names.ts";
import { tokenIssuer, tokenService } from "./token-claims.ts";

/** Where Distribution keeps its content. */
export type DistributionStorage =
  | { readonly kind: "filesystem"; readonly rootDirectory: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly region: string;
      readonly regionEndpoint?: string | undefined;
      readonly rootDirectory?: string | undefined;
      readonly forcePathStyle?: boolean | undefined;
      /** Absent: they come by REGISTRY_STORAGE_S3_ACCESSKEY and REGISTRY_STORAGE_S3_SECRETKEY. */
      readonly accessKey?: string | undefined;
      readonly secretKey?: string | undefined;
    };

export type DistributionConfigOptions = {
  readonly storage: DistributionStorage;
  /** Shared by all replicas: it signs the state of uploads. Absent: it comes by REGISTRY_HTTP_SECRET. */
  readonly httpSecret?: string | undefined;
  /** Where the file with the token CA bundle (PEM) lies. */
  readonly tokenAuthorityPath: string;
  /** `127.0.0.1:5000` unless given: the gateway stands beside it. */
  readonly address?: string | undefined;
};

/**
 * The configuration of CNCF Distribution 3.1.1 behind a gateway. No `cache` section (a cached blob descriptor survives
 * garbage collection), no redirects (nodes cannot resolve the object store), tokens of the gateway only. Tracing is off
 * by the environment of its container: OTEL_TRACES_EXPORTER=none.
 *
 * @returns YAML; the same options give the same text
 * @see https://distribution.github.io/distribution/about/configuration/
 */
export function distributionConfig(options: DistributionConfigOptions): string {
  const { httpSecret } = options;
  return stringify({
    version: 0.1,
    log: { accesslog: { disabled: true }, level: "warn", formatter: "json" },
    storage: {
      ...driver(options.storage),
      delete: { enabled: true },
      redirect: { disable: true },
      maintenance: { uploadpurging: { enabled: true, age: "48h", interval: "6h", dryrun: false } },
    },
    http: {
      addr: options.address ?? `127.0.0.1:${distributionPort}`,
      ...(httpSecret === undefined ? {} : { secret: httpSecret }),
      headers: { "X-Content-Type-Options": ["nosniff"] },
      // Without it a stop cuts every transfer. As long as the gateway in front gives them, see pod-template.ts.
      draintimeout: options.storage.kind === "s3" ? "20s" : "1s",
    },
    auth: {
      token: {
        // Demanded, and not used: autoredirect wins.
        realm: `https://${registryHost}/auth/token`,
        // The realm is made from the Host that the client used: it can reach that by definition.
        autoredirect: true,
        autoredirectpath: "/auth/token",
        service: tokenService,
        issuer: tokenIssuer,
        rootcertbundle: options.tokenAuthorityPath,
        signingalgorithms: ["RS256"],
      },
    },
    health: { storagedriver: { enabled: false } },
  });
}

function driver(storage: DistributionStorage): Record<string, unknown> {
  if (storage.kind === "filesystem") return { filesystem: { rootdirectory: storage.rootDirectory } };
  const optional = {
    regionendpoint: storage.regionEndpoint,
    rootdirectory: storage.rootDirectory,
    forcepathstyle: storage.forcePathStyle,
    accesskey: storage.accessKey,
    secretkey: storage.secretKey,
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return { s3: { bucket: storage.bucket, region: storage.region, ...Object.fromEntries(given) } };
}
