//! Secrets and tokens (U-07, U-08): exchanged, expired, revoked, limited.

use accord::error::Error;
use accord::people::api_tokens::{self, Scope};
use accord::people::memberships::{self, Rights};
use accord::people::person;
use accord::people::roles::BuiltinRole;
use accord::teams::queues::QueueKind;
use accord::worker::secret_requests::{self, InClear, Outcome, Request};
use actix_web::http::header;
use actix_web::test::TestRequest;
use chrono::TimeDelta;
use serde_json::json;

use super::{code_of, exchange, json_of};
use crate::support::TestApp;
use crate::support::given::{SEES_ALL, secret_of_a_day};

#[actix_web::test]
async fn u_07_a_token_lasts_fifteen_minutes() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    program.get("/api/v1/tickets").await.assert_status(200);
    test.clock.advance(TimeDelta::seconds(899));
    program.get("/api/v1/tickets").await.assert_status(200);
    test.clock.advance(TimeDelta::seconds(1));
    let late = program.get("/api/v1/tickets").await;
    assert_eq!(code_of(&late, 401), "unauthorized");
    assert_eq!(late.header("www-authenticate"), Some("Bearer"));
}

#[actix_web::test]
async fn u_07_u_08_revoking_the_secret_ends_its_tokens_at_once() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let other = test.able_program(jean.id).await;
    let (now, handle, person) = (test.now(), program.secret.clone(), program.person);
    assert!(test.write(move |db| api_tokens::revoke(db, person, &handle, now)));
    assert_eq!(code_of(&program.get("/api/v1/tickets").await, 401), "unauthorized");
    let opened = program.post("/api/v1/tickets", &json!({ "subject": "a", "text": "b" })).await;
    assert_eq!(code_of(&opened, 401), "unauthorized");
    other.get("/api/v1/tickets").await.assert_status(200);
}

#[actix_web::test]
async fn u_04_who_is_disabled_has_no_program_any_more() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let anne = test.given().staff("Hugo", &[accord::people::roles::BuiltinRole::Administrator], &[]);
    let program = test.able_program(jean.id).await;
    let (now, id) = (test.now(), jean.id);
    test.write(move |db| person::disable(db, id, anne, now));
    assert_eq!(code_of(&program.get("/api/v1/tickets").await, 401), "unauthorized");
}

#[actix_web::test]
async fn u_08_a_secret_expires_and_its_last_token_with_it() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let (now, id) = (test.now(), jean.id);
    let (_, secret) = test.write(move |db| api_tokens::create(db, id, &secret_of_a_day(&[Scope::TicketsRead]), now));
    let wire = test.browser().await;
    test.clock.advance(TimeDelta::minutes(24 * 60 - 5));
    let answer = exchange(&wire, secret.expose()).await;
    let answer = json_of(answer.assert_status(200));
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["scopes"], json!(["tickets:read"]));
    assert_eq!(answer["token_type"], "Bearer");
    test.clock.advance(TimeDelta::minutes(5));
    assert_eq!(code_of(&exchange(&wire, secret.expose()).await, 401), "unauthorized");
}

#[actix_web::test]
async fn u_08_the_use_of_a_secret_is_noted() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let tokens = test.read(|db| api_tokens::of_person(db, program.person));
    assert_eq!(tokens[0].last_used_at, Some(test.now()));
}

#[actix_web::test]
async fn what_is_no_secret_is_refused_and_guessing_is_slowed() {
    let test = TestApp::set_up();
    let wire = test.browser().await;
    for secret in ["", " ", "acc_", "acc_aaaa", "\u{0}", "Bearer x"] {
        assert_eq!(code_of(&exchange(&wire, secret).await, 401), "unauthorized", "{secret:?}");
    }
    for _ in 0..20 {
        exchange(&wire, "acc_guess").await;
    }
    assert_eq!(code_of(&exchange(&wire, "acc_guess").await, 429), "too_many_requests");
}

#[actix_web::test]
async fn u_07_what_is_no_token_is_refused_everywhere() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let program = test.able_program(jean.id).await;
    let session = test.browser_of(jean.id).await;
    let good = &program.token;
    let (signed, _) = good.rsplit_once('.').unwrap();
    let headers = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {signed}."),
        format!("Bearer {good}x"),
        format!("Bearer {good} {good}"),
        format!("Bearer {}", "x".repeat(5_000)),
        "Bearer acc_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
    ];
    for value in headers {
        let request = TestRequest::get().uri("/api/v1/tickets").insert_header((header::AUTHORIZATION, value.clone()));
        assert_eq!(code_of(&program.wire.send(request).await, 401), "unauthorized", "{value}");
    }
    let twice = TestRequest::get()
        .uri("/api/v1/tickets")
        .append_header((header::AUTHORIZATION, format!("Bearer {good}")))
        .append_header((header::AUTHORIZATION, format!("Bearer {good}")));
    assert_eq!(code_of(&program.wire.send(twice).await, 401), "unauthorized");
    // Neither opens the other's door: a cookie the interface, a token the pages.
    assert_eq!(code_of(&session.get("/api/v1/tickets").await, 401), "unauthorized");
    let page = program.wire.send(program.request(actix_web::http::Method::GET, "/account")).await;
    page.assert_status(303);
    program.get("/api/v1/tickets").await.assert_status(200);
}

