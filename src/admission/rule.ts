import type { RewriteMatch, RewriteRule } from "../config/image-rewrite.ts";
import { compileGlob, type Glob, globFault } from "../reference/glob.ts";
import { type RegistryPattern, readRegistryPattern } from "../reference/registry-pattern.ts";
import { readTarget, type TargetText } from "../reference/target.ts";

/** One rule of an ImageRewrite, read once. */
export type Rule = {
  readonly match: OriginPattern;
  readonly exclude: readonly OriginPattern[];
  readonly target: TargetText;
  readonly keepHost: boolean;
};

/** Which origins are meant; no `repository` means every path. */
export type OriginPattern = {
  readonly registry: RegistryPattern;
  readonly repository: Glob | undefined;
};

/**
 * Reads one rule as it came from the API: the types say what it should be, nothing is taken for granted.
 *
 * @returns the rule, or what is wrong with it, naming the field
 */
export function readRule(rule: RewriteRule): Rule | string {
  const { match, exclude, target, keepHost } = Object(rule) as Partial<Record<keyof RewriteRule, unknown>>;
  if (typeof target !== "string") return "target is missing; it is 'local' or host[:port][/prefix]";
  if (keepHost !== undefined && typeof keepHost !== "boolean") return "keepHost is neither true nor false";
  const readTo = readTarget(target);
  if (typeof readTo === "string") return `target: the target ${readTo}`;
  if (readTo.kind === "local" && keepHost === false) return "keepHost: false is not for the target 'local'";
  const readMatch = readOrigin(match ?? {}, "match");
  if (typeof readMatch === "string") return readMatch;
  const readExclude = readExcludes(exclude ?? []);
  if (typeof readExclude === "string") return readExclude;
  return { match: readMatch, exclude: readExclude, target: readTo, keepHost: keepHost !== false };
}

function readExcludes(list: unknown): OriginPattern[] | string {
  if (!Array.isArray(list)) return "exclude is not a list";
  const patterns: OriginPattern[] = [];
  for (const [index, entry] of list.entries()) {
    const pattern = readOrigin(entry, `exclude[${index}]`);
    if (typeof pattern === "string") return pattern;
    if (pattern.registry.kind === "any" && pattern.repository === undefined) {
      return `exclude[${index}] names neither registry nor repository and would exclude everything`;
    }
    patterns.push(pattern);
  }
  return patterns;
}

function readOrigin(value: unknown, field: string): OriginPattern | string {
  if (typeof value !== "object" || value === null) return `${field} is not an object`;
  const { registry, repository } = value as Partial<Record<keyof RewriteMatch, unknown>>;
  if (registry !== undefined && typeof registry !== "string") return `${field}.registry is not a string`;
  if (repository !== undefined && typeof repository !== "string") return `${field}.repository is not a string`;
  const pattern = readRegistryPattern(registry);
  if (typeof pattern === "string") return `${field}.registry: the registry ${pattern}`;
  if (repository === undefined) return { registry: pattern, repository: undefined };
  const fault = globFault(repository);
  if (fault !== undefined) return `${field}.repository: the repository glob ${fault}`;
  return { registry: pattern, repository: compileGlob(repository) };
}
