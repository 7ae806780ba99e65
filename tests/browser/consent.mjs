// The whole line of a consent in the demonstration: an agent asks, the customer reads the mail, signs in, narrows, grants,
// watches live, sees the agent look, withdraws, takes the receipt. Then the customer's page alone: every field, each look
// with person, time and reason, the stop, the destruction, the certificate. Standard input says where the desk is, and
// into which folder downloads go, for others to read them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { AXE, axe } from "./axe.mjs";
import { SIZES, asked, launch, main, reader, watch } from "./chromium.mjs";
import { demonstration } from "./demonstration.mjs";
import { overflow, overlaps } from "./looks.mjs";

const AGENT = "camille.renaud@lumenor.example";
const ADMINISTRATOR = "helene.vasseur@lumenor.example";
/** What somebody sees of what happens is a second old at most; the machine may be busy with other things. */
const AT_ONCE = 1_000;

const { base, folder } = await asked();
const { signIn, comes, says } = demonstration(base);

/** Somebody at a browser of their own. */
async function somebody(browser, more = {}) {
  const context = await browser.newContext({ ...reader("fr"), ...more });
  return { context, watched: watch(context, base), page: await context.newPage() };
}

/** Tries until it holds. */
async function until(what, holds) {
  for (let tries = 0; tries < 150; tries += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it never holds: ${what}`);
}

/** The customer files a request; gives its reference. */
async function file(page, subject) {
  await page.goto(`${base}/requests/new`);
  await page.selectOption("[name=queue]", { index: 1 });
  await page.fill("[name=subject]", subject);
  await page.fill("[name=text]", "L’écran reste noir après la connexion.");
  await page.click("form .button.primary");
  await page.waitForURL(/\/requests\/ACC-/);
  return new URL(page.url()).pathname.split("/").pop();
}

/** The agent asks about the organisation, having seen what the customer will read; gives the path of the consent. */
async function ask(page, reference) {
  await page.goto(`${base}/tickets/${reference}`);
  await page.click("a[href$='/consents/new']");
  await page.fill("[name=purpose]", "Comprendre pourquoi l’écran reste noir");
  await page.check("[name=subject][value=organisation]");
  for (const component of ["pages", "database"]) await page.check(`[name=components][value=${component}]`);
  await page.check("[name=exports]");
  await page.click("button[formaction*='/preview']");
  await says(page, "Refuser ne change rien");
  await page.click("form[action$='/consents'] button:not([formaction])");
  await page.waitForURL(/\/consents\/[^/?]+(\?|$)/);
  return new URL(page.url()).pathname;
}

/** Grants less than was asked: half an hour instead of one, kept three days. */
async function grantLess(page) {
  assert.equal(await page.locator("input:checked:not([type=hidden])").count(), 0, "nothing is ticked but by the customer");
  await page.click("a[href='#less']");
  for (const component of ["pages", "database"]) await page.check(`#less [name=components][value=${component}]`);
  await page.check("#less [name=level][value=debug]");
  await page.selectOption("#less [name=duration]", "30");
  await page.selectOption("#less [name=retention]", "3");
  await page.check("#less [name=exports]");
  await page.click("#less button");
  await page.waitForURL(/said-consent-granted/);
}

async function download(page, press, name) {
  const [file] = await Promise.all([page.waitForEvent("download"), press()]);
  await file.saveAs(`${folder}/${name}`);
  return file.suggestedFilename();
}

const plain = (text) => text.replace(/\s+/g, " ").trim();

/** Of a download as OTLP: every field of every span and event as one text, and when each event was. */
async function downloaded(name) {
  const [fields, moments] = [[], []];
  const note = ({ attributes }) => {
    for (const { key, value } of attributes) {
      // What is said of a record rather than recorded has words of its own on the page.
      if (!key.startsWith("accord.") && key !== "code.file.path") fields.push(plain(`${key} = ${Object.values(value)[0]}`));
    }
  };
  for (const line of (await readFile(`${folder}/${name}`, "utf8")).trim().split("\n")) {
    for (const span of JSON.parse(line).resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))) {
      note(span);
      for (const event of span.events) {
        note(event);
        moments.push(Number(BigInt(event.timeUnixNano) / 1_000_000n));
      }
    }
  }
  return { fields, moments };
}

