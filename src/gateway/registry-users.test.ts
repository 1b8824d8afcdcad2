import assert from "node:assert/strict";
import { test } from "node:test";
import { readRegistryUsers } from "./registry-users.ts";

const secretOf = (values: Record<string, string>) => {
  const entries = Object.entries(values).map(([name, text]) => [name, Buffer.from(text).toString("base64")]);
  return { metadata: { name: "slipway-registry-users" }, data: Object.fromEntries(entries) };
};
const rule = { repository: "team-a/**", actions: ["pull"] };

test("each key is a user with its rules", () => {
  const { users, invalid } = readRegistryUsers(
    secretOf({ ci: JSON.stringify({ password: "a:b", rules: [rule] }), idle: '{"password":"x","rules":[]}' }),
  );
  assert.deepEqual(users.get("ci"), { password: "a:b", rules: [rule] });
  assert.deepEqual(users.get("idle")?.rules, []);
  assert.deepEqual(invalid, []);
});

const cases = [
  { name: "no JSON", value: "password", want: /no JSON object/ },
  { name: "null", value: "null", want: /no JSON object/ },
  { name: "no password", value: { rules: [] }, want: /^password/ },
  { name: "an empty password", value: { password: "", rules: [] }, want: /^password/ },
  { name: "no rules", value: { password: "hidden" }, want: /^rules / },
  { name: "a rule that is null", value: { password: "hidden", rules: [null] }, want: /^rules\[0\]\.repository/ },
  {
    name: "a glob that would match nothing",
    value: { password: "hidden", rules: [rule, { ...rule, repository: "Team-A/**" }] },
    want: /^rules\[1\]\.repository has 'T'/,
  },
  {
    name: "an action that there is not",
    value: { password: "hidden", rules: [{ ...rule, actions: ["fly"] }] },
    want: /^rules\[0\]\.actions/,
  },
] as const;
for (const { name, value, want } of cases) {
  test(`${name} is no user, and what is wrong is told without the password`, () => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const { users, invalid } = readRegistryUsers(secretOf({ ci: text, good: '{"password":"x","rules":[]}' }));
    assert.deepEqual([...users.keys()], ["good"]);
    assert.equal(invalid[0]?.name, "ci");
    assert.match(invalid[0]?.problem ?? "", want);
    assert.doesNotMatch(JSON.stringify(invalid), /hidden/);
  });
}

test("without the Secret there are none", () => {
  assert.equal(readRegistryUsers(undefined).users.size, 0);
});
