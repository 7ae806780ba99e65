//! Requests as they come from somebody who wants to break in: parameters twice, methods in disguise, paths with a twist,
//! answers of others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use accord::db::schema::ticket_attachments;
use accord::keys::Purpose;
use accord::people::api_tokens::{self, NewApiToken, Scope};
use accord::people::invitations::{self, NewMember};
use accord::people::memberships::{self, Rights};
use accord::people::person;
use accord::people::roles::BuiltinRole;
use accord::people::staff;
use accord::teams::queues::{self, QueueKind};
use accord::tickets::ticket;
use actix_web::http::{Method, header};
use actix_web::test::TestRequest;
use data_encoding::BASE64URL_NOPAD;
use diesel::prelude::*;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::app::BASE_URL;
use crate::support::browser::Browser;
use crate::support::desk::{Desk, Letter};
use crate::support::dump::Moment;

const RESTLESS: &[&str] = &["sessions.last_seen_at", "api_tokens.last_used_at", "throttles"];

#[actix_web::test]
async fn a_field_that_stands_twice_is_refused_and_does_nothing() {
    let (app, cast) = TestApp::with_cast();
    let lea = app.signed_in(cast.lea).await;
    let paul = app.read(|db| person::by_id(db, cast.paul));
    let ticket = app.given().ticket(&paul, "Écran noir", "Rien ne va plus.");
    app.run_jobs();
    let mut moment = Moment::of(&app, RESTLESS);
    let path = format!("/tickets/{}", ticket.reference);
    let version = ticket.version.to_string();
    lea.post(&format!("{path}/priority"), &[("priority", "high"), ("priority", "low")]).await.assert_status(400);
    let twice = [("status", "closed"), ("version", version.as_str()), ("version", "99")];
    lea.post(&format!("{path}/status"), &twice).await.assert_status(400);
    lea.upload(&format!("{path}/notes"), &[("note", "un"), ("note", "deux")], &[]).await.assert_status(400);
    let token = lea.csrf();
    for (name, value) in [("csrf", token.as_str()), ("csrf", "x")] {
        lea.post(&format!("{path}/priority"), &[("priority", "high"), (name, value)]).await.assert_status(403);
    }
    assert!(moment.changes().is_empty(), "{:#?}", moment.changes());
}

#[actix_web::test]
async fn a_method_in_disguise_is_the_method_that_it_is() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    let handle = app.read(|db| person::by_id(db, cast.paul)).handle;
    let mut moment = Moment::of(&app, RESTLESS);
    for (name, value) in [
        ("x-http-method-override", "POST"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "PUT"),
        ("x-original-url", "/admin/settings"),
        ("x-rewrite-url", "/admin/settings"),
    ] {
        let path = format!("/admin/people/{handle}");
        let answer = anne.send(TestRequest::get().uri(&path).insert_header((name, value))).await;
        answer.assert_status(200).assert_says("Paul Girard");
    }
    anne.get(&format!("/admin/people/{handle}?_method=POST&state=disabled")).await.assert_status(200);
    for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE, Method::CONNECT] {
        let request =
            TestRequest::default().method(method.clone()).uri("/account").insert_header((header::ORIGIN, BASE_URL));
        let answer = anne.send(request).await;
        assert!(matches!(answer.status.as_u16(), 404 | 405), "{method}: {}", answer.status);
    }
    assert!(moment.changes().is_empty());
}

#[actix_web::test]
async fn a_path_with_a_twist_leads_nowhere() {
    let (app, cast) = TestApp::with_cast();
    let zoe = app.signed_in(cast.zoe).await;
    let handle = &cast.arnaud_handle;
    for path in [
        format!("/organisations/{}/../{handle}", cast.brun_handle),
        format!("/organisations/{}%2f..%2f{handle}", cast.brun_handle),
        format!("/organisations/{handle}/"),
        format!("/organisations/{handle}%20"),
        format!("/organisations/{handle};x"),
        format!("/organisations/{handle}.json"),
        format!("//organisations/{handle}"),
        format!("/./organisations/{handle}"),
        "/assets/..%2f..%2fCargo.toml".to_owned(),
        "/assets/%2e%2e%2fkeys.json".to_owned(),
        "/admin/development-mail/..%2f..%2fkeys.json".to_owned(),
        "/ADMIN/people".to_owned(),
        "/admin/people%00".to_owned(),
        "/%61dmin/people".to_owned(),
    ] {
        zoe.get(&path).await.assert_status(404).assert_silent_about("Vignobles");
    }
}

