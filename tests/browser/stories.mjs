// What people do, from end to end, with the demonstration's desk: somebody files a request without an account, follows
// the link in the mail, signs in; an agent answers and closes; the answer is read. In both languages, with and without
// JavaScript. Standard input says where the desk is.

import assert from "node:assert/strict";
import { asked, launch, main, reader, watch } from "./chromium.mjs";
import { demonstration } from "./demonstration.mjs";

const AGENT = "camille.renaud@lumenor.example";
const ADMINISTRATOR = "helene.vasseur@lumenor.example";
const WORDS = {
  fr: {
    // A stranger's request in the name of an address is acknowledged once a day, so each story has its own customer.
    customers: { on: ["Claire Lefèvre", "claire.lefevre@fonderies-vercors.example"], off: ["Bruno Fischer", "bruno.fischer@sainte-odile.example"] },
    mail: "Votre demande à",
    text: "Bonjour,\n\nl’édition des bulletins s’arrête à la page 3 : « œuvre » manque.",
    answer: "Bonjour, c’est corrigé : relancez l’édition.",
    thanks: "Nous avons votre demande",
    closed: "Close",
  },
  en: {
    customers: { on: ["Alice Finch", "alice.finch@harbour-finch.example"], off: ["Owen Price", "owen.price@harbour-finch.example"] },
    mail: "Your request to",
    text: "Hello,\n\nprinting payslips stops at page 3 & the “total” is <missing>.",
    answer: "Hello, this is mended: please print again.",
    thanks: "We have your request",
    closed: "Closed",
  },
};

const { base } = await asked();
const { signIn, comes, says } = demonstration(base);

async function file(page, language, [name, address], subject) {
  const words = WORDS[language];
  await page.goto(`${base}/${language}`);
  await page.locator(`main a[href$="/requests/new"]`).first().click();
  await page.fill("[name=name]", name);
  await page.fill("[name=email]", address);
  await page.selectOption("[name=queue]", { index: 1 });
  await page.fill("[name=text]", words.text);
  // Blanks satisfy the browser, and not Accord.
  await page.fill("[name=subject]", "   ");
  const [refused] = await Promise.all([page.waitForResponse((answer) => answer.request().method() === "POST"), page.click("form .button.primary")]);
  assert.equal(refused.status(), 422);
  await page.waitForSelector("#subject-error");
  assert.equal(await page.getAttribute("[name=subject]", "aria-invalid"), "true");
  assert.ok((await page.getAttribute("[name=subject]", "aria-describedby")).includes("subject-error"));
  assert.equal(await page.locator("[aria-invalid=true]").count(), 1, "only what is wrong is marked");
  assert.equal(await page.inputValue("[name=name]"), name);
  assert.equal(await page.inputValue("[name=email]"), address);
  assert.equal((await page.inputValue("[name=text]")).replaceAll("\r", ""), words.text);
  assert.notEqual(await page.inputValue("[name=queue]"), "");

  await page.fill("[name=subject]", subject);
  await page.setInputFiles("[name=files]", { name: "édition n° 3.txt", mimeType: "text/plain", buffer: Buffer.from("page 3\n") });
  await page.click("form .button.primary");
  await page.waitForURL("**/requests/thanks*");
  assert.equal(await page.innerText("h1"), words.thanks);
}

async function story(browser, language, javaScriptEnabled) {
  const words = WORDS[language];
  const who = words.customers[javaScriptEnabled ? "on" : "off"];
  const name = `${language}, JavaScript ${javaScriptEnabled ? "on" : "off"}`;
  const subject = `${language === "fr" ? "Bulletins à l’arrêt" : "Payslips stop"} ${javaScriptEnabled ? "A" : "B"}`;
  const watched = [];
  const somebody = async () => {
    const context = await browser.newContext({ ...reader(language), javaScriptEnabled });
    // That a form is wrong is what we want to see.
    watched.push(watch(context, base, (what) => what.includes("status of 422")));
    return context.newPage();
  };
  const [visitor, administrator, customer, agent] = [await somebody(), await somebody(), await somebody(), await somebody()];

  await file(visitor, language, who, subject);
  assert.deepEqual(await visitor.context().cookies(), [], "nobody gets a cookie before signing in (E4)");

  await signIn(administrator, language, ADMINISTRATOR);
  await (await comes(administrator, "/admin/development-mail", words.mail, who[1])).click();
  const link = await administrator.locator("pre a[href*='/l/ticket/']").first().getAttribute("href");
  await visitor.goto(link);
  await says(visitor, words.text);
  await says(visitor, "édition n° 3.txt");
  assert.ok((await visitor.locator("h1").innerText()).includes(subject));
  // The mailbox stands behind the request from here on.
  await visitor.locator("form[action$='/confirmation'] button").click();
  assert.equal(await visitor.locator("form[action$='/confirmation']").count(), 0);

  await signIn(customer, language, who[1]);
  await (await comes(customer, "/requests", subject)).click();
  await says(customer, words.text);

  await signIn(agent, language, AGENT);
  await (await comes(agent, "/tickets?view=unassigned", subject)).click();
  await says(agent, words.text);
  await agent.fill("[name=text]", words.answer);
  await agent.click("form .button[name=status][value=closed]:not([data-key])");
  await says(agent, words.answer);
  assert.ok((await agent.locator(".page-head .status.tone-done").count()) > 0, "the ticket is closed");
  assert.equal(await agent.goto(`${base}/tickets?view=unassigned`).then((answer) => answer.status()), 200);
  assert.equal(await agent.locator("main a", { hasText: subject }).count(), 0, "nothing waits any more");

  await customer.reload();
  await says(customer, words.answer);
  await says(customer, words.closed);
  await visitor.goto(link);
  await says(visitor, words.answer);

  for (const one of watched) one.quiet(name);
  for (const page of [visitor, administrator, customer, agent]) await page.context().close();
  console.log(`${name}: told`);
}

await main(await launch(), async (browser) => {
  for (const language of ["fr", "en"]) for (const script of [true, false]) await story(browser, language, script);
});
