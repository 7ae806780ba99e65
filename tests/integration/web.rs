//! What surrounds every page: our host only, our pages only, strict headers, no cookie before signing in.

use actix_web::http::header;
use actix_web::test::TestRequest;

use crate::support::TestApp;

#[actix_web::test]
async fn e_04_no_cookie_is_set_before_signing_in() {
    let app = TestApp::empty();
    let browser = app.browser().await;
    browser.get("/").await.assert_status(303);
    browser.get("/nowhere").await.assert_status(404);
    assert!(!browser.has_cookies());
}

#[actix_web::test]
async fn the_front_door_leads_to_the_reader_s_language() {
    let app = TestApp::empty();
    let browser = app.browser().await;
    assert_eq!(browser.get("/").await.location(), "/fr");
    let english = TestRequest::get().uri("/").insert_header((header::ACCEPT_LANGUAGE, "en-US,fr;q=0.5"));
    assert_eq!(browser.send(english).await.location(), "/en");
}

#[actix_web::test]
async fn h_03_every_answer_is_strict_even_a_failure() {
    let app = TestApp::empty();
    let browser = app.browser().await;
    for path in ["/", "/nowhere", "/healthz", "/assets/nothing.css"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[actix_web::test]
async fn r_02_another_host_name_is_misdirected() {
    let app = TestApp::empty();
    let browser = app.browser().await;
    let request = TestRequest::get().uri("http://evil.example/");
    browser.send(request).await.assert_status(421);
    let forwarded = TestRequest::get().uri("/").insert_header(("x-forwarded-host", "evil.example"));
    assert_eq!(browser.send(forwarded).await.location(), "/fr");
}

#[actix_web::test]
async fn an_unknown_page_says_so_in_the_reader_s_language() {
    let app = TestApp::empty();
    let browser = app.browser().await;
    browser.get("/fr/nowhere").await.assert_status(404).assert_says("introuvable");
    browser.get("/en/nowhere").await.assert_status(404).assert_says("cannot be found");
}
