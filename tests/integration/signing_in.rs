//! Signing in, registration, set-up and one's account, as a person at a browser sees them.

use std::collections::BTreeSet;

use accord::db::types::PersonId;
use accord::error::Result;
use accord::i18n::Locale;
use accord::people::notices::{self, Letter, Notice};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::{api_tokens, passwords, setup, staff};
use accord::queue;
use accord::secret::Secret;
use accord::teams::queues::{self, QueueKind};
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use chrono::TimeDelta;

use crate::support::TestApp;
use crate::support::app::BASE_URL;
use crate::support::browser::{Answered, Browser};
use crate::support::cast::Cast;
use crate::support::desk::Desk;

const PASSWORD: &str = "le chat dort sur le toit";
const NEW_PASSWORD: &str = "un autre mot, plus long";

/// The cast, of whom Claire and Anne have passwords.
fn with_passwords() -> (TestApp, Cast) {
    let (app, cast) = TestApp::with_cast();
    for person in [cast.claire, cast.anne] {
        give_password(&app, person);
    }
    (app, cast)
}

fn give_password(app: &TestApp, person: PersonId) {
    let (hash, now) = (passwords::hash(&Secret::new(PASSWORD.to_owned())).unwrap(), app.now());
    app.write(move |db| passwords::set(db, person, &hash, now));
}

/// The letters that were asked for, with their links.
fn letters(app: &TestApp) -> Vec<Letter> {
    let now = app.now();
    app.write(move |db| {
        let mut letters = Vec::new();
        while let Some(id) = queue::due(db, now)?.first().copied() {
            let Some(job) = queue::claim(db, id, "test", now)? else { continue };
            if job.name == notices::JOB {
                let notice: Notice = serde_json::from_str(&job.payload).unwrap();
                letters.extend(notices::prepare(db, &notice, now)?);
            }
            queue::finish(db, &job)?;
        }
        Ok(letters)
    })
}

/// The path of the link in the only letter that was asked for.
fn link(app: &TestApp) -> String {
    let mut letters = letters(app);
    assert_eq!(letters.len(), 1);
    letters.remove(0).path.unwrap()
}

fn fields<'a>(address: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("address", address), ("password", password), ("next", "")]
}

async fn sign_in(browser: &Browser, address: &str) {
    browser.post("/fr/sign-in", &fields(address, PASSWORD)).await.assert_status(303);
}

/// The body without what differs from one answer to the next: the form's token.
fn without_token(answer: &Answered, typed: &str) -> String {
    let text = answer.text().replace(typed, "…");
    let Some((before, rest)) = text.split_once("name=\"csrf\" value=\"") else { return text };
    format!("{before}{}", rest.split_once('"').unwrap().1)
}

#[actix_web::test]
async fn u_01_adv_29_nobody_learns_whether_an_address_is_known() {
    let (app, cast) = with_passwords();
    let (disabled, by, now) = (cast.paul, cast.anne, app.now());
    give_password(&app, disabled);
    app.write(move |db| person::disable(db, disabled, by, now));
    let browser = app.browser().await;
    let mut bodies = BTreeSet::new();
    let mut headers = BTreeSet::new();
    for typed in ["claire@arnaud.example", "nobody@arnaud.example", "paul@arnaud.example", "ivan@moreau.example"] {
        let answer = browser.post("/fr/sign-in", &fields(typed, "certainly wrong")).await;
        answer.assert_status(422).assert_says("pas correct");
        bodies.insert(without_token(&answer, typed));
        headers.insert(format!("{:?}", answer.headers));
    }
    assert_eq!((bodies.len(), headers.len()), (1, 1));
    assert!(!browser.has_cookies());
}

