import { resources } from "../../../src/cluster/resource.ts";
import { type AdmissionEnvironment, optedIn } from "../../integration/admission/environment.ts";

const rounds = 10;
/** Namespaces of one round, whose first pods are created at the same moment. */
export const namespacesAtOnce = 20;

/**
 * The first pod of namespaces that did not exist a moment ago: nothing lies between the namespace, its account and the
 * pod but the answers of the API server.
 *
 * @returns milliseconds of each pod's creation, through the API server
 */
export async function measureFirstPods({ api, signal }: AdmissionEnvironment): Promise<readonly number[]> {
  const durations: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const names = Array.from({ length: namespacesAtOnce }, (_, index) => `first-${round}-${index}`);
    await Promise.all(
      names.map(async (name) => {
        await api.create(resources.namespaces, { metadata: { name, labels: optedIn } }, { signal });
        const account = { metadata: { namespace: name, name: "default" } };
        await api.apply(resources.serviceAccounts, account, { force: true, signal });
      }),
    );
    await Promise.all(
      names.map(async (namespace) => {
        const beganMs = performance.now();
        const spec = { containers: [{ name: "a", image: "registry.example.com/team/app:1" }] };
        await api.create(resources.pods, { metadata: { namespace, name: "first" }, spec } as never, { signal });
        durations.push(performance.now() - beganMs);
      }),
    );
  }
  return durations;
}