#[actix_web::test]
async fn r_02_two_hosts_or_another_are_misdirected_and_no_link_bears_them() {
    let (app, _) = TestApp::with_cast();
    let browser = app.browser().await;
    for host in ["evil.example", "desk.example.evil.example", "desk.example:81", "desk.example@evil.example", ""] {
        let request = TestRequest::get().uri("/fr").insert_header((header::HOST, host));
        browser.raw(request).await.assert_status(421);
    }
    let twice = TestRequest::get().uri("/fr").append_header((header::HOST, "desk.example"));
    browser.raw(twice.append_header((header::HOST, "evil.example"))).await.assert_status(421);
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-server", "evil.example"),
    ] {
        let token = browser.csrf();
        let form = [("address", "paul@arnaud.example"), ("csrf", token.as_str())];
        let request = TestRequest::post().uri("/fr/password").set_form(form).insert_header((header::ORIGIN, BASE_URL));
        browser.send(request.insert_header((name, value))).await.assert_status(303);
    }
    app.run_jobs();
    let accord::mail::transport::Transport::Memory(memory) = &app.app.transport else { panic!() };
    let mails = memory.sent();
    assert!(!mails.is_empty());
    for mail in mails {
        let text = String::from_utf8_lossy(&mail.bytes).into_owned();
        assert!(text.contains("http://desk.example/l/password/") && !text.contains("evil"), "{text}");
    }
}

#[actix_web::test]
async fn a_body_in_parts_that_is_made_to_hurt_is_refused() {
    let (app, cast) = TestApp::with_cast();
    let claire = app.signed_in(cast.claire).await;
    let mut moment = Moment::of(&app, RESTLESS);
    let token = claire.csrf();
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("text", "x"), 300).collect();
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n");
    let csrf = part("Content-Disposition: form-data; name=\"csrf\"", &token);
    let end = "--b--\r\n";
    let long = format!("multipart/form-data; boundary={}", "b".repeat(10_000));
    for (what, body, kind) in [
        ("no boundary", format!("{csrf}{end}"), "multipart/form-data"),
        ("no end", csrf.clone(), "multipart/form-data; boundary=b"),
        ("no disposition", format!("{csrf}{}{end}", part("X: y", "x")), "multipart/form-data; boundary=b"),
        (
            "no name",
            format!("{csrf}{}{end}", part("Content-Disposition: form-data", "x")),
            "multipart/form-data; boundary=b",
        ),
        (
            "parts in parts",
            format!(
                "{csrf}{}{end}",
                part(
                    "Content-Disposition: form-data; name=\"text\"\r\nContent-Type: multipart/mixed; boundary=c",
                    "--c\r\n\r\nx\r\n--c--"
                )
            ),
            "multipart/form-data; boundary=b",
        ),
        (
            "not text",
            format!("{csrf}{}{end}", part("Content-Disposition: form-data; name=\"id\"", "\u{0}")),
            "multipart/form-data; boundary=b",
        ),
        ("another kind", format!("{csrf}{end}"), "multipart/mixed; boundary=b"),
        ("an endless boundary", format!("{csrf}{end}"), long.as_str()),
    ] {
        let request = TestRequest::post().uri("/requests").insert_header((header::ORIGIN, BASE_URL));
        let answer = claire.send(request.insert_header((header::CONTENT_TYPE, kind)).set_payload(body)).await;
        assert!(matches!(answer.status.as_u16(), 400 | 403 | 413 | 415 | 422), "{what}: {}", answer.status);
    }
    claire.upload("/requests", &many, &[]).await.assert_status(413);
    assert!(moment.changes().is_empty(), "{:#?}", moment.changes());
}