/** The same of the page of a capture, and of those that follow it. */
async function shown(page) {
  const [fields, moments] = [[], []];
  for (;;) {
    const here = await page.locator("[data-folds]").evaluate((list) => ({
      fields: [...list.querySelectorAll(".fields-of > div")].map((field) => [...field.children].map((part) => part.textContent).join(" = ")),
      moments: [...list.querySelectorAll(".row-body time")].map((time) => Date.parse(time.dateTime)),
    }));
    fields.push(...here.fields.map(plain));
    moments.push(...here.moments);
    const more = page.locator("form[action$='/readings'] button[data-key=n]");
    if ((await more.count()) === 0) return { fields, moments };
    await more.click();
    await page.locator("[data-folds]").waitFor();
  }
}

/** How often what stands in `wanted` is missing in `there`, each as often as it is wanted. */
function missing(wanted, there) {
  const left = new Map();
  for (const one of there) left.set(one, (left.get(one) ?? 0) + 1);
  return wanted.filter((one) => {
    const count = left.get(one) ?? 0;
    left.set(one, count - 1);
    return count <= 0;
  });
}

/** Nothing for axe to find on a page that is only there after a form was sent, in whatever light and size. */
async function looksRight(page, what) {
  await page.evaluate(AXE);
  for (const size of ["wide", "phone"]) {
    await page.setViewportSize(SIZES[size]);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const where = `${what}, ${size}, ${colorScheme}`;
      await page.screenshot({ path: `${folder}/${what}-${size}-${colorScheme}.png`, fullPage: true });
      assert.deepEqual(await axe(page, null, "all"), [], where);
      if (colorScheme === "light") {
        assert.deepEqual(await page.evaluate(overlaps), [], where);
        assert.deepEqual([await page.evaluate(overflow)].filter(Boolean), [], where);
      }
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  const unfold = page.locator("[data-unfold]");
  if ((await unfold.count()) > 0) {
    await unfold.click();
    for (const size of ["phone", "wide"]) {
      await page.setViewportSize(SIZES[size]);
      // What lies under the head of the page because it is scrolled is not small.
      await page.evaluate(() => scrollTo(0, 0));
      assert.deepEqual(await axe(page, null, "all"), [], `${what}, unfolded, ${size}`);
      assert.deepEqual([await page.evaluate(overflow)].filter(Boolean), [], `${what}, unfolded, ${size}`);
    }
  }
  await page.setViewportSize(SIZES.wide);
}

await main(await launch(), async (browser) => {
  const [customer, agent, administrator] = [await somebody(browser), await somebody(browser), await somebody(browser)];
  await signIn(customer.page, "fr", "claire.lefevre@fonderies-vercors.example");
  await signIn(agent.page, "fr", AGENT);
  await signIn(administrator.page, "fr", ADMINISTRATOR);

  // ---- The whole line ----
  const reference = await file(customer.page, "Écran noir");
  const consent = await ask(agent.page, reference);
  const handle = consent.split("/").pop();

  // The mail, in which one link opens the page, after signing in.
  // Two mails go out about this ticket: that the request arrived, and this one.
  const asks = new RegExp(`${reference}.*vous demande votre accord`);
  await (await comes(administrator.page, "/admin/development-mail", asks, "claire.lefevre@fonderies-vercors.example")).click();
  const link = await administrator.page.locator("pre a[href*='/l/consent/']").first().getAttribute("href");
  const stranger = await somebody(browser);
  await stranger.page.goto(link);
  assert.match(stranger.page.url(), /\/fr\/sign-in\?next=/);
  await stranger.page.fill("[name=address]", "claire.lefevre@fonderies-vercors.example");
  await stranger.page.fill("[name=password]", "accord-demonstration");
  await stranger.page.click("form .button.primary");
  await stranger.page.waitForURL(`**/consents/${handle}*`);
  const page = stranger.page;
  await grantLess(page);
  assert.equal(await page.locator(".consent-banner form").count(), 1, "a banner with the way to stop");

  // Live: what one does in another window is there within a second.
  await page.goto(`${base}/consents/${handle}/records`);
  await page.click("form[data-live] button:not([type])");
  await page.locator("[data-live-pause]").waitFor();
  const other = await stranger.context.newPage();
  await other.goto(`${base}/requests/${reference}`);
  const route = page.locator("#live-records .record", { hasText: "/requests/{reference}" }).first();
  await route.waitFor({ timeout: 10 * AT_ONCE });
  const live = await page.locator("#live-records").innerText();
  assert.match(live, /admis par/, "each record says what let it in");

  // The agent looks, and the customer sees it on the open page.
  await agent.page.goto(`${base}${consent}/records`);
  await agent.page.fill("[name=reason]", "Je compare avec le ticket");
  await agent.page.click("form[action$='/readings'] button.primary");
  const looked = Date.now();
  await page.locator("[data-looks] tr", { hasText: "Je compare avec le ticket" }).waitFor({ timeout: 10 * AT_ONCE });
  const seenAfter = Date.now() - looked;
  console.log(`a look by staff is on the customer's page after ${seenAfter} ms`);
  await says(page, "Camille");

  // Paused, nothing is read, and the recording goes on.
  await page.click("[data-live-pause]");
  await page.locator("form[data-live] button:not([type])").waitFor();
  const before = await page.locator("#live-records .record").count();
  const kept = () => page.locator("[data-looks] .facts dd").first().innerText();
  const keptBefore = await kept();
  await other.goto(`${base}/requests`);
  await until("more is kept", async () => (await kept()) !== keptBefore);
  assert.equal(await page.locator("#live-records .record").count(), before);

  // Both sides see the same records, by trace, and fold them by keyboard.
  await page.reload();
  await page.click("form[action$='/readings'] button.primary");
  await says(page, "/requests/{reference}");
  const summary = page.locator("[data-folds] > li > details > summary").first();
  await summary.focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.locator("[data-folds] > li details").first().getAttribute("open"), null);
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("[data-folds] > li details").first().getAttribute("open"), "");

  // What can be taken along.
  for (const [form, name] of [["otlp", "traces.otlp.jsonl"], ["chrome", "traces.trace.json"], ["folded", "traces.folded.txt"], ["csv", "traces.csv"]]) {
    const suggested = await download(page, () => page.click(`form[action$='/exports'] button[value=${form}]`), name);
    assert.match(suggested, /^accord-grant-/);
  }
  await page.goto(`${base}/consents/${handle}/records`);
  await says(page, "a emporté en OTLP");

  // The pages that only a sent form shows; what is evaluated in them needs a policy that lets it in.
  const looking = await somebody(browser, { bypassCSP: true });
  await looking.context.addCookies(await stranger.context.cookies());
  for (const [what, press] of [["waterfall", "form[action$='/readings'] button.primary"], ["flame", "form[action$='/flame'] button"]]) {
    await looking.page.goto(`${base}/consents/${handle}/records`);
    await looking.page.click(press);
    await looksRight(looking.page, what);
  }
  for (const [what, path] of [["capture", `/consents/${handle}/records`], ["who-looked", "/account/readings"]]) {
    await looking.page.goto(base + path);
    await looksRight(looking.page, what);
  }
  const desk = await somebody(browser, { bypassCSP: true });
  await desk.context.addCookies(await agent.context.cookies());
  await desk.page.goto(`${base}${consent}/records`);
  await desk.page.click("form[action$='/readings'] button.primary");
  await looksRight(desk.page, "desk-waterfall");

  // The page without a script: a button shows what is new.
  const without = await somebody(browser, { javaScriptEnabled: false });
  await without.context.addCookies(await stranger.context.cookies());
  await without.page.goto(`${base}/consents/${handle}/records`);
  assert.equal(await without.page.locator("form[data-live]").isVisible(), false);
  await other.goto(`${base}/account/security`);
  await until("the new record is shown", async () => {
    await without.page.click("form.no-script[action$='/readings'] button");
    return (await without.page.locator("main").innerText()).includes("/account/security");
  });

  // Withdrawn from the banner of any page; what was captured goes at once.
  await other.goto(`${base}/requests`);
  await other.click(".consent-banner form button");
  await other.waitForURL(/said-consent-withdrawn/);
  assert.equal(await other.locator(".consent-banner").count(), 0);
  await download(other, () => other.click("a[href$='/receipt.jsonld']"), "receipt.jsonld");
  await until("the certificate is there", async () => {
    await other.reload();
    return (await other.locator("a[href$='/certificate.jsonld']").count()) > 0;
  });
  await download(other, () => other.click("a[href$='/certificate.jsonld']"), "certificate.jsonld");
  await download(other, () => other.click("a[href$='/evidence.json']"), "evidence.json");

  // ---- The customer's page alone ----
  const asking = Date.now();
  const second = await ask(agent.page, reference);
  const alone = second.split("/").pop();
  const claire = customer.page;
  await claire.goto(`${base}/consents/${alone}`);
  await claire.locator("form[action$='/grant'] button").first().click();
  await claire.waitForURL(/said-consent-granted/);
  await claire.goto(`${base}/requests/${reference}`);
  await until("the agent reads it", async () => {
    await agent.page.goto(`${base}${second}/records`);
    await agent.page.fill("[name=reason]", "Vérifier la durée");
    await agent.page.click("form[action$='/readings'] button.primary");
    return (await agent.page.locator("main").innerText()).includes("/requests/{reference}");
  });
  await claire.goto(`${base}/consents/${alone}/records`);
  await download(claire, () => claire.click("form[action$='/exports'] button[value=otlp]"), "alone.otlp.jsonl");
  await claire.click("form[action$='/readings'] button.primary");
  await claire.click("[data-unfold]");
  for (const field of ["http.method", "GET", "http.route", "/requests/{reference}", "http.status", "200", "sql", "duration_us"]) await says(claire, field);
  // Each look by staff: who, when, why. The list renews itself, so it is read before the pages that follow.
  const look = claire.locator("[data-looks] tr", { hasText: "Vérifier la durée" }).first();
  assert.match(await look.innerText(), /Camille Renaud/);
  const at = Date.parse(await look.locator("time").first().getAttribute("datetime"));
  assert.ok(at >= asking - 1_000 && at <= Date.now() + 1_000, `a look at ${new Date(at).toISOString()}`);
  // Every field that the download holds, and when each event was, is on the page: by a person's own eyes, all of it.
  const [wanted, there] = [await downloaded("alone.otlp.jsonl"), await shown(claire)];
  assert.ok(wanted.fields.length > 30 && wanted.moments.length > 5, `${wanted.fields.length} fields, ${wanted.moments.length} events`);
  assert.deepEqual(missing(wanted.fields, there.fields), [], "fields that the page does not show");
  assert.deepEqual(missing(wanted.moments, there.moments), [], "events whose time the page does not show");
  console.log(`all ${wanted.fields.length} fields of the download are on the page`);
  await claire.goto(`${base}/account/readings`);
  await says(claire, "Vérifier la durée");
  await claire.goto(`${base}/consents/${alone}`);
  await claire.check("[name=keep]");
  await claire.click("form[action$='/withdrawal'] .button.primary");
  await claire.waitForURL(/said-consent-withdrawn/);
  await claire.click("a[href$='/records']");
  await claire.click("button[popovertarget='destroy']");
  await claire.click("form[action$='/destruction'] .danger-fill");
  await claire.waitForURL(/said-consent-destruction/);
  await until("the certificate is there", async () => {
    await claire.reload();
    return (await claire.locator("a[href$='/certificate.jsonld']").count()) > 0;
  });
  await claire.click("a[href$='/receipt']");
  await says(claire, "Attestation de destruction");
  await claire.goto(`${base}/consents/${alone}/records`);
  await says(claire, "Il n’y a plus rien à lire");
  await says(claire, "Vérifier la durée");

  for (const { watched } of [customer, agent, administrator, stranger, without]) watched.quiet("the line of a consent");
  assert.ok(seenAfter <= AT_ONCE, `a look by staff was on the customer's page only after ${seenAfter} ms`);
  console.log("the whole line is told");
});
