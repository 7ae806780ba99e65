// What the scripts do at the demonstration's desk: signing in, waiting for what is done in the background, reading.

import assert from "node:assert/strict";

const PASSWORD = "accord-demonstration";
/** How often a page is asked for again until the mail or the ticket is there. */
const TRIES = 100;

/** The same for the desk at `base`. */
export function demonstration(base) {
  async function signIn(page, language, address) {
    await page.goto(`${base}/${language}/sign-in`);
    await page.fill("[name=address]", address);
    await page.fill("[name=password]", PASSWORD);
    await page.click("form .button.primary");
    if (new URL(page.url()).pathname === "/undertaking") {
      await page.check("[name=accepted]");
      await page.click("form .button.primary");
    }
    assert.ok(!page.url().includes("/sign-in"), `${address} is signed in`);
    // Everybody chooses their language in their own menu.
    if ((await page.getAttribute("html", "lang")) !== language) {
      await page.click("[popovertarget=person-menu]");
      await page.click(`#person-menu button[lang=${language}]`);
      assert.equal(await page.getAttribute("html", "lang"), language);
    }
  }

  /** Asks for a page until it has a link that says `text` (or matches it), in a row that says `beside` too. */
  async function comes(page, path, text, beside = "") {
    for (let tries = 0; tries < TRIES; tries += 1) {
      await page.goto(base + path);
      const link = page.locator("main tr, main li", { hasText: beside }).getByRole("link", { name: text }).first();
      if ((await link.count()) > 0) return link;
      await page.waitForTimeout(100);
    }
    throw new Error(`${path} never shows ${text}`);
  }

  async function says(page, text) {
    const shown = (await page.locator("main").innerText()).replaceAll(/\s+/g, " ");
    assert.ok(shown.includes(text.replaceAll(/\s+/g, " ")), `${page.url()} does not say “${text}”, but: ${shown.slice(0, 600)}`);
  }

  return { signIn, comes, says };
}