#[actix_web::test]
async fn u_02_reset_link_and_registration_answer_alike_for_strangers() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    for (path, sent) in [("/fr/password", "/fr/password/sent"), ("/fr/sign-in/link", "/fr/sign-in/sent")] {
        for typed in ["claire@arnaud.example", "nobody@arnaud.example"] {
            let form = if path.ends_with("link") { fields(typed, "") } else { vec![("address", typed)] };
            let answer = browser.post(path, &form).await;
            assert_eq!((answer.status.as_u16(), answer.location()), (303, sent), "{typed}");
        }
        browser.get(sent).await.assert_status(200).assert_says("messagerie");
    }
    for typed in ["claire@arnaud.example", "nobody@arnaud.example"] {
        let answer = browser.post("/fr/registration", &registration(typed)).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, "/fr/registration/sent"), "{typed}");
    }
    assert!(!browser.has_cookies());
}

#[actix_web::test]
async fn c_01_the_session_cookie_is_strict_and_lasts_only_as_asked() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    browser.get("/fr/sign-in").await.assert_status(200);
    assert!(!browser.has_cookies());
    let answer = browser.post("/fr/sign-in", &fields("claire@arnaud.example", PASSWORD)).await;
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Domain"), "{cookie}");
    browser.get("/account").await.assert_status(200).assert_says("Lefèvre");
    let other = app.browser().await;
    let mut form = fields("claire@arnaud.example", PASSWORD);
    form.push(("remember", "true"));
    let answer = other.post("/fr/sign-in", &form).await;
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=2592000"));
}

#[actix_web::test]
async fn c_01_over_https_the_cookie_is_of_this_host_alone() {
    let app = TestApp::with_settings("[http]\nbase_url = \"https://desk.example\"\n");
    let cookie = accord::web::signed_in::cookie_for(&app.app, "token", None).to_string();
    // The settings of the tests set the address by a variable, which wins; what decides is the scheme.
    assert_eq!(app.app.config.http.is_https(), cookie.contains("__Host-"));
    assert_eq!(app.app.config.http.is_https(), cookie.contains("Secure"));
}

#[actix_web::test]
async fn c_01_adv_30_a_forged_form_changes_nothing() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.claire).await;
    let token = browser.csrf();
    let before = app.read(|db| person::by_id(db, cast.claire)).language;
    let form = |token: &str| vec![("language".to_owned(), "en".to_owned()), ("csrf".to_owned(), token.to_owned())];
    let request = |origin: Option<&str>, site: Option<&str>, token: &str| {
        let mut request = TestRequest::default().method(Method::POST).uri("/account/language").set_form(form(token));
        if let Some(origin) = origin {
            request = request.insert_header((header::ORIGIN, origin));
        }
        if let Some(site) = site {
            request = request.insert_header(("sec-fetch-site", site));
        }
        request
    };
    let stranger = app.browser().await.csrf();
    let forged = [
        request(None, None, &token),
        request(Some("null"), None, &token),
        request(Some("https://evil.example"), None, &token),
        request(Some("http://sub.desk.example"), None, &token),
        request(Some("http://desk.example.evil.example"), None, &token),
        request(None, Some("cross-site"), &token),
        request(None, Some("same-site"), &token),
        request(Some(BASE_URL), None, ""),
        request(Some(BASE_URL), None, &stranger),
        request(Some(BASE_URL), None, &token[..20]),
    ];
    for request in forged {
        browser.send(request).await.assert_status(403);
    }
    let text = TestRequest::default()
        .method(Method::POST)
        .uri("/account/language")
        .insert_header((header::ORIGIN, BASE_URL))
        .insert_header((header::CONTENT_TYPE, "text/plain"))
        .set_payload(format!("language=en&csrf={token}"));
    assert!(browser.send(text).await.status.is_client_error());
    assert_eq!(app.read(|db| person::by_id(db, cast.claire)).language, before);
    browser.post("/account/language", &[("language", "en")]).await.assert_status(303);
    assert_ne!(app.read(|db| person::by_id(db, cast.claire)).language, before);
}

