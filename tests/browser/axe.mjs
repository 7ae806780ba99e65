// axe as the tests ask it: rules on accessibility, of a whole page or a part of it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** The library, to be evaluated in the page first. */
export const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds within `where`. Frames have pages of their own in the list. */
export async function axe(page, where, what) {
  const found = await page.evaluate(async ({ where, what }) => {
    const options = {
      resultTypes: ["violations"],
      iframes: false,
      // What a page has to have besides, such as landmarks, a mail has not.
      ...(what === "part" ? { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] } : {}),
      rules: { "target-size": { enabled: true } },
    };
    const { violations } = await window.axe.run(where ?? document, options);
    return violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} [${(node.any[0] ?? node.all[0] ?? node.none[0])?.message}]`).join(" | ")}`);
  }, { where, what });
  return found;
}