#[actix_web::test]
async fn u_08_a_scope_that_is_missing_is_named() {
    let test = TestApp::set_up();
    let given = test.given();
    let jean = given.customer("Jean Dupont");
    let program = test.program(jean.id, &[Scope::TicketsRead]).await;
    program.get("/api/v1/tickets").await.assert_status(200);
    let bodies = json!({ "subject": "a", "text": "b" });
    for (path, scope) in [
        ("/api/v1/people", "people:read"),
        ("/api/v1/people/x", "people:read"),
        ("/api/v1/organisations", "organisations:read"),
        ("/api/v1/organisations/x", "organisations:read"),
        ("/api/v1/organisations/x/environments", "environments:read"),
        ("/api/v1/organisations/x/environments/y", "environments:read"),
    ] {
        let answer = program.get(path).await;
        assert_eq!(code_of(&answer, 403), "insufficient_scope", "{path}");
        answer.assert_says(scope);
    }
    let refused = program.post("/api/v1/tickets", &bodies).await;
    assert_eq!(code_of(&refused, 403), "insufficient_scope");
    let none = test.program(jean.id, &[Scope::EnvironmentsRead]).await;
    assert_eq!(code_of(&none.get("/api/v1/tickets").await, 403), "insufficient_scope");
}

#[actix_web::test]
async fn a_03_u_08_a_token_of_one_organisation_reaches_no_other() {
    let test = TestApp::set_up();
    let given = test.given();
    let (atelier, other) = (given.organisation("Atelier Durand"), given.organisation("Autre SARL"));
    let jean = given.member("Jean Dupont", atelier.id, SEES_ALL);
    let omar = given.member("Omar Benali", other.id, SEES_ALL);
    let agent = given.agent("Bruno", &[QueueKind::Support]);
    let own = given.ticket(&jean, "Sienne", "Texte.");
    let foreign = given.ticket(&omar, "Autre", "Texte.");
    let program = test.program_of(agent, &super::EVERYTHING, atelier.id).await;
    let list = json_of(&program.get("/api/v1/tickets").await);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["reference"], own.reference);
    let narrowed = json_of(&program.get(&format!("/api/v1/tickets?organisation={}", other.handle)).await);
    assert_eq!(narrowed["items"], json!([]));
    program.get(&format!("/api/v1/tickets/{}", own.reference)).await.assert_status(200);
    assert_eq!(code_of(&program.get(&format!("/api/v1/tickets/{}", foreign.reference)).await, 404), "not_found");
    assert_eq!(
        code_of(&program.get(&format!("/api/v1/tickets/{}/messages", foreign.reference)).await, 404),
        "not_found"
    );
    let answer = json!({ "text": "Réponse", "seen": 1 });
    let path = format!("/api/v1/tickets/{}/messages", foreign.reference);
    assert_eq!(code_of(&program.post(&path, &answer).await, 404), "not_found");
    program.get(&format!("/api/v1/organisations/{}", atelier.handle)).await.assert_status(200);
    assert_eq!(code_of(&program.get(&format!("/api/v1/organisations/{}", other.handle)).await, 404), "not_found");
    assert_eq!(code_of(&program.get(&format!("/api/v1/people/{}", omar.handle)).await, 404), "not_found");
    program.get(&format!("/api/v1/people/{}", jean.handle)).await.assert_status(200);
    let elsewhere = json!({
        "subject": "a", "text": "b", "organisation": other.handle, "requester": { "handle": omar.handle }
    });
    assert_eq!(code_of(&program.post("/api/v1/tickets", &elsewhere).await, 422), "invalid");
    let members = json_of(&program.get("/api/v1/people").await);
    assert_eq!(members["items"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_03_u_08_a_token_of_one_organisation_shows_nothing_of_it_to_who_left_it() {
    let test = TestApp::set_up();
    let given = test.given();
    let atelier = given.organisation("Atelier Durand");
    given.member("Jean Dupont", atelier.id, Rights::ALL);
    let lucie = given.member("Lucie Petit", atelier.id, SEES_ALL);
    let program = test.program_of(lucie.id, &super::EVERYTHING, atelier.id).await;
    let members = json_of(&program.get("/api/v1/people").await);
    assert_eq!(members["items"].as_array().unwrap().len(), 2);
    let (organisation, person, now) = (atelier.id, lucie.id, test.now());
    test.write(move |db| memberships::remove(db, organisation, person, None, now));
    let unknown = program.get("/api/v1/people/nobody").await;
    assert_eq!(code_of(&unknown, 404), "not_found");
    for path in [
        "/api/v1/people".to_owned(),
        format!("/api/v1/people?organisation={}", atelier.handle),
        format!("/api/v1/organisations/{}", atelier.handle),
        format!("/api/v1/organisations/{}/environments", atelier.handle),
    ] {
        assert_eq!(program.get(&path).await.bytes, unknown.bytes, "{path}");
    }
    assert_eq!(json_of(&program.get("/api/v1/organisations").await)["items"], json!([]));
}

#[actix_web::test]
async fn a_03_u_08_a_token_of_one_organisation_shows_it_only_to_staff_who_may_see_organisations() {
    let test = TestApp::set_up();
    let atelier = test.given().organisation("Atelier Durand");
    test.given().member("Jean Dupont", atelier.id, SEES_ALL);
    let diane = test.given().staff("Diane", &[BuiltinRole::PrivacyOfficer], &[]);
    let program = test.program_of(diane, &super::EVERYTHING, atelier.id).await;
    assert_eq!(code_of(&program.get("/api/v1/people").await, 404), "not_found");
    assert_eq!(code_of(&program.get("/api/v1/organisations").await, 403), "forbidden");
}

#[actix_web::test]
async fn t_04_one_household_guesses_secrets_as_one() {
    let (test, _) = TestApp::cast_with_settings("[http]\ntrusted_proxies = [\"192.0.2.7\"]\n");
    let wire = test.browser().await;
    let guess = async |from: String| {
        let request = TestRequest::post()
            .uri("/api/v1/token")
            .insert_header(("x-forwarded-for", from))
            .set_json(json!({ "secret": "acc_guess" }));
        wire.send(request).await.status.as_u16()
    };
    for host in 0..20 {
        assert_eq!(guess(format!("2001:db8:1:2::{host:x}")).await, 401);
    }
    assert_eq!(guess("2001:db8:1:2:ffff::1".to_owned()).await, 429);
    assert_eq!(guess("2001:db8:1:3::1".to_owned()).await, 401);
}

#[test]
fn u_08_a_secret_made_on_the_machine_itself_works_is_listed_and_stands_in_the_ledger_without_an_actor() {
    let test = TestApp::set_up();
    let jean = test.given().customer("Jean Dupont");
    let (address, now) = (jean.address.clone(), test.now());
    let ask = |request: Request| test.app.database.write_now(move |db| secret_requests::carry_out(db, &request, now));
    let create = |person: &str, scopes: &[Scope], days| Request::Create {
        person: person.to_owned(),
        name: "Sauvegarde".to_owned(),
        scopes: scopes.to_vec(),
        organisation: None,
        queue: None,
        days,
    };
    let Ok(Outcome::Created { secret: InClear(secret), handle, expires_at }) =
        ask(create(&address, &[Scope::TicketsRead], 7))
    else {
        panic!("not created")
    };
    assert_eq!(expires_at, "2026-11-30T08:00:00Z");
    let found = test.read(|db| api_tokens::find_by_secret(db, &secret, now)).unwrap();
    assert_eq!((found.person_id, found.handle.as_str()), (jean.id, handle.as_str()));

    let Ok(Outcome::Listed { secrets }) = ask(Request::List { person: None }) else { panic!("not listed") };
    assert!(!format!("{secrets:?}").contains(&secret));
    let Ok(Outcome::Listed { secrets: of_jean }) = ask(Request::List { person: Some(address.clone()) }) else {
        panic!("not listed")
    };
    assert_eq!(secrets, of_jean);
    let one = &secrets[0];
    assert_eq!(
        (one.handle.as_str(), one.person.as_str(), one.name.as_str(), one.state.as_str()),
        (handle.as_str(), address.as_str(), "Sauvegarde", "in force")
    );

    assert!(matches!(ask(Request::Revoke { handle: handle.clone() }), Ok(Outcome::Revoked)));
    assert!(test.read(|db| api_tokens::find_by_secret(db, &secret, now)).is_none());
    assert!(matches!(ask(Request::Revoke { handle }), Err(Error::NotFound)), "once is enough");
    let ledger: Vec<_> = test
        .read(|db| accord::audit::list(db, None, 2))
        .into_iter()
        .map(|(record, _)| (record.kind, record.actor, record.subject))
        .collect();
    let by_nobody = |kind: &str| (kind.to_owned(), None, Some(jean.id));
    assert_eq!(ledger, [by_nobody("api_token_revoked"), by_nobody("api_token_created")]);

    for (wrong, said) in [
        (create("personne@nulle-part.example", &[Scope::TicketsRead], 7), "--person: nobody"),
        (create(&address, &[Scope::Inbound], 7), "--scope: "),
        (create(&address, &[Scope::TicketsRead], 0), "--expires-days: From 1 to 366 days."),
    ] {
        let reason = secret_requests::reason(&ask(wrong).unwrap_err());
        assert!(reason.starts_with(said), "{reason}");
    }
}