#[actix_web::test]
async fn c_03_signing_in_and_out_cannot_be_forged_and_changes_the_token() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    let before = browser.csrf();
    let mut form = fields("claire@arnaud.example", PASSWORD);
    form.push(("csrf", &before));
    let forged = TestRequest::default()
        .method(Method::POST)
        .uri("/fr/sign-in")
        .insert_header((header::ORIGIN, "https://evil.example"))
        .set_form(form);
    browser.send(forged).await.assert_status(403);
    assert!(!browser.has_cookies());
    sign_in(&browser, "claire@arnaud.example").await;
    assert_ne!(browser.csrf(), before);
    let forged = TestRequest::default()
        .method(Method::POST)
        .uri("/sign-out")
        .insert_header((header::ORIGIN, "https://evil.example"))
        .set_form([("csrf", browser.csrf())]);
    browser.send(forged).await.assert_status(403);
    browser.get("/account").await.assert_status(200);
    browser.get("/sign-out").await.assert_status(405);
    browser.post("/sign-out", &[]).await.assert_status(303);
    assert!(!browser.has_cookies());
    assert_eq!(browser.get("/account").await.location(), "/fr/sign-in?next=%2Faccount");
}

#[actix_web::test]
async fn u_04_an_id_set_beforehand_is_worth_nothing() {
    let (app, cast) = with_passwords();
    // The attacker signs in, and plants the session in the victim's browser.
    let attacker = app.signed_in(cast.zoe).await;
    let planted = attacker.session().unwrap();
    let victim = app.browser().await;
    victim.set_session(&planted);
    sign_in(&victim, "claire@arnaud.example").await;
    assert_ne!(victim.session().unwrap(), planted);
    victim.get("/account").await.assert_says("Lefèvre");
    assert_eq!(attacker.get("/account").await.status.as_u16(), 303, "the planted session is over");
    // One that never was a session does no harm either.
    let other = app.browser().await;
    other.set_session("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    sign_in(&other, "claire@arnaud.example").await;
    other.get("/account").await.assert_status(200);
}

#[actix_web::test]
async fn u_04_signing_out_and_disabling_end_a_session_at_once() {
    let (app, cast) = with_passwords();
    let browser = app.browser().await;
    sign_in(&browser, "claire@arnaud.example").await;
    let kept = browser.session().unwrap();
    browser.post("/sign-out", &[]).await.assert_status(303);
    browser.set_session(&kept);
    browser.get("/account").await.assert_status(303);
    let browser = app.browser().await;
    sign_in(&browser, "claire@arnaud.example").await;
    let (claire, anne, now) = (cast.claire, cast.anne, app.now());
    app.write(move |db| person::disable(db, claire, anne, now));
    browser.get("/account").await.assert_status(303);
}

#[actix_web::test]
async fn u_06_guessing_is_slowed_and_says_how_long() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let answer = browser.post("/fr/sign-in", &fields("claire@arnaud.example", "guess")).await;
        if answer.status.as_u16() == 429 {
            waits.push(answer.header("retry-after").unwrap().parse::<u64>().unwrap());
            app.clock.advance(TimeDelta::seconds(*waits.last().unwrap() as i64));
        }
    }
    assert!(!waits.is_empty() && waits.iter().all(|wait| (1..=30).contains(wait)), "{waits:?}");
    app.clock.advance(TimeDelta::seconds(30));
    sign_in(&browser, "claire@arnaud.example").await;
}

