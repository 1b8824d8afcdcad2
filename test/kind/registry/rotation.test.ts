import assert from "node:assert/strict";
import { failedPulls, type KindTest, kindTest, optedInNamespace } from "../harness.ts";
import { makeImage } from "../image.ts";
import { openNodePort, readLogin } from "./direct-client.ts";
import { type PodLoop, startPodLoop } from "./pod-loop.ts";
import { pushImage, slipway } from "./slipway.ts";

/** Two namespaces in which pods start all the time; the image is a private one of neither. */
async function startLoad(test: KindTest): Promise<{ readonly load: PodLoop; readonly namespaces: readonly string[] }> {
  const { cluster, t } = test;
  const namespaces = [test.namespaceName("load"), test.namespaceName("load")];
  const local = `slipway-test/${test.word()}:1`;
  await makeImage(t, local, test.word());
  for (const namespace of namespaces) await cluster.apply(optedInNamespace(namespace));
  const image = await pushImage(cluster, local, `docker.io/library/slipway-${test.word()}:1`);
  const load = startPodLoop(cluster, image, namespaces);
  await load.more(2);
  return { load, namespaces };
}

kindTest("the registry's key is rotated while pods start in a loop, and no pull is refused", async (test) => {
  const { cluster, t } = test;
  const client = await openNodePort(t, cluster);
  const { load, namespaces } = await startLoad(test);
  const [first = ""] = namespaces;
  const old = await readLogin(cluster, first);
  const before = load.started();
  try {
    assert.match(await slipway(cluster, ["rotate", "--timeout", "180"]), /have a new login; the old ones are refused/);
    assert.ok(load.started() > before, "no pod was started while the key was rotated");
    await load.more(4);
  } finally {
    await load.stop();
  }
  for (const namespace of namespaces) assert.deepEqual(await failedPulls(cluster, namespace), []);
  const renewed = await readLogin(cluster, first);
  assert.equal(renewed.username, old.username);
  assert.notEqual(renewed.password, old.password);
  await client.token(renewed);
  await assert.rejects(client.token(old), /no token: 401/);
});
