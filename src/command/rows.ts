import { stringify } from "yaml";
import { SlipwayError } from "../errors.ts";

/** How the rows of a table are written: `table`, `json` or `yaml`. */
export type RowFormat<Row> = (rows: readonly Row[]) => string;

/**
 * @param columns of the table, in their order; the last one may be long
 * @throws SlipwayError CONFIG_INVALID for another name than table, json and yaml
 */
export function rowFormat<Column extends string>(
  name: string,
  columns: readonly Column[],
): RowFormat<Readonly<Record<Column, string>>> {
  switch (name) {
    case "json":
      return (rows) => `${JSON.stringify(rows, null, 2)}\n`;
    case "yaml":
      return (rows) => stringify(rows);
    case "table":
      return (rows) => renderTable(rows, columns);
    default:
      throw new SlipwayError("CONFIG_INVALID", `--output ${name}: use table, json or yaml`);
  }
}

function renderTable<Column extends string>(
  rows: readonly Readonly<Record<Column, string>>[],
  columns: readonly Column[],
): string {
  const lines = [columns.map((name) => name.toUpperCase()), ...rows.map((row) => columns.map((name) => row[name]))];
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const render = (line: readonly string[]) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return lines.map((line) => `${render(line).trimEnd()}\n`).join("");
}