#[actix_web::test]
async fn r_01_after_signing_in_one_is_where_one_was_going_if_that_is_here() {
    let (app, _) = with_passwords();
    for (wanted, found) in [
        ("/account/security", "/account/security"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
    ] {
        let browser = app.browser().await;
        let page = format!("/fr/sign-in?next={}", wanted.replace('/', "%2F"));
        browser.get(&page).await.assert_says(&format!("name=\"next\" value=\"{found}\""));
        let form = [("address", "claire@arnaud.example"), ("password", PASSWORD), ("next", wanted)];
        assert_eq!(browser.post("/fr/sign-in", &form).await.location(), found);
        assert_eq!(browser.get(&page).await.location(), found, "signed in already");
    }
}

#[actix_web::test]
async fn r_02_links_in_letters_are_paths_below_the_configured_address() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    for spoofed in [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")] {
        let token = browser.csrf();
        let request = TestRequest::default()
            .method(Method::POST)
            .uri("/fr/password")
            .insert_header((header::ORIGIN, BASE_URL))
            .insert_header(spoofed)
            .set_form([("address", "claire@arnaud.example"), ("csrf", token.as_str())]);
        browser.send(request).await.assert_status(303);
        assert!(link(&app).starts_with("/l/password/"));
    }
}

#[actix_web::test]
async fn r_03_pages_behind_links_tell_nobody_their_address() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    browser.post("/fr/password", &[("address", "claire@arnaud.example")]).await;
    let page = browser.get(&link(&app)).await;
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(!page.text().contains("http"), "something from elsewhere: {}", page.text());
    assert!(!browser.has_cookies());
}

#[actix_web::test]
async fn c_02_adv_09_looking_at_a_link_does_nothing_and_using_it_works_once() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    let mut form = fields("claire@arnaud.example", "");
    form[2] = ("next", "/account/security");
    browser.post("/fr/sign-in/link", &form).await.assert_status(303);
    let path = link(&app);
    // Link scanners and previews open it as often as they like.
    for _ in 0..3 {
        let scanner = app.browser().await;
        scanner.get(&path).await.assert_status(200).assert_says("claire@arnaud.example");
        assert!(!scanner.has_cookies());
    }
    let answer = browser.post(&path, &[]).await;
    assert_eq!(answer.location(), "/account/security");
    browser.get("/account").await.assert_says("Lefèvre");
    // Forwarded to somebody else it is worth nothing any more.
    let other = app.browser().await;
    other.get(&path).await.assert_status(404);
    other.post(&path, &[]).await.assert_status(404);
    assert!(!other.has_cookies());
}

#[actix_web::test]
async fn adv_09_a_sign_in_link_ends_with_its_time() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    browser.post("/fr/sign-in/link", &fields("claire@arnaud.example", "")).await;
    let path = link(&app);
    app.clock.advance(TimeDelta::minutes(10));
    browser.post(&path, &[]).await.assert_status(404).assert_says("ne fonctionne plus");
    assert!(!browser.has_cookies());
}

#[actix_web::test]
async fn a_forgotten_password_is_replaced_by_a_mailed_link() {
    let (app, cast) = with_passwords();
    let elsewhere = app.signed_in(cast.claire).await;
    let browser = app.browser().await;
    browser.post("/fr/password", &[("address", "claire@arnaud.example")]).await;
    let path = link(&app);
    browser.get(&path).await.assert_status(200);
    browser.post(&path, &[("password", "motdepasse")]).await.assert_status(422).assert_says("premiers mots de passe");
    let answer = browser.post(&path, &[("password", NEW_PASSWORD)]).await;
    assert_eq!(answer.location(), "/account/security?said=said-password-changed");
    browser.get(answer.location()).await.assert_says("Votre mot de passe est changé");
    elsewhere.get("/account").await.assert_status(303);
    let again = app.browser().await;
    again.post(&path, &[("password", PASSWORD)]).await.assert_status(404);
    again.post("/fr/sign-in", &fields("claire@arnaud.example", PASSWORD)).await.assert_status(422);
}