#[actix_web::test]
async fn cursors_that_were_tampered_with_tell_and_break_nothing() {
    let (app, cast) = TestApp::with_cast();
    let anne = app.signed_in(cast.anne).await;
    let lea = app.signed_in(cast.lea).await;
    let zoe = app.signed_in(cast.zoe).await;
    let paul = app.read(|db| person::by_id(db, cast.paul)).handle;
    let long = "A".repeat(5_000);
    for cursor in ["", "x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "_____________________w", "%00", "-1", "' OR 1=1", &long]
    {
        let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        for (browser, path) in [
            (&anne, "/admin/ledger?before="),
            (&anne, "/admin/unprocessed-mail?before="),
            (&anne, "/admin/outgoing-mail?before="),
            (&anne, "/admin/people?after="),
            (&lea, "/tickets?view=all&after="),
            (&lea, "/search?q=a&after="),
            (&zoe, "/requests?after="),
        ] {
            let answer = browser.get(&format!("{path}{cursor}")).await;
            assert!(answer.status.as_u16() < 500, "{path}{cursor}: {}", answer.status);
        }
    }
    // Somebody of another organisation marks no place in this one's list.
    let list = format!("/organisations/{}/members", cast.brun_handle);
    zoe.get(&list).await.assert_status(200);
    zoe.get(&format!("{list}?after={paul}")).await.assert_status(404);
}

#[actix_web::test]
async fn x_02_the_key_of_one_person_s_request_says_nothing_to_another() {
    let (app, cast) = TestApp::with_cast();
    let mut tokens = Vec::new();
    let wire = app.browser().await;
    for person in [cast.paul, cast.zoe] {
        let now = app.now();
        let new = NewApiToken {
            name: "x".to_owned(),
            scopes: vec![Scope::TicketsWrite],
            organisation: None,
            queue: None,
            days: 30,
        };
        let (_, secret) = app.write(move |db| api_tokens::create(db, person, &new, now));
        let body = serde_json::json!({ "secret": secret.expose() });
        let answer = wire.send(TestRequest::post().uri("/api/v1/token").set_json(body)).await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
        tokens.push(answer["token"].as_str().unwrap().to_owned());
    }
    let mut references = Vec::new();
    for token in &tokens {
        let request = TestRequest::post()
            .uri("/api/v1/tickets")
            .insert_header((header::AUTHORIZATION, format!("Bearer {token}")))
            .insert_header(("idempotency-key", "one-key"))
            .set_json(serde_json::json!({ "subject": "Panne", "text": "Rien ne va plus." }));
        let answer = wire.send(request).await;
        answer.assert_status(201);
        let made: serde_json::Value = serde_json::from_slice(&answer.bytes).unwrap();
        references.push(made["reference"].as_str().unwrap().to_owned());
    }
    assert_ne!(references[0], references[1]);
}

#[actix_web::test]
async fn adv_05_an_invitation_dies_with_the_right_to_invite() {
    let (app, cast) = TestApp::with_cast();
    let (arnaud, claire, anne, now) = (cast.arnaud, cast.claire, cast.anne, app.now());
    let back_door = NewMember {
        first_name: "Claire".to_owned(),
        last_name: "Privée".to_owned(),
        address: "claire@private.example".to_owned(),
        rights: Rights::ALL,
    };
    app.write(move |db| invitations::invite_member(db, arnaud, &back_door, claire, now));
    app.run_jobs();
    let accord::mail::transport::Transport::Memory(memory) = &app.app.transport else { panic!() };
    let mail = memory.sent().into_iter().find(|mail| mail.recipient == "claire@private.example").unwrap();
    let text = accord::mail::incoming::parse(&mail.bytes).text;
    let path = text.split("http://desk.example").find(|rest| rest.starts_with("/l/invitation/")).unwrap();
    let path = path.split_whitespace().next().unwrap().to_owned();
    let browser = app.browser().await;
    browser.get(&path).await.assert_status(200);
    let theo = app.given().member("Theo Blanc", arnaud, Rights::ALL).id;
    app.write(move |db| memberships::remove(db, arnaud, claire, Some(anne), now));
    browser.get(&path).await.assert_status(404);
    browser.post(&path, &[("password", "une-phrase-assez-longue")]).await.assert_status(404);
    assert!(
        app.read(|db| person::find_by_address(db, &crate::support::desk::address("claire@private.example"))).is_none()
    );
    assert!(app.read(|db| memberships::of_person(db, theo)).iter().any(|membership| membership.manages_organisation));
}

#[actix_web::test]
async fn s_05_mail_is_handed_over_only_in_the_name_of_who_operates_and_only_as_long_as_they_do() {
    let desk = Desk::open();
    let (zoe, administrator, now) = (desk.zoe, desk.administrator, desk.test.now());
    let new = || NewApiToken {
        name: "mx".to_owned(),
        scopes: vec![Scope::Inbound],
        organisation: None,
        queue: None,
        days: 30,
    };
    let by_agent = new();
    let refused = desk.test.write(move |db| Ok(api_tokens::create(db, zoe, &by_agent, now).is_err()));
    assert!(refused, "an agent would speak for every customer");
    let by_operator = new();
    let (_, secret) = desk.test.write(move |db| api_tokens::create(db, administrator, &by_operator, now));
    let hand_over = || {
        TestRequest::post()
            .uri("/api/v1/inbound?recipient=support@garonne.example")
            .insert_header((header::AUTHORIZATION, format!("Bearer {}", secret.expose())))
            .insert_header((header::CONTENT_TYPE, "message/rfc822"))
            .set_payload(Letter::from("claire@acme.example").bytes())
    };
    let browser: Browser = desk.test.browser().await;
    browser.send(hand_over()).await.assert_status(202);
    desk.test.write(move |db| {
        let administers = accord::people::roles::builtin(db, BuiltinRole::Administrator)?;
        staff::set_roles(db, zoe, &[administers], None, now)?;
        let agent = accord::people::roles::builtin(db, BuiltinRole::Agent)?;
        staff::set_roles(db, administrator, &[agent], None, now)
    });
    browser.send(hand_over()).await.assert_status(403);
}

#[actix_web::test]
async fn the_subject_of_a_mail_is_for_who_may_read_its_ticket() {
    let (app, cast) = TestApp::with_cast();
    let paul = app.read(|db| person::by_id(db, cast.paul));
    let ticket = app.given().ticket(&paul, "Licenciement de M. Noir", "Confidentiel.");
    app.run_jobs();
    let ticket = app.read(|db| ticket::by_id(db, ticket.id));
    let ada = app.given().staff("Ada Faure", &[BuiltinRole::Administrator], &[]);
    let both = app.given().staff("Bea Noir", &[BuiltinRole::Administrator, BuiltinRole::Supervisor], &[]);
    let page = app.signed_in(ada).await.get("/admin/outgoing-mail?which=sent").await;
    page.assert_status(200).assert_says(&ticket.reference).assert_silent_about("Licenciement");
    app.signed_in(both).await.get("/admin/outgoing-mail?which=sent").await.assert_says("Licenciement");
}

/// ADV-35: whoever has the keys signs what a form carries, and it is read as a note all the same, never as an object.
#[actix_web::test]
async fn adv_35_what_a_browser_holds_is_only_a_note_even_when_the_right_key_signed_it() {
    let (app, cast) = TestApp::with_cast();
    let paul = app.read(|db| person::by_id(db, cast.paul));
    let ticket = app.given().ticket(&paul, "Écran noir", "Rien ne va plus.");
    let lea = app.signed_in(cast.lea).await;
    let whose = app.read(|db| person::by_id(db, cast.lea)).handle;
    let signed = |content: &[u8]| {
        let proof = app.app.keys.mac(Purpose::Form, &[b"kept file", content]);
        format!("{}.{}", BASE64URL_NOPAD.encode(content), BASE64URL_NOPAD.encode(&proof))
    };
    let hash = app.app.storage.put(b"abc").unwrap();
    let until = app.now().seconds() + 3_600;
    let note = json!({
        "whose": whose, "until": until, "name": "piece.txt", "kind": "text/plain", "size": 3, "hash": hash,
    });
    let with = |name: &str, value: Value| {
        let mut note = note.clone();
        note[name] = value;
        note.to_string().into_bytes()
    };
    let files = async |carried: &str| {
        let once = accord::secret::random_handle();
        let fields = [("note", "À voir."), ("once", once.as_str()), ("kept", carried)];
        let answer = lea.upload(&format!("/tickets/{}/notes", ticket.reference), &fields, &[]).await;
        assert!(answer.status.as_u16() < 500, "{carried}: {}", answer.status);
        app.read(|db| Ok(ticket_attachments::table.count().get_result::<i64>(db)?))
    };
    assert_eq!(files(&signed(note.to_string().as_bytes())).await, 1, "a note of ours is taken");
    let hostile: Vec<Vec<u8>> = vec![
        br#"O:8:"stdClass":1:{s:4:"exec";s:2:"id";}"#.to_vec(),
        br#"a:1:{i:0;O:9:"Exception":0:{}}"#.to_vec(),
        b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap".to_vec(),
        b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.".to_vec(),
        b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00".to_vec(),
        b"!!python/object/apply:os.system [id]".to_vec(),
        b"--- !ruby/object:Gem::Installer\ni: x".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        Vec::new(),
        "[".repeat(50_000).into_bytes(),
        with("__proto__", json!({ "isAdmin": true })),
        with("$type", json!("System.Diagnostics.Process")),
        with("@class", json!("java.lang.ProcessBuilder")),
        with("whose", json!(["x"])),
        with("until", json!("never")),
        with("size", json!({ "$gt": 0 })),
        with("hash", json!("../../../../etc/passwd")),
        with("hash", json!("/etc/passwd")),
        with("hash", json!(hash.to_uppercase())),
        with("whose", json!("somebody-else")),
        with("until", json!(0)),
    ];
    for content in hostile {
        assert_eq!(files(&signed(&content)).await, 1, "{}", String::from_utf8_lossy(&content[..content.len().min(80)]));
    }
}

/// ADV-22: nobody's words are a path, and nothing that is handed over is unpacked.
#[actix_web::test]
async fn adv_22_no_word_of_a_request_is_a_path_and_no_archive_is_unpacked() {
    let app = TestApp::with_mail_in_files();
    let anne = app.given().administrator();
    let data = app.app.config.data.clone();
    std::fs::write(data.join("secret.eml"), "Subject: canari-4711\r\n\r\ncanari-4711\r\n").unwrap();
    let browser = app.browser_of(anne).await;
    let names =
        ["../secret", "..%2fsecret", "%2e%2e%2fsecret", "..%5csecret", "%2e%2e/secret", "..%252fsecret", "secret%00"];
    for name in names {
        for path in
            [format!("/admin/development-mail/{name}"), format!("/assets/{name}"), format!("/assets/..%2f{name}.eml")]
        {
            let answer = browser.get(&path).await;
            assert!([303, 400, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
            answer.assert_silent_about("canari-4711");
        }
    }

    let claire = app.given().customer("Claire Petit");
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Support)).unwrap().handle;
    // A zip whose one entry leads out of wherever it is unpacked.
    let entry: &[u8] = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x03\x00\x00\x00\x0e\x00\x00\x00../../evil.txtabc";
    let archive = [b"PK\x03\x04\x0a\x00", entry].concat();
    let before = kept_below(&data);
    let names =
        ["../../evil.txt", "/etc/cron.d/evil", "..\\..\\evil.txt", "C:\\evil.txt", "evil.log/../../x", "archive.zip"];
    let files: Vec<(&str, &str, &[u8])> = names.iter().map(|name| ("files", *name, archive.as_slice())).collect();
    let fields = [
        ("queue", queue.as_str()),
        ("visibility", "shared"),
        ("subject", "Panne"),
        ("text", "Voici."),
        ("key", "une-clef"),
    ];
    app.browser_of(claire.id).await.upload("/requests", &fields, &files).await.assert_status(303);
    let kept = app.read(|db| {
        Ok(ticket_attachments::table
            .select((ticket_attachments::file_name, ticket_attachments::content_hash))
            .load::<(String, String)>(db)?)
    });
    assert_eq!(kept.len(), names.len());
    for (name, hash) in &kept {
        assert!(!name.contains(['/', '\\']) && !name.starts_with('.'), "{name}");
        assert_eq!(app.app.storage.get(hash).unwrap(), archive, "as it came, and not unpacked");
    }
    let new: Vec<PathBuf> = kept_below(&data).difference(&before).cloned().collect();
    assert_eq!(new.len(), 1, "one content is kept once, under its hash: {new:?}");
    assert!(new[0].starts_with(data.join("files")) && new[0].ends_with(&kept[0].1), "{new:?}");
    assert!(!data.join("../../evil.txt").exists() && !data.join("../evil.txt").exists());

    // What could unpack is not in the program at all, but for what restores the operator's own sealed backups.
    let lock = include_str!("../../../Cargo.lock");
    for crate_name in ["zip", "async_zip", "sevenz-rust", "sevenz-rust2", "unrar", "cab", "ar", "compress-tools"] {
        assert!(!lock.contains(&format!("name = \"{crate_name}\"\n")), "{crate_name} unpacks archives");
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in kept_below(&source) {
        let is_of_backups = file.strip_prefix(&source).unwrap().to_string_lossy().contains("backup");
        let unpacks = std::fs::read_to_string(&file).is_ok_and(|text| text.contains("tar::"));
        assert!(is_of_backups || !unpacks, "{} unpacks archives", file.display());
    }
}

/// Every file below a folder but the database's own.
fn kept_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(kept_below(&path));
        } else if !entry.file_name().to_string_lossy().contains(".db")
            && !entry.file_name().to_string_lossy().contains("sqlite")
        {
            found.insert(path);
        }
    }
    found
}
