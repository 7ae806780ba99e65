//! The record of a consent, what the customer holds of it, and how tampering with either is found out (CN-11).

use accord::cli::verify;
use accord::consent::register::{self, Event, verify_all, verify_links};
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{ConsentRequest, Subject, grants, receipt, signing};
use accord::diagnostics::reading_record;
use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::{Story, without_rule};

impl Story {
    fn events(&self, request: &ConsentRequest) -> Vec<Event> {
        self.test.read(|db| register::of_request(db, request.id))
    }

    fn bundle(&self, request: &ConsentRequest) -> Value {
        let now = self.test.now();
        self.test.read(|db| {
            let readings = match grants::of_request(db, request.id)? {
                Some(grant) => Some(reading_record::bundled(db, &grant)?),
                None => None,
            };
            receipt::bundle(db, &self.test.app.keys, request, readings, now)
        })
    }

    /// Asked, granted and withdrawn.
    fn over(&self) -> ConsentRequest {
        let request = self.ask_all();
        self.granted(&request);
        let claire = self.test.actor(self.cast.claire);
        let (ended, now) = (request.clone(), self.test.now());
        self.test.write(move |db| withdrawing::withdraw(db, &ended, Kept::No, &claire, now));
        request
    }
}

/// Every field that ISO/IEC TS 27560 and the GDPR ask for stands in every event.
#[test]
fn each_event_has_every_field_of_the_standard() {
    let story = Story::begin();
    let request = story.over();
    let events = story.events(&request);
    assert_eq!(
        events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(),
        ["requested", "granted", "withdrawn"]
    );
    for event in &events {
        let body: Value = serde_json::from_str(&event.body).unwrap();
        for field in [
            "/schema",
            "/record_id",
            "/principal/kind",
            "/principal/id",
            "/notice/version",
            "/notice/sha256",
            "/notice/language",
            "/purpose/text",
            "/purpose/code",
            "/lawful_basis",
            "/information/scope",
            "/information/manifest_sha256",
            "/information/may_be_sensitive",
            "/controller/name",
            "/controller/contact",
            "/customer/name",
            "/recipients/0",
            "/third_parties",
            "/collection_methods/0",
            "/storage/location",
            "/storage/retention_days",
            "/jurisdiction",
            "/withdrawal_method",
            "/event/type",
            "/event/time",
            "/event/entity/type",
            "/event/validity_minutes",
            "/event/state",
        ] {
            assert!(body.pointer(field).is_some_and(|value| !value.is_null()), "{field} in {}", event.kind);
        }
        assert_eq!(body["lawful_basis"], "instruction");
        let sha256 = body["notice"]["sha256"].as_str().unwrap().to_owned();
        let kept = story.test.read(|db| accord::consent::wording::kept(db, &sha256));
        assert!(kept.text.contains("Comprendre pourquoi l'écran reste noir"), "{}", kept.text);
    }
    let granted: Value = serde_json::from_str(&events[1].body).unwrap();
    assert_eq!(granted["event"]["entity"]["name"].as_str().unwrap().split(' ').next(), Some("Claire"));
    // Of one person's own use it is consent.
    let own = story.ask(story.terms(Subject::Person(story.cast.paul)));
    story.grant(&own, None, story.cast.paul).unwrap();
    let granted: Value = serde_json::from_str(&story.events(&own)[1].body).unwrap();
    assert_eq!(granted["lawful_basis"], "consent");
    assert_eq!(granted["principal"]["kind"], "person");
}

/// CN-11: evidence is only added to.
#[test]
fn cn_11_the_database_refuses_to_change_or_remove_evidence() {
    let story = Story::begin();
    story.over();
    for table in ["consent_events", "consent_receipts", "consent_wordings"] {
        story.refused(&format!("UPDATE {table} SET created_at = created_at"));
        story.refused(&format!("DELETE FROM {table}"));
    }
}

