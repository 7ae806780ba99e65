//! What surrounds every page: our host only, our pages only, strict headers, no cookie before signing in.

use std::path::Path;
use std::time::Duration;

use accord::secret::random_handle;
use accord::teams::queues::{self, QueueKind};
use accord::web::guard::guard;
use accord::web::request_log::RequestLog;
use accord::web::server::Site;
use accord::web::slow_body::Patience;
use accord::worker::recurring;
use actix_web::body::to_bytes;
use actix_web::dev::{Payload, Service};
use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{Bytes, Data};
use chrono::TimeDelta;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use crate::support::TestApp;
use crate::support::browser::{Browser, Trickle};
use crate::support::desk::Desk;

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

#[actix_web::test]
async fn ft_14_a_body_that_trickles_in_is_not_waited_for() {
    let app = TestApp::empty();
    let site = Site { app: app.app.clone(), log: None, demo: false };
    let patience =
        Patience { grace: Duration::from_millis(40), bytes_per_sec: 1_000_000, longest: Duration::from_millis(80) };
    let service = init_service(
        actix_web::App::new()
            .app_data(Data::new(patience))
            .configure(move |config| site.configure(config))
            .wrap(from_fn(guard)),
    )
    .await;
    let form = "application/x-www-form-urlencoded";
    let endings: [fn() -> Trickle; 2] = [
        // Something, and then nothing more.
        || stream::iter([Ok(Bytes::from_static(b"{"))]).chain(stream::pending()).boxed_local(),
        // One byte after the other, for ever.
        || {
            stream::unfold((), |()| async {
                tokio::task::yield_now().await;
                Some((Ok(Bytes::from_static(b" ")), ()))
            })
            .boxed_local()
        },
    ];
    for body in endings {
        for (path, kind, said) in [
            ("/fr/sign-in", form, "pris trop de temps"),
            ("/en/sign-in", form, "took too long"),
            ("/api/v1/token", "application/json", "\"code\":\"too_slow\""),
        ] {
            let request = TestRequest::post()
                .uri(path)
                .insert_header((header::HOST, "desk.example"))
                .insert_header((header::ORIGIN, "http://desk.example"))
                .insert_header((header::CONTENT_TYPE, kind))
                .to_request();
            let (request, _) = request.replace_payload(Payload::Stream { payload: body() });
            let response = service.call(request).await.unwrap().map_into_boxed_body();
            assert_eq!(response.status(), 408, "{path}");
            let text = to_bytes(response.into_body()).await.unwrap();
            assert!(String::from_utf8_lossy(&text).contains(said), "{path}: {text:?}");
        }
    }
}