#[actix_web::test]
async fn u_05_a_new_password_needs_the_current_one() {
    let (app, cast) = with_passwords();
    let (browser, elsewhere) = (app.signed_in(cast.claire).await, app.signed_in(cast.claire).await);
    for wrong in ["", "wrong"] {
        app.clock.advance(TimeDelta::seconds(30));
        let form = [("current_password", wrong), ("password", NEW_PASSWORD)];
        browser.post("/account/password", &form).await.assert_status(422).assert_says("mot de passe actuel");
    }
    browser.post("/account/password", &[("password", NEW_PASSWORD)]).await.assert_status(422);
    app.clock.advance(TimeDelta::seconds(30));
    let before = browser.session().unwrap();
    let form = [("current_password", PASSWORD), ("password", NEW_PASSWORD)];
    browser.post("/account/password", &form).await.assert_status(303);
    assert_ne!(browser.session().unwrap(), before, "a new id");
    browser.get("/account/security").await.assert_status(200);
    elsewhere.get("/account").await.assert_status(303);
    assert_eq!(letters(&app)[0].to.as_str(), "claire@arnaud.example");
}

#[actix_web::test]
async fn u_05_without_a_password_a_fresh_sign_in_is_the_proof() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.ivan).await;
    app.clock.advance(TimeDelta::minutes(6));
    browser.post("/account/password", &[("password", NEW_PASSWORD)]).await.assert_status(422).assert_says("5 minutes");
    let browser = app.signed_in(cast.ivan).await;
    app.clock.advance(TimeDelta::minutes(4));
    browser.post("/account/password", &[("password", NEW_PASSWORD)]).await.assert_status(303);
}

#[actix_web::test]
async fn u_05_a_new_address_needs_the_password_and_the_mailbox() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.claire).await;
    let form = [("address", "claire@neuf.example"), ("current_password", "wrong")];
    browser.post("/account/address", &form).await.assert_status(422);
    let form = [("address", "claire@neuf.example"), ("current_password", PASSWORD)];
    browser.post("/account/address", &form).await.assert_status(303);
    assert_eq!(app.read(|db| person::by_id(db, cast.claire)).address, "claire@arnaud.example");
    let path = link(&app);
    browser.get(&path).await.assert_status(200).assert_says("claire@neuf.example");
    assert_eq!(app.read(|db| person::by_id(db, cast.claire)).address, "claire@arnaud.example");
    browser.post(&path, &[]).await.assert_status(303);
    assert_eq!(app.read(|db| person::by_id(db, cast.claire)).address, "claire@neuf.example");
    assert_eq!(letters(&app)[0].to.as_str(), "claire@arnaud.example");
    let gone = [("address", "claire@arnaud.example")];
    browser.post("/account/addresses/removal", &gone).await.assert_status(303);
    browser.post("/account/addresses/removal", &gone).await.assert_status(404);
}

#[actix_web::test]
async fn b4_e7_one_sees_and_changes_one_s_data() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.claire).await;
    browser.get("/account").await.assert_status(200).assert_says("claire@arnaud.example").assert_says("Notre équipe");
    let version = app.read(|db| person::by_id(db, cast.claire)).version.to_string();
    let mut form = vec![
        ("version", version.as_str()),
        ("first_name", "Claire"),
        ("last_name", "Lefèvre-Dubois"),
        ("job_title", ""),
        ("telephone", "01 02 03 04 05"),
        ("language", "en"),
        ("time_zone", "Europe/London"),
        ("theme", "dark"),
    ];
    browser.post("/account", &form).await.assert_status(303);
    browser.get("/account").await.assert_says("Lefèvre-Dubois").assert_says("My account");
    let person = app.read(|db| person::by_id(db, cast.claire));
    assert!(!person.mailed_about_tickets);
    assert_eq!((person.language.0, person.time_zone.as_str()), (Locale::En, "Europe/London"));
    browser.post("/account", &form).await.assert_status(409);
    let version = person.version.to_string();
    form[0] = ("version", &version);
    form[2] = ("last_name", " ");
    form[4] = ("telephone", "ring me");
    browser.post("/account", &form).await.assert_status(422).assert_says("ring me").assert_says("mandatory");
    browser.post("/account/theme", &[("theme", "light")]).await.assert_status(303);
    browser.post("/account/theme", &[("theme", "pink")]).await.assert_status(400);
}

