//! The description of the interface says all of it, and the page to browse shows it in both languages.

use std::collections::BTreeSet;

use accord::i18n::{Locale, has_key};
use accord::web::api::openapi;
use accord::web::router;

use super::json_of;
use crate::support::TestApp;

#[actix_web::test]
async fn every_route_for_programs_is_described() {
    let description = serde_json::to_value(openapi::description()).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            let id = operation["operationId"].as_str().unwrap();
            for locale in Locale::ALL {
                assert!(has_key(locale, &format!("api-op-{id}")), "{id}");
            }
        }
    }
    let routes: BTreeSet<String> = router::table()
        .into_iter()
        .filter(|entry| entry.path.starts_with("/api/v1/") && !NOT_DESCRIBED.contains(&entry.path))
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    assert_eq!(routes, described);
}

/// The description itself, and what mail servers hand over, which is no JSON.
const NOT_DESCRIBED: [&str; 2] = ["/api/v1/openapi.json", "/api/v1/inbound"];

#[actix_web::test]
async fn the_description_names_this_installation() {
    let test = TestApp::set_up();
    let browser = test.browser().await;
    let description = json_of(browser.get("/api/v1/openapi.json").await.assert_status(200));
    assert_eq!(description["servers"][0]["url"], "http://desk.example");
    assert_eq!(description["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    assert!(description["components"]["schemas"]["Failure"].is_object());
    assert!(!browser.has_cookies(), "E4");
}

#[actix_web::test]
async fn the_page_to_browse_shows_every_request_in_both_languages() {
    let test = TestApp::set_up();
    let browser = test.browser().await;
    let english = browser.get("/en/api").await;
    english.assert_status(200).assert_says("Interface for programs").assert_says("Open a ticket");
    english.assert_says("POST /api/v1/tickets").assert_says("requester.address").assert_says("tickets:write");
    english.assert_says("idempotency_key_reused").assert_says("items[].reference");
    let french = browser.get("/fr/api").await;
    french.assert_status(200).assert_says("Interface pour les programmes").assert_says("Ouvrir une demande");
    let description = json_of(&browser.get("/api/v1/openapi.json").await);
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let request = format!("{} {path}", method.to_uppercase());
            for page in [&english, &french] {
                page.assert_says(&request);
            }
        }
    }
    for page in [english, french] {
        page.assert_silent_about("api-op-").assert_silent_about("api-group-").assert_silent_about("api-begin");
    }
}