#[actix_web::test]
async fn ft_14_five_hundred_bodies_that_trickle_in_end_in_their_time_and_keep_nobody_waiting() {
    const SLOW: u64 = 500;
    let app = TestApp::empty();
    let (slow, people) = (app.browser().await, app.browser().await);
    // Each byte after a pause, for ever.
    let trickling = |pause: Duration, bytes: usize| -> Trickle {
        stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok(Bytes::from(vec![b' '; bytes])), ()))
        })
        .boxed_local()
    };
    let request = || {
        TestRequest::post()
            .uri("/fr/sign-in")
            .insert_header((header::ORIGIN, "http://desk.example"))
            .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"))
    };
    people.get("/fr/sign-in").await.assert_status(200);
    tokio::time::pause();
    let began = Instant::now();
    let attack = join_all((0..SLOW).map(|number| {
        let body = trickling(Duration::from_millis(900 + number % 200), 1);
        let answer = slow.send_trickling(request(), body);
        async move { (answer.await.status.as_u16(), began.elapsed().as_secs()) }
    }));
    // Somebody's page and somebody's form, each second meanwhile.
    let others = async {
        for _ in 0..12 {
            let asked = Instant::now();
            people.get("/fr/sign-in").await.assert_status(200);
            people.send(request().set_payload("x")).await;
            assert!(asked.elapsed() < Duration::from_millis(500), "waited {:?}", asked.elapsed());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (ended, ()) = futures_util::join!(attack, others);
    let strays: Vec<_> = ended.iter().filter(|ended| **ended != (408, 10)).collect();
    assert!(strays.is_empty(), "{strays:?}");
    // Whoever is just fast enough has two minutes.
    let began = Instant::now();
    let answer = slow.send_trickling(request(), trickling(Duration::from_millis(500), 520)).await;
    assert_eq!((answer.status.as_u16(), began.elapsed().as_secs()), (408, 120));
}

#[actix_web::test]
async fn ft_04_without_room_a_form_gets_the_page_that_says_so_and_is_taken_when_there_is_room() {
    let desk = Desk::open();
    let browser = desk.test.browser().await;
    if !desk.fill_disk() {
        return;
    }
    let text = "L’écran reste noir.\n".repeat(2_500);
    let queue = desk.test.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    for (language, said, key) in [
        ("fr", "Il n’y a plus de place pour enregistrer", random_handle()),
        ("en", "There is no room left to store this", random_handle()),
    ] {
        let fields = [
            ("name", "Nadia Ferrand"),
            ("email", "nadia@inconnue.example"),
            ("queue", &queue),
            ("subject", "Écran noir"),
            ("text", &text),
            ("key", &key),
        ];
        let path = format!("/{language}/requests");
        let answer = browser.upload(&path, &fields, &[]).await;
        answer.assert_status(507).assert_says(said).assert_says(&format!("<html lang=\"{language}\""));
        browser.get(&format!("/{language}/requests/new")).await.assert_status(200);
        assert!(desk.tickets().is_empty());
    }
    desk.make_room();
    let fields = [
        ("name", "Nadia Ferrand"),
        ("email", "nadia@inconnue.example"),
        ("queue", &queue),
        ("subject", "Écran noir"),
        ("text", &text),
        ("key", &random_handle()),
    ];
    browser.upload("/fr/requests", &fields, &[]).await.assert_status(303);
    assert_eq!(desk.ticket().subject, "Écran noir");
}

/// What the access log holds of these requests, all of its files.
fn logged(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[actix_web::test]
async fn b_07_the_access_log_is_in_the_combined_format_without_tokens_and_gone_after_ten_days() {
    let test = TestApp::empty();
    let folder = test.app.config.log.access_folder.clone();
    let log = Some(Data::new(RequestLog::open(&folder).unwrap()));
    let browser = Browser::open(Site { app: test.app.clone(), log, demo: false }, test.app.clone()).await;
    let asked = |path: &str, referer: &str, agent: &str| {
        TestRequest::get()
            .uri(path)
            .insert_header((header::REFERER, referer))
            .insert_header((header::USER_AGENT, agent))
            .insert_header((header::ACCEPT_LANGUAGE, "fr"))
    };
    browser
        .send(asked("/fr/sign-in?next=/tickets", "http://desk.example/l/ticket/canary-one", "Mozilla/5.0 (\"x\")"))
        .await;
    browser.send(asked("/setup/canary-two", "http://desk.example/fr", "curl/8")).await;
    browser.get("/l/ticket/canary-three?x=canary-four").await;

    let files = logged(&folder);
    assert_eq!(files.len(), 1, "one file a day: {files:?}");
    let (name, text) = &files[0];
    assert_eq!(name, "access-2026-11-23.log");
    assert!(!text.contains("canary"), "{text}");
    // Apache's: %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i"
    let combined = regex::Regex::new(
        r#"^192\.0\.2\.7 - - \[23/Nov/2026:08:00:00 \+0000\] "GET (\S+) HTTP/1\.1" (\d{3}) (\d+|-) "([^"]*)" "((?:[^"\\]|\\.)*)"$"#,
    )
    .unwrap();
    let lines: Vec<Vec<String>> = text
        .lines()
        .map(|line| {
            let parts = combined.captures(line).unwrap_or_else(|| panic!("not in the combined format: {line}"));
            parts.iter().skip(1).map(|part| part.unwrap().as_str().to_owned()).collect()
        })
        .collect();
    let shown: Vec<[&str; 4]> =
        lines.iter().map(|part| [part[0].as_str(), part[1].as_str(), part[3].as_str(), part[4].as_str()]).collect();
    assert_eq!(
        shown,
        [
            ["/fr/sign-in?-", "200", "http://desk.example/l/-", r#"Mozilla/5.0 (\"x\")"#],
            ["/setup/-", "404", "http://desk.example/fr", "curl/8"],
            ["/l/-?-", "404", "-", ""],
        ]
    );

    // Day after day a file of its own, and what is ten days old goes by itself.
    test.pass(TimeDelta::days(9));
    browser.get("/fr").await;
    recurring::run_due(&test.app, test.now()).unwrap();
    let names = || logged(&folder).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(), ["access-2026-11-23.log", "access-2026-12-02.log"]);
    test.pass(TimeDelta::days(1));
    recurring::run_due(&test.app, test.now()).unwrap();
    assert_eq!(names(), ["access-2026-12-02.log"]);
}