#[actix_web::test]
async fn adv_24_fields_that_a_form_does_not_have_are_refused() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.claire).await;
    let before = format!("{:?}", app.read(|db| person::by_id(db, cast.claire)));
    for column in ["id", "handle", "person_id", "organisation_id", "state", "origin", "created_at", "hash", "is_staff"]
    {
        browser.post("/account/theme", &[("theme", "dark"), (column, "1")]).await.assert_status(400);
        browser.post("/account/language", &[("language", "en"), (column, "1")]).await.assert_status(400);
        let secret = [("name", "x"), ("days", "30"), ("scopes", "tickets:read"), (column, "1")];
        browser.post("/account/secrets", &secret).await.assert_status(400);
        let mut form = fields("claire@arnaud.example", PASSWORD);
        form.push((column, "1"));
        app.browser().await.post("/fr/sign-in", &form).await.assert_status(400);
    }
    assert_eq!(format!("{:?}", app.read(|db| person::by_id(db, cast.claire))), before);
}

#[actix_web::test]
async fn sessions_are_listed_and_ended_from_the_account() {
    let (app, cast) = with_passwords();
    let (here, there) = (app.signed_in(cast.claire).await, app.signed_in(cast.claire).await);
    let page = here.get("/account/security").await;
    page.assert_status(200).assert_says("192.0.2.7");
    let text = page.text();
    let action = text.split("action=\"").map(|rest| rest.split('"').next().unwrap_or_default());
    let end = action.into_iter().find(|path| path.ends_with("/end") && !path.contains("others")).unwrap();
    // Somebody else cannot end it.
    app.signed_in(cast.zoe).await.post(end, &[]).await.assert_status(404);
    there.get("/account").await.assert_status(200);
    here.post(end, &[]).await.assert_status(303);
    there.get("/account").await.assert_status(303);
    let there = app.signed_in(cast.claire).await;
    here.post("/account/sessions/others/end", &[]).await.assert_status(303);
    there.get("/account").await.assert_status(303);
    here.get("/account").await.assert_status(200);
}

#[actix_web::test]
async fn u_08_a_secret_is_made_shown_once_and_revoked_in_the_account() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.claire).await;
    let form = [("name", "Supervision"), ("scopes", "tickets:read"), ("scopes", "people:read"), ("days", "90")];
    let made = browser.post("/account/secrets", &form).await;
    made.assert_status(200);
    let text = made.text();
    let secret = text.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let now = app.now();
    let token = app.read(|db| api_tokens::find_by_secret(db, &secret, now)).unwrap();
    assert_eq!(token.expires_at, now.plus(TimeDelta::days(90)));
    assert_eq!(token.scopes.0.len(), 2);
    browser.get("/account/security").await.assert_says("Supervision").assert_silent_about(&secret);
    let sales = app.read(|db| queues::find_by_kind(db, QueueKind::Sales)).unwrap();
    let mut of_queue =
        vec![("name", "Ventes"), ("scopes", "tickets:read"), ("queue", sales.handle.as_str()), ("days", "90")];
    browser.post("/account/secrets", &of_queue).await.assert_status(200);
    assert_eq!(app.read(|db| api_tokens::of_person(db, cast.claire))[0].queue_id, Some(sales.id));
    browser.get("/account/security").await.assert_says(&format!("<span class=\"faint\">{}</span>", sales.name_fr));
    of_queue[1] = ("scopes", "people:read");
    browser.post("/account/secrets", &of_queue).await.assert_status(422).assert_says("d’une seule file");
    of_queue[1] = ("scopes", "tickets:read");
    of_queue[2] = ("queue", "nulle-part");
    browser.post("/account/secrets", &of_queue).await.assert_status(422);
    let inbound = [("name", "x"), ("scopes", "inbound"), ("days", "90")];
    browser.post("/account/secrets", &inbound).await.assert_status(422);
    let revoke = format!("/account/secrets/{}/revocation", token.handle);
    app.signed_in(cast.zoe).await.post(&revoke, &[]).await.assert_status(404);
    browser.post(&revoke, &[]).await.assert_status(303);
    assert!(app.read(|db| api_tokens::find_by_secret(db, &secret, now)).is_none());
}

