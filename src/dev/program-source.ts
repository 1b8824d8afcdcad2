/**
 * Where the programs of the embedded control plane come from when the machine does not have them: one release archive
 * with a pinned checksum for each platform, and a Go module of this project that builds the same version.
 */
export type ProgramSource = {
  /** Part of the folder's name in the cache. */
  readonly name: string;
  readonly version: string;
  readonly programs: readonly string[];
  /** `<node platform>-<node arch>` → archive; a platform that is not listed has only the build. */
  readonly archives: Readonly<Record<string, ProgramArchive>>;
  readonly build: ProgramBuild;
};

export type ProgramArchive = {
  readonly url: string;
  readonly algorithm: "sha256" | "sha512";
  /** Hex. */
  readonly checksum: string;
};

export type ProgramBuild = {
  /** Below scripts/programs: a folder with go.mod and go.sum, which pin every dependency. */
  readonly module: string;
  /** Program → Go package. */
  readonly packages: Readonly<Record<string, string>>;
  readonly linkerFlags: string;
  /** For the announcement; measured on two cores with an empty build cache, the longer on a busy machine. */
  readonly usually: string;
};

const kubernetesVersion = "v1.36.2";
const envtestUrl = "https://github.com/kubernetes-sigs/controller-tools/releases/download";

function envtestArchive(platform: string, checksum: string): ProgramArchive {
  const url = `${envtestUrl}/envtest-${kubernetesVersion}/envtest-${kubernetesVersion}-${platform}.tar.gz`;
  return { url, algorithm: "sha512", checksum };
}

const versionPackages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
const kubernetesLinkerFlags = versionPackages
  .map((name) => `-X ${name}.gitVersion=${kubernetesVersion} -X ${name}.gitMajor=1 -X ${name}.gitMinor=36`)
  .join(" ");

/** @see https://github.com/kubernetes-sigs/controller-tools/blob/main/envtest-releases.yaml (the checksums) */
export const controlPlaneSource: ProgramSource = {
  name: "control-plane",
  version: kubernetesVersion,
  programs: ["kube-apiserver", "etcd", "kubectl"],
  archives: {
    "linux-x64": envtestArchive(
      "linux-amd64",
      "ea743186c8a799f5cf8faf16969f86189d003cb7d130e0ac4b58789f1e5748dcf30ebe91c837a10d5ac415383da3e10b9e64d65785c938c23e739781cfb76f08",
    ),
    "linux-arm64": envtestArchive(
      "linux-arm64",
      "2d72ee985a8e262a3c57dc9f7f0fd891f6a8c7bf7ebaa2db6dc6d8eac8ae28181afe51c1f368b67756cdb40b10de9b205609e1726e5f27f7c6d824dd9c6649ac",
    ),
    "darwin-x64": envtestArchive(
      "darwin-amd64",
      "b4fe9f973cd1992e3880f8b230ed32c0c243b83371591e3e3315f4404df2cdbef8ee94eeb9bb245b7e5feb987d5c4a76c43e0877654ab73f00d7bbc2b9984514",
    ),
    "darwin-arm64": envtestArchive(
      "darwin-arm64",
      "9278f9e5af556b2f1f2d139769c1f0d717c7b4426917fdebdba898bcb725a916e4910d6160886194ff9be9589ea7c5c32c2b8ae0754703874b7c8ba8ddfc41ce",
    ),
  },
  build: {
    module: "control-plane",
    packages: {
      etcd: "go.etcd.io/etcd/server/v3",
      kubectl: "k8s.io/kubernetes/cmd/kubectl",
      "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    },
    linkerFlags: kubernetesLinkerFlags,
    usually: "5 to 9 minutes",
  },
};

const distributionVersion = "3.1.1";
const distributionUrl = "https://github.com/distribution/distribution/releases/download";

function distributionArchive(platform: string, checksum: string): ProgramArchive {
  const url = `${distributionUrl}/v${distributionVersion}/registry_${distributionVersion}_${platform}.tar.gz`;
  return { url, algorithm: "sha256", checksum };
}

/** @see https://github.com/distribution/distribution-library-image/blob/master/Dockerfile (the checksums) */
export const registrySource: ProgramSource = {
  name: "registry",
  version: `v${distributionVersion}`,
  programs: ["registry"],
  archives: {
    "linux-x64": distributionArchive("linux_amd64", "6f330a3ba9ea1d23a6ee189f449d792595240585bb2f159123d76ac594f70dd8"),
    "linux-arm64": distributionArchive(
      "linux_arm64",
      "8167316d2b4a57e10d44f8c8a3c75fea5f3ec1c71872760bb903e5e8e52e9ad6",
    ),
  },
  build: {
    module: "registry",
    packages: { registry: "github.com/distribution/distribution/v3/cmd/registry" },
    linkerFlags: `-X github.com/distribution/distribution/v3/version.version=v${distributionVersion}`,
    usually: "2 to 3 minutes",
  },
};
