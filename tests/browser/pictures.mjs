// The pictures of README.md, taken anew from the demonstration's desk:
//
//   cargo build --release && npm run --prefix tests/browser pictures
//
// They stand beside this script, in `pictures/`, and are kept small. Another program than target/release/accord is named
// as the argument.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SIZES, launch, main, reader } from "./chromium.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const program = process.argv[2] ?? join(here, "../../target/release/accord");
const folder = join(here, "pictures");
const PASSWORD = "accord-demonstration";

const port = await new Promise((done) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});
const base = `http://127.0.0.1:${port}`;
const data = mkdtempSync(join(tmpdir(), "accord-pictures-"));
const accord = spawn(program, ["serve", "--demo", "--data", data, "--listen", `127.0.0.1:${port}`], { stdio: "ignore" });
const ended = new Promise((done) => accord.on("close", done).on("error", (error) => done(console.error(error.message))));

async function isReady() {
  for (let tries = 0; tries < 600 && accord.exitCode === null; tries += 1) {
    if (await fetch(`${base}/readyz`).then((answer) => answer.ok, () => false)) return;
    await new Promise((later) => setTimeout(later, 100));
  }
  throw new Error(`${program} does not serve`);
}

async function signedIn(browser, language, address, options) {
  const context = await browser.newContext({ ...reader(language), ...options });
  const page = await context.newPage();
  await page.goto(`${base}/${language}/sign-in`);
  await page.fill("[name=address]", address);
  await page.fill("[name=password]", PASSWORD);
  await page.click("form .button.primary");
  if (page.url().endsWith("/undertaking")) {
    await page.check("[name=accepted]");
    await page.click("form .button.primary");
  }
  return page;
}

async function take(page, name) {
  // Who may sign in at the demonstration is said at the top of each page, and is not what these show.
  await page.evaluate(() => document.querySelector(".banner")?.remove());
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

await main(await launch(), async (browser) => {
  mkdirSync(folder, { recursive: true });
  await isReady();

  const size = { width: 1280, height: 800 };
  const agent = await signedIn(browser, "fr", "camille.renaud@lumenor.example", { viewport: size, colorScheme: "light" });
  await agent.goto(`${base}/tickets?view=waiting-for-us`);
  await take(agent, "queue");
  await agent.locator("main a", { hasText: "La sauvegarde de la nuit a échoué" }).first().click();
  await agent.setViewportSize({ ...size, height: 700 });
  await agent.emulateMedia({ colorScheme: "dark" });
  await take(agent, "ticket");

  const customer = await signedIn(browser, "fr", "claire.lefevre@fonderies-vercors.example", { viewport: { ...SIZES.phone, height: 720 }, colorScheme: "light", deviceScaleFactor: 2 });
  await customer.goto(`${base}/requests`);
  await customer.locator("main [data-row] a").first().click();
  await take(customer, "customer");
});
accord.kill();
await ended;
rmSync(data, { recursive: true, force: true });