fn registration(address: &str) -> Vec<(&str, &str)> {
    vec![
        ("legal_name", "Fonderie Masson"),
        ("first_name", "Julie"),
        ("last_name", "Masson"),
        ("email", address),
        ("telephone", "+33 4 76 00 00 00"),
    ]
}

#[actix_web::test]
async fn e1_the_registration_form_marks_what_is_mandatory_and_refuses_without_it() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    let page = browser.get("/fr/registration").await;
    page.assert_status(200);
    assert_eq!(page.text().matches("class=\"star\"").count(), 5);
    assert_eq!(page.text().matches(" required").count(), 5);
    let missing = browser.post("/fr/registration", &registration("")).await;
    missing.assert_status(422).assert_says("Fonderie Masson").assert_says("obligatoire");
    let mut form = registration("julie@masson.example");
    form.push(("organisation_id", "1"));
    browser.post("/fr/registration", &form).await.assert_status(400);
    browser.post("/fr/registration", &registration("julie@masson.example")).await.assert_status(303);
    let path = link(&app);
    browser.get(&path).await.assert_status(200).assert_says("Fonderie Masson");
    browser.post(&path, &[("password", "court")]).await.assert_status(422);
    let answer = browser.post(&path, &[("password", PASSWORD)]).await;
    assert!(answer.location().starts_with("/account/organisation"), "{}", answer.location());
    browser.get("/account").await.assert_says("julie@masson.example").assert_says("Fonderie Masson");
    browser.post(&path, &[("password", PASSWORD)]).await.assert_status(404);
}

#[actix_web::test]
async fn e_04_e4_no_page_before_signing_in_sets_a_cookie() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    for path in [
        "/fr/sign-in",
        "/en/sign-in?next=%2Faccount",
        "/fr/sign-in/sent",
        "/fr/password",
        "/fr/password/sent",
        "/fr/registration",
        "/fr/registration/sent",
        "/l/sign-in/x",
        "/l/password/x",
        "/l/invitation/x",
        "/l/registration/x",
        "/l/address/x",
        "/setup/x",
    ] {
        let answer = browser.get(path).await;
        assert!(answer.header("set-cookie").is_none(), "{path}");
    }
}

#[actix_web::test]
async fn u_10_adv_27_set_up_is_done_once_and_then_is_not_there() {
    let app = TestApp::empty();
    let browser = app.browser().await;
    browser.get("/setup/guess").await.assert_status(404);
    let now = app.now();
    let token = app.write(move |db| Ok(setup::issue_token(db, now)?.map(|token| token.expose().to_owned()))).unwrap();
    let path = format!("/setup/{token}");
    browser.get(&path).await.assert_status(200).assert_says("support@desk.example");
    let mut form = vec![
        ("operator_name", "Logiciels Garonne"),
        ("support_address", "support@garonne.example"),
        ("first_name", "Anne"),
        ("last_name", "Martin"),
        ("email", "anne@garonne.example"),
        ("password", "azerty123"),
        ("time_zone", "Europe/Paris"),
    ];
    browser.post(&path, &form).await.assert_status(422).assert_says("Logiciels Garonne");
    form[5] = ("password", PASSWORD);
    assert_eq!(browser.post(&path, &form).await.location(), "/");
    browser.get("/account").await.assert_status(200).assert_says("Anne Martin");
    for path in [path.as_str(), "/setup/", "/setup/x"] {
        browser.get(path).await.assert_status(404);
    }
    browser.post(&path, &form).await.assert_status(404);
    assert!(app.write(move |db| Ok(setup::issue_token(db, now)?.is_none())));
    assert!(!app.read(accord::teams::queues::all).is_empty());
}

