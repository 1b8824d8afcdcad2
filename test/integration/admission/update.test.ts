import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { resources } from "../../../src/cluster/resource.ts";
import { originalImagesAnnotation } from "../../../src/config/names.ts";
import { type AdmissionEnvironment, eventually, optedIn, startAdmissionEnvironment } from "./environment.ts";
import { createPod, getPod, imagesOf, type Pod, pullSecretsOf } from "./pod.ts";

const tool = "docker.io/library/tool";
let world: AdmissionEnvironment;
let local: string;
before(async () => {
  world = await startAdmissionEnvironment();
  await world.push(tool, "1");
  await world.push(tool, "2");
  local = `${world.host}/${tool}`;
});
after(async () => {
  const faults = await world.faults();
  await world.stop();
  assert.deepEqual(faults, { matchConditions: 0, internal: 0 });
});

type Labels = Readonly<Record<string, string>>;

function manifest(namespace: string, images: { readonly main?: string; readonly data?: string }, labels: Labels = {}) {
  const { main = "tool:1", data } = images;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a", namespace, labels },
    spec: {
      initContainers: [{ name: "init", image: "tool:1" }],
      containers: [{ name: "main", image: main }],
      ...(data === undefined ? {} : { volumes: [{ name: "data", image: { reference: data } }] }),
    },
  };
}

async function succeed(args: readonly string[], input?: unknown): Promise<string> {
  const { code, stdout, stderr } = await world.kubectl(args, input);
  assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
  return `${stdout}${stderr}`;
}

for (const { name, flags } of [
  { name: "client-side", flags: [] },
  { name: "server-side", flags: ["--server-side"] },
]) {
  const namespace = `again-${name}`;
  const apply = (pod: unknown) => succeed(["apply", ...flags, "-f", "-"], pod);
  const diff = (pod: unknown) => world.kubectl(["diff", ...flags, "-f", "-"], pod);

  describe(`a bare Pod that is applied again, ${name}`, () => {
    before(async () => {
      await world.namespace(namespace);
      await apply(manifest(namespace, { data: "tool:1" }));
    });
    const expected = () => [`${local}:1`, `${local}:1`, `${local}:1`];

    test("was rewritten at first", async () => {
      assert.deepEqual(imagesOf(await getPod(world, namespace)), expected());
    });

    test("unchanged: nothing changes, and kubectl diff is empty", async () => {
      const before = await getPod(world, namespace);
      await apply(manifest(namespace, { data: "tool:1" }));
      const now = await getPod(world, namespace);
      assert.deepEqual([imagesOf(now), now.metadata.generation], [expected(), before.metadata.generation]);
      const { code, stdout } = await diff(manifest(namespace, { data: "tool:1" }));
      assert.deepEqual([code, stdout], [0, ""]);
    });

    test("with a changed label: the label changes and nothing else", async () => {
      await apply(manifest(namespace, { data: "tool:1" }, { colour: "blue" }));
      const now = await getPod(world, namespace);
      assert.deepEqual(imagesOf(now), expected());
      const { labels } = now.metadata as { labels?: Labels };
      assert.deepEqual(labels, { colour: "blue" });
    });

    test("with a really new image: it is rewritten like one of a new pod", async () => {
      await apply(manifest(namespace, { main: "tool:2", data: "tool:1" }));
      const now = await getPod(world, namespace);
      assert.deepEqual(imagesOf(now), [`${local}:1`, `${local}:2`, `${local}:1`]);
      const originals = JSON.parse(now.metadata.annotations?.[originalImagesAnnotation] ?? "");
      assert.equal(originals.containers.main, "tool:2");
    });

    test("with a new image that the registry does not hold: it stands as it was sent", async () => {
      await apply(manifest(namespace, { main: "tool:absent", data: "tool:1" }));
      assert.deepEqual(imagesOf(await getPod(world, namespace)), [`${local}:1`, "tool:absent", `${local}:1`]);
    });
  });

  test(`applied again ${name} with the catalogue empty meanwhile, it keeps its references`, async () => {
    const name = `emptied-${flags.length}`;
    const repository = `docker.io/library/${name}`;
    const digest = await world.push(repository, "1");
    await world.namespace(name);
    const pod = manifest(name, { main: `${name}:1`, data: `${name}:1` });
    await apply(pod);
    const expected = [`${local}:1`, `${world.host}/${repository}:1`, `${world.host}/${repository}:1`];
    assert.deepEqual(imagesOf(await getPod(world, name)), expected);
    await world.removeImage(repository, digest, "1");
    await apply(pod);
    assert.deepEqual(imagesOf(await getPod(world, name)), expected);
    assert.deepEqual(await diff(pod), { code: 0, stdout: "", stderr: "" });
  });
}