/// CN-11: what somebody with the database in their hands does to the record is found by `accord check`.
#[test]
fn cn_11_a_changed_or_deleted_row_is_found_in_the_database() {
    for (what, rule, sql) in [
        (
            "a body rewritten",
            "consent_events_kept",
            "UPDATE consent_events SET body = replace(body, 'écran', 'clavier') WHERE number = 2",
        ),
        ("another actor", "consent_events_kept", "UPDATE consent_events SET actor = 'staff' WHERE number = 2"),
        ("another time", "consent_events_kept", "UPDATE consent_events SET created_at = '2026-11-01 00:00:00'"),
        ("the first gone", "consent_events_stay", "DELETE FROM consent_events WHERE number = 1"),
        ("one in the middle gone", "consent_events_stay", "DELETE FROM consent_events WHERE number = 2"),
        ("the last gone", "consent_events_stay", "DELETE FROM consent_events WHERE number = 3"),
        ("all gone", "consent_events_stay", "DELETE FROM consent_events"),
    ] {
        let story = Story::begin();
        story.over();
        assert_eq!(story.test.read(verify_all).events, 3);
        story.test.write(move |db| {
            without_rule(db, rule, "consent_events")?;
            Ok(db.batch_execute(sql)?)
        });
        let found = story.test.app.database.read_now(verify_all);
        assert!(found.is_err(), "{what} is not found");
    }
    let story = Story::begin();
    story.over();
    story.test.write(|db| {
        without_rule(db, "consent_receipts_kept", "consent_receipts")?;
        Ok(db.batch_execute("UPDATE consent_receipts SET document = replace(document, 'PT60M', 'PT90M')")?)
    });
    assert!(story.test.app.database.read_now(verify_all).is_err(), "a changed receipt is not found");
}

/// CN-11: what the customer holds is checked with nothing but the file.
#[test]
fn cn_11_accord_verify_checks_what_the_customer_holds_without_a_server() {
    let story = Story::begin();
    let request = story.over();
    let bundle = story.bundle(&request);
    let folder = tempfile::tempdir().unwrap();
    let check = |document: &Value, key: Option<&str>| {
        let file = folder.path().join("evidence.json");
        std::fs::write(&file, serde_json::to_string_pretty(document).unwrap()).unwrap();
        verify::check(&file, key)
    };
    let own = signing::key_in_force(&story.test.app.keys).unwrap();
    let lines = check(&bundle, Some(&own)).unwrap();
    assert!(lines.iter().any(|line| line.contains("3 events")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("the receipt is as it was signed, at event 2")), "{lines:?}");
    assert!(check(&bundle, None).unwrap().iter().any(|line| line.contains(&own)));
    check(&bundle["accord:receipt"], Some(&own)).unwrap();
    let stranger = signing::key_in_force(&accord::keys::Keys::ephemeral()).unwrap();
    assert!(check(&bundle, Some(&stranger)).is_err(), "another key is another signer");

    type Tamper = fn(&mut Value);
    let tampers: [(&str, Tamper); 7] = [
        ("a purpose", |bundle| bundle["accord:receipt"]["dpv:hasRecordOfActivity"]["dct:identifier"] = json!("x")),
        ("a body", |bundle| bundle["accord:events"][1]["body"] = json!("{}")),
        ("a time", |bundle| bundle["accord:events"][1]["at"] = json!("2026-11-01T00:00:00Z")),
        ("the last event", |bundle| drop(bundle["accord:events"].as_array_mut().unwrap().pop())),
        ("the first event", |bundle| drop(bundle["accord:events"].as_array_mut().unwrap().remove(0))),
        ("the receipt", |bundle| bundle["accord:receipt"] = Value::Null),
        ("a wording", |bundle| {
            let wordings = bundle["accord:wordings"].as_object_mut().unwrap();
            wordings.values_mut().for_each(|text| *text = json!("other"));
        }),
    ];
    for (what, tamper) in tampers {
        let mut changed = bundle.clone();
        tamper(&mut changed);
        assert!(check(&changed, None).is_err(), "{what} can be changed unnoticed");
        // Signed again by somebody else, it does not pass for the operator's.
        changed.as_object_mut().unwrap().remove("proof");
        let (forged, _) = signing::sign(&accord::keys::Keys::ephemeral(), changed, story.test.now()).unwrap();
        assert!(check(&forged, Some(&own)).is_err(), "{what} can be forged");
    }
    // Even the operator's own key cannot make a chain say what it did not.
    let mut changed = bundle.clone();
    changed.as_object_mut().unwrap().remove("proof");
    changed["accord:events"].as_array_mut().unwrap().remove(1);
    let (signed, _) = signing::sign(&story.test.app.keys, changed, story.test.now()).unwrap();
    assert!(check(&signed, Some(&own)).is_err());
    assert!(verify::check(&folder.path().join("none"), None).is_err());
}

#[test]
fn links_do_not_move_between_records() {
    let story = Story::begin();
    let (one, other) = (story.over(), story.over());
    let links = |request: &ConsentRequest| story.events(request).iter().map(Event::to_json).collect::<Vec<_>>();
    assert!(verify_links(&one.handle, &links(&one)).is_ok());
    assert!(verify_links(&one.handle, &links(&other)).is_err());
    assert_eq!(verify_links(&one.handle, &[]), Ok(register::beginning()));
}
