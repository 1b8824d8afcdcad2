import type { Login } from "../../../src/credential/login.ts";
import { findDistribution, issueCertificates, startGateway, startStore } from "./harness.ts";
import { createRegistryClient } from "./registry-client.ts";

const program = await findDistribution();

/** For `describe` and `test`: why what needs the real Distribution cannot run here; false where it can. */
export const skip = program === undefined ? "no program `registry` (CNCF Distribution 3.1) on PATH" : false;

/** A gateway in front of the real Distribution with an empty store, and a client of it. */
export type Stage = Awaited<ReturnType<typeof openStage>>;

export async function openStage() {
  const certificates = await issueCertificates();
  const store = await startStore(program ?? "", certificates.tokenCa);
  const gateway = await startGateway({ distributionUrl: store.url, certificates });
  const client = createRegistryClient(gateway);
  return {
    store,
    gateway,
    client,
    /** Headers with a token for these scopes. */
    async bearer(login: Login | undefined, ...scopes: string[]) {
      return { authorization: `Bearer ${await client.token(login, ...scopes)}` };
    },
    async close() {
      client.close();
      await gateway.stop();
      await store.stop();
    },
  };
}
