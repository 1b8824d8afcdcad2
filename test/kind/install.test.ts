import assert from "node:assert/strict";
import { execute } from "./cluster.ts";
import { kindTest } from "./harness.ts";

const image = "ghcr.io/slipway-dev/slipway:0.1.0";
const baseImage = "node:24-trixie-slim";

kindTest("LocalRegistry default is Ready after one apply, and every node passes", async ({ cluster }) => {
  await cluster.wait("localregistry/default", "condition=Ready");
  const count = (await cluster.nodes()).length;
  await cluster.wait("localregistry/default", `jsonpath={.status.nodes.summary}=${count}/${count}`);
});

kindTest("a dry-run pod of an opted-in namespace comes back with the pull Secret", async ({ cluster }) => {
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "dry-run-" },
    spec: {
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "one",
          image: "docker.io/library/busybox:1.37",
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
        },
      ],
    },
  };
  const args = ["create", "--dry-run=server", "--namespace", "slipway-check", "-f", "-", "-o", "json"];
  const answer = JSON.parse(await cluster.kubectl(args, JSON.stringify(pod)));
  assert.deepEqual(answer.spec.imagePullSecrets, [{ name: "slipway-pull" }]);
});

kindTest("the image adds at most 20 MB to its base, and does not run as root", async () => {
  const size = async (name: string) =>
    Number(await execute("docker", ["image", "inspect", "--format", "{{.Size}}", name]));
  const added = (await size(image)) - (await size(baseImage));
  assert.ok(added > 0 && added <= 20_000_000, `the image adds ${added} bytes`);
  const user = await execute("docker", ["image", "inspect", "--format", "{{.Config.User}}", image]);
  assert.equal(user.trim(), "65532:65532");
});

kindTest("no container of Slipway has restarted", async ({ cluster }) => {
  for (const namespace of ["slipway-system", "slipway-node"]) {
    const { items } = await cluster.get("pods", { namespace });
    assert.ok(items.length > 0, `no pods in ${namespace}`);
    for (const { metadata, status } of items) {
      for (const { name, restartCount } of status.containerStatuses) {
        assert.equal(restartCount, 0, `${namespace}/${metadata.name} ${name} has restarted`);
      }
    }
  }
});
