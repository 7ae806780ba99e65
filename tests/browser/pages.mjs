// Every page that somebody gets to see: nothing for axe to find, in light and dark, wide and on a phone; nothing to scroll
// sideways, no text over other text, and whatever takes the focus shows it. Standard input says which pages (see
// `tests/integration/real/axe.rs`): those that the server is asked for, and those that it has answered already. With ACCORD_SCREENSHOTS=FOLDER a picture of each is kept there.

import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { AXE, axe } from "./axe.mjs";
import { SIZES, asked, launch, main, reader, watch } from "./chromium.mjs";
import { overflow, overlaps, unseenFocus } from "./looks.mjs";

const TABS = 2;
const folder = process.env.ACCORD_SCREENSHOTS;

const { base, hosts, language, roles, pages } = await asked();
if (folder) mkdirSync(folder, { recursive: true });

const faults = [];
const seen = new Set();
let looked = 0;

/** The same page or part for two people is looked at once: tokens and the reader's own name say nothing new. */
function isNew(html, { words }) {
  let told = html.replaceAll(/(name="(?:csrf|once|key|next)" value=")[^"]*/g, "$1").replaceAll(/(<span class="avatar"[^>]*>)[^<]*/g, "$1");
  for (const word of words) told = told.replaceAll(word, "");
  const hash = createHash("sha256").update(told).digest("hex");
  return !seen.has(hash) && Boolean(seen.add(hash));
}

/** That something is refused or wrong is what we want to see; and a browser shows no words where a date is asked for. */
function isMeant(what) {
  return /status of [45]\d\d/.test(what) || what.includes("does not conform to the required format");
}

/** What opens over the page, and the other sides of a switch. */
function closed() {
  const popovers = [...document.querySelectorAll("[popover]")].map((element, at) => ({ all: "[popover]", at, within: `#${element.id}`, html: element.outerHTML, element }));
  const sides = [...document.querySelectorAll(".switcher-tab input")].map((input, at) => ({ all: ".switcher-tab input", at, within: ".switcher", html: `${at}${input.closest(".switcher").outerHTML}` }));
  return [...popovers.filter(({ element }) => getComputedStyle(element).position !== "sticky"), ...sides].map(({ element, ...part }) => part);
}

function open({ all, at }) {
  const element = document.querySelectorAll(all)[at];
  if (element.matches("input")) element.checked = true;
  else element.showPopover();
}

async function look(page, watched, { role, path, route, status = 200, html }) {
  if (html && !isNew(html, roles[role])) return;
  const name = `${role} ${path}${status === 200 ? "" : ` (${status})`}`;
  const fault = (where, what) => faults.push(`${name} (${where}): ${what}`);
  await page.setViewportSize(SIZES.wide);
  await page.emulateMedia({ colorScheme: "light" });
  if (html) await page.route("**", (asked) => asked.request().isNavigationRequest() ? asked.fulfill({ status, contentType: "text/html; charset=utf-8", body: html }) : asked.continue());
  const answer = await page.goto(base + path);
  await page.unroute("**");
  const type = answer.headers()["content-type"] ?? "";
  // Who belongs elsewhere is led there, and may have no business there either; what they are told is a page too.
  const isExpected = answer.status() === status || (answer.request().redirectedFrom() && [403, 404].includes(answer.status()));
  if (!isExpected || !type.startsWith("text/html")) return fault("answer", `${answer.status()} ${type}`);
  if (!html && !isNew(await answer.text(), roles[role])) return;
  looked += 1;
  const isFrame = !html && route.endsWith("/frame");
  await page.evaluate(AXE);
  // A mail's frame lies on a page that may be dark when it is light.
  if (isFrame && (await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)) === "rgba(0, 0, 0, 0)") fault("frame", "it has no ground of its own");
  if (!isFrame && (await page.evaluate(() => document.documentElement.lang)) !== language) fault("language", "another one");
  const parts = (await page.evaluate(closed)).filter(({ html }) => isNew(html, roles[role]));
  for (const size of ["wide", "phone"]) {
    await page.setViewportSize(SIZES[size]);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const where = `${size}, ${colorScheme}`;
      if (folder) await page.screenshot({ path: `${folder}/${`${role}${path}`.replaceAll(/[^\w]+/g, "_").slice(0, 80)}_${language}_${size}_${colorScheme}.png`, fullPage: true });
      await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
      for (const found of await axe(page, null, isFrame ? "part" : "all")) fault(where, found);
      for (const part of parts) {
        await page.evaluate(open, part);
        for (const found of await axe(page, part.within, "all")) fault(`${where}, ${part.within}`, found);
        if (part.all === "[popover]") await page.evaluate(({ all, at }) => document.querySelectorAll(all)[at].hidePopover(), part);
      }
      if (colorScheme === "light") {
        for (const found of await page.evaluate(overlaps)) fault(where, `text over text: ${found}`);
        const wider = await page.evaluate(overflow);
        if (wider) fault(where, wider);
      }
    }
  }
  await page.keyboard.press("Tab");
  for (const found of await page.evaluate(unseenFocus)) fault("focus", `is not to be seen on ${found}`);
  for (const what of watched.noted.splice(0)) fault("browser", what);
}

await main(await launch(hosts), async (browser) => {
  for (const [role, { session }] of Object.entries(roles)) {
    const context = await browser.newContext({ ...reader(language), bypassCSP: true });
    const watched = watch(context, base, isMeant);
    if (session) await context.addCookies([{ name: "accord", value: session, url: base, httpOnly: true, sameSite: "Lax" }]);
    const list = pages.filter((page) => page.role === role);
    await Promise.all(Array.from({ length: TABS }, async () => {
      const page = await context.newPage();
      for (let next = list.shift(); next; next = list.shift()) {
        await look(page, watched, next).catch((error) => faults.push(`${role} ${next.path}: ${error.stack}`));
      }
    }));
    await context.close();
  }
  console.log(`${language}: ${pages.length} pages for ${Object.keys(roles).length} roles, ${looked} of them different`);
  if (looked === 0) throw new Error("no page was looked at");
  if (faults.length > 0) throw new Error(`${faults.length} faults\n${faults.join("\n")}`);
});