#[actix_web::test]
async fn a4_nobody_works_on_tickets_before_the_undertaking() {
    let (app, cast) = with_passwords();
    let browser = app.signed_in(cast.hugo).await;
    browser.get("/undertaking").await.assert_status(200).assert_says("Hugo Petit");
    browser.post("/undertaking", &[]).await.assert_status(422);
    let accepted = |id: PersonId| -> Result<bool> {
        Ok(app.read(staff::all).iter().any(|member| member.person_id == id && member.undertaking_version.is_some()))
    };
    assert!(!accepted(cast.hugo).unwrap());
    browser.post("/undertaking", &[("accepted", "true")]).await.assert_status(303);
    assert!(accepted(cast.hugo).unwrap());
    // Customers are not told that there is such a page.
    app.signed_in(cast.claire).await.get("/undertaking").await.assert_status(404);
}

#[actix_web::test]
async fn adv_12_a_header_does_not_sign_anybody_in() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    for name in ["x-remote-user", "x-forwarded-user", "remote-user", "x-auth-request-email", "x-webauth-user"] {
        let request = TestRequest::get().uri("/account").insert_header((name, "anne@garonne.example"));
        browser.send(request).await.assert_status(303);
        assert!(!browser.has_cookies());
    }
}

#[actix_web::test]
async fn the_pages_speak_both_languages() {
    let (app, _) = with_passwords();
    let browser = app.browser().await;
    for (path, french, english) in [
        ("sign-in", "Se connecter", "Sign in"),
        ("password", "Recevoir le lien", "Mail me the link"),
        ("registration", "Raison sociale", "Legal name"),
    ] {
        browser.get(&format!("/fr/{path}")).await.assert_says(french);
        browser.get(&format!("/en/{path}")).await.assert_says(english);
    }
    browser.get("/de/sign-in").await.assert_status(404);
}

#[actix_web::test]
async fn i_06_a_reset_goes_to_the_stored_address_and_to_no_mailbox_that_only_looks_like_it() {
    let desk = Desk::open();
    let now = desk.test.now();
    // Somebody else has the look-alike.
    desk.test.write(move |db| {
        let mallory = NewPerson {
            last_name: "Mallory".to_owned(),
            address_confirmed_at: Some(now),
            ..NewPerson::at(crate::support::desk::address("claire@acmé.example"), Locale::Fr, Origin::Mail)
        };
        let mallory = person::create(db, &mallory, None, None, now)?;
        accord::people::organisations::create_individual(db, mallory.id, "Mallory", Locale::Fr, now)
    });
    let browser = desk.test.browser().await;
    for (typed, goes_to) in [
        ("CLAIRE@ACME.EXAMPLE", Some("claire@acme.example")),
        ("claire@acmé.example", Some("claire@xn--acm-dma.example")),
        ("Claire@ACMÉ.example", Some("claire@xn--acm-dma.example")),
        ("claire@acme.example ", Some("claire@acme.example")),
        ("claire＠acme.example", None),
        ("claire@ａcme.example", None),
        ("claire@acme。example", None),
        ("cl\u{430}ire@acme.example", None),
        ("claire@\u{430}cme.example", None),
        ("claire@ac\u{200B}me.example", None),
        ("claire+x@acme.example", None),
        ("claire@acme.example@evil.example", None),
        ("\"claire\"@acme.example", None),
    ] {
        browser.post("/fr/password", &[("address", typed)]).await;
        desk.test.run_jobs();
        let went: Vec<String> = desk.sent().into_iter().map(|sent| sent.recipient).collect();
        assert_eq!(went, goes_to.into_iter().map(str::to_owned).collect::<Vec<_>>(), "{typed:?}");
        desk.test.clock.advance(chrono::TimeDelta::days(1));
    }
}