describe("the webhook and updates", () => {
  test("is not called for those that change no reference, and once for one that does", async () => {
    const { api, signal } = world;
    await world.namespace("counted");
    await createPod(world, "counted", { containers: [{ name: "main", image: "tool:1" }] });
    const calls = () => world.webhookCalls("pod-updates.slipway.dev", "UPDATE");
    const before = await calls();
    for (let index = 0; index < 10; index++) {
      const metadata = { labels: { index: String(index) }, annotations: { index: String(index) } };
      await api.merge(resources.pods, { namespace: "counted", name: "a" }, { metadata }, signal);
    }
    const status = { status: { phase: "Running" } };
    const path = "/api/v1/namespaces/counted/pods/a/status";
    const contentType = "application/merge-patch+json";
    await world.transport.json({ method: "PATCH", path, body: status, contentType, signal });
    assert.equal((await calls()) - before, 0);
    await succeed(["set", "image", "-n", "counted", "pod/a", "main=tool:2"]);
    assert.equal((await calls()) - before, 1);
    assert.deepEqual(imagesOf(await getPod(world, "counted")), [`${local}:2`]);
  });

  for (const { name, planted } of [
    { name: "planted", planted: '{"containers":{"main":"other:9"}}' },
    { name: "unreadable", planted: "{" },
  ]) {
    test(`an ${name} annotation changes no decision: an admin's new image stands`, async () => {
      const { api, signal } = world;
      await world.namespace(`annotation-${name}`);
      const address = { namespace: `annotation-${name}`, name: "a" };
      await createPod(world, address.namespace, { containers: [{ name: "main", image: "tool:1" }] });
      const metadata = { annotations: { [originalImagesAnnotation]: planted } };
      await api.merge(resources.pods, address, { metadata }, signal);
      await succeed(["set", "image", "-n", address.namespace, "pod/a", "main=other:9"]);
      assert.deepEqual(imagesOf(await getPod(world, address.namespace)), ["other:9"]);
    });
  }

  test("a planted annotation on a new pod is replaced by the true one", async () => {
    await world.namespace("planted-new");
    const annotations = { [originalImagesAnnotation]: '{"containers":{"main":"evil:1"}}' };
    const spec = { containers: [{ name: "main", image: "tool:1" }] };
    const pod = await createPod(world, "planted-new", spec, { annotations });
    assert.deepEqual(JSON.parse(pod.metadata.annotations?.[originalImagesAnnotation] ?? ""), {
      containers: { main: "tool:1" },
    });
  });

  test("a pod without our Secret is left alone when it is updated, with a warning", async () => {
    await stranger("late-update");
    const output = await succeed(["set", "image", "-n", "late-update", "pod/a", "main=tool:2"]);
    assert.match(output, /Warning: slipway/);
    const pod = await getPod(world, "late-update");
    assert.deepEqual([imagesOf(pod), pullSecretsOf(pod)], [["tool:2"], []]);
  });
});

/** A pod that was created before its namespace was opted in. */
async function stranger(namespace: string): Promise<void> {
  const { api, signal } = world;
  await world.namespace(namespace, {});
  await createPod(world, namespace, { containers: [{ name: "main", image: "tool:1" }] });
  await api.merge(resources.namespaces, { name: namespace }, { metadata: { labels: optedIn } }, signal);
  const probe = { metadata: { name: "probe", namespace }, spec: { containers: [{ name: "a", image: "tool:1" }] } };
  await eventually("the label to be seen", async () => {
    const pod = (await api.create(resources.pods, probe, { dryRun: true, signal })) as unknown as Pod;
    return imagesOf(pod)[0] === `${local}:1`;
  });
}

describe("kubectl debug", () => {
  /** What kubectl debug sends: the pod as it is, with one more ephemeral container, to the sub-resource. */
  async function debug(namespace: string, name: string, image: string): Promise<Pod> {
    const { transport, signal } = world;
    const path = `/api/v1/namespaces/${namespace}/pods/a/ephemeralcontainers`;
    const body = { spec: { ephemeralContainers: [{ name, image, targetContainerName: "main" }] } };
    const contentType = "application/strategic-merge-patch+json";
    return (await transport.json({ method: "PATCH", path, body, contentType, signal })) as Pod;
  }

  test("twice: each new one is rewritten, the first stays as it is", async () => {
    await world.namespace("debugged");
    await createPod(world, "debugged", { containers: [{ name: "main", image: "tool:1" }] });
    const first = await debug("debugged", "one", "tool:1");
    assert.deepEqual(imagesOf(first), [`${local}:1`, `${local}:1`]);
    const second = await debug("debugged", "two", "tool:2");
    assert.deepEqual(imagesOf(second).toSorted(), [`${local}:1`, `${local}:1`, `${local}:2`]);
  });

  test("by kubectl itself", async () => {
    await world.namespace("debugged-cli");
    await createPod(world, "debugged-cli", { containers: [{ name: "main", image: "tool:1" }] });
    for (const [index, image] of ["tool:1", "tool:absent"].entries()) {
      await succeed(["debug", "-n", "debugged-cli", "a", `--image=${image}`, `--container=d${index}`, "--", "true"]);
    }
    const pod = await getPod(world, "debugged-cli");
    assert.deepEqual(imagesOf(pod), [`${local}:1`, `${local}:1`, "tool:absent"]);
  });

  test("a pod without our Secret gets what was asked for, since the rewritten one could not be pulled", async () => {
    await stranger("late-debug");
    assert.deepEqual(imagesOf(await debug("late-debug", "one", "tool:1")), ["tool:1", "tool:1"]);
  });
});
