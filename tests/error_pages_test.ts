// docs/errors.md has every message that a user can cause, and none that is not there.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as errors from "../machine/errors.ts";
import { errorMessages } from "./support/messages.ts";
import { page, ROOT } from "./support/pages.ts";

const text = page("docs/errors.md");
/** First columns of all tables. */
const rows = [...text.matchAll(/^\| `(.+?)` \| /gm)].map((match) => match[1]!);

/** Messages that have words of their own; others only put a place before another message. */
const messages = errorMessages(ROOT).filter(({ message }) => /(?:[a-z].*){4}/i.test(message));

const patterns = rows.map((row) => ({
  row,
  fits: new RegExp(`^${row.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`, "s"),
}));

test("the page has every message that a user can cause", () => {
  assert.ok(messages.length > 150);
  const without = messages.filter(({ message }) => !patterns.some(({ fits }) => fits.test(message)));
  assert.deepEqual(without, [], "add a row to docs/errors.md for each");
});

test("the page has no message that is not there", () => {
  const classes = Object.keys(errors),
    fromElsewhere = ["…, at …: …", "-m …: this computer has not", "internal error; please report"];
  const all = messages.map(({ message }) => message);
  const stale = patterns.filter(({ row, fits }) =>
    !classes.includes(row) && row !== "TapError" && !all.some((message) => fits.test(message)) &&
    !fromElsewhere.some((start) => row.startsWith(start))
  );
  assert.deepEqual(stale.map(({ row }) => row), []);
});

test("the page names every class of errors", () => {
  for (const name of Object.keys(errors).filter((name) => name.endsWith("Error"))) assert.ok(rows.includes(name), name);
});
