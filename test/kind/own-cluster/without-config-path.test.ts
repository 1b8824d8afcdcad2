import { after, before } from "node:test";
import { type Cluster, openCluster } from "../cluster.ts";
import { proveAbsence } from "./api-away.ts";
import { makeClusterWithoutConfigPath, removeCluster } from "./cluster-without-config-path.ts";
import { proveDetection } from "./detection.ts";
import { proveIsolation } from "./isolation.ts";
import { proveMemory } from "./memory.ts";
import { proveReplacement } from "./replaced.ts";

// A cluster of its own, made and used while the other files run on the suite's: config_path is read at containerd's
// start, Auto chooses for all nodes, and who replaces the registry or stops the API server does so for every test.
const name = `${openCluster().name}-bare`;
let cluster: Cluster;
before(async () => {
  cluster = await makeClusterWithoutConfigPath(name);
});
after(() => removeCluster(name));
const open = () => cluster;

proveDetection(open);
proveIsolation(open);
proveMemory(open);
proveReplacement(open);
proveAbsence(open);
