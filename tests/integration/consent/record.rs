//! The record of a consent, what the customer holds of it, and how tampering with either is found out (CN-11).

use accord::cli::verify;
use accord::consent::register::{self, Event, EventKind, verify_all, verify_links};
use accord::consent::withdrawing::{self, Kept};
use accord::consent::{ConsentRequest, Subject, grants, receipt, signing};
use accord::diagnostics::reading_record;
use accord::i18n::{Locale, has_key};
use accord::people::person;
use chrono::TimeDelta;
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

/// Every field that ISO/IEC TS 27560 and the GDPR ask for stands in every event, and says what is true.
#[test]
fn each_event_has_every_field_of_the_standard() {
    let story = Story::begin();
    story.taken(&format!(
        "UPDATE organisations SET address_lines = '3 quai des Chartrons', postal_code = '33000', city = 'Bordeaux', \
         country = 'FR', telephone = '+33 5 56 00 00 00' WHERE id = {}",
        story.cast.arnaud.0
    ));
    let request = story.over();
    let grant = story.grant_of(&request).unwrap();
    let events = story.events(&request);
    let operator = story.test.read(accord::consent::wording::operator);
    assert!(!operator.name.is_empty() && operator.contact.contains('@'), "{operator:?}");
    let of = |id| {
        let person = story.test.read(|db| person::by_id(db, id));
        (person.handle.clone(), person.display_name())
    };
    let queue = story.test.read(|db| accord::teams::queues::by_id(db, story.ticket.queue_id));
    let queue = queue.name(Locale::Fr).to_owned();
    let now = story.test.now().rfc3339();
    let until = story.test.now().plus(TimeDelta::minutes(60)).rfc3339();
    let expected = [
        ("requested", "staff", story.cast.lea),
        ("granted", "customer", story.cast.claire),
        ("withdrawn", "customer", story.cast.claire),
    ];
    assert_eq!(events.len(), expected.len());
    for (event, (kind, by, who)) in events.iter().zip(expected) {
        let mut body: Value = serde_json::from_str(&event.body).unwrap();
        let is_granted = kind != "requested";
        let (id, name) = of(who);
        // What each step says besides is its own; the notice is the kept text, which the other rows of this file look at.
        let detail = body.as_object_mut().unwrap().remove("detail").unwrap();
        assert_eq!(detail["reason"], if kind == "withdrawn" { json!("withdrawn") } else { Value::Null });
        let sha256 = body["notice"]["sha256"].as_str().unwrap().to_owned();
        let kept = story.test.read(|db| accord::consent::wording::kept(db, &sha256));
        assert!(kept.text.contains("Comprendre pourquoi l'écran reste noir"), "{}", kept.text);
        let recipients = body["recipients"][0].as_str().unwrap().to_owned();
        assert!(recipients.contains(&queue), "{recipients}");
        let expected = json!({
            "schema": "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr",
            "record_id": request.handle,
            "grant_id": is_granted.then(|| grant.handle.clone()),
            "receipt_id": is_granted.then(|| format!("receipt-{}", grant.handle)),
            "ticket": story.ticket.reference,
            "principal": { "kind": "organisation", "id": story.cast.arnaud_handle, "name": "Vignobles Arnaud" },
            "notice": { "version": kept.version, "sha256": request.wording_sha256, "language": "fr" },
            "purpose": { "text": "Comprendre pourquoi l'écran reste noir", "code": "fault" },
            "lawful_basis": "instruction",
            "information": {
                "scope": {
                    "components": [
                        { "component": "pages", "level": "debug" }, { "component": "database", "level": "debug" },
                    ],
                    "attributes": [],
                },
                "level": "debug",
                "manifest_sha256": accord::consent::manifest::Manifest::of(&request.terms.scope).sha256(),
                "may_be_sensitive": true,
                "special_categories_sought": false,
            },
            "controller": {
                "type": "controller", "name": operator.name, "address": operator.address, "country": operator.country,
                "contact": operator.contact,
            },
            "customer": {
                "type": "customer", "name": "Vignobles Arnaud", "address": "3 quai des Chartrons, 33000 Bordeaux",
                "country": "FR", "contact": "+33 5 56 00 00 00",
            },
            "recipients": [recipients],
            "third_parties": [],
            "collection_methods": ["server"],
            "storage": { "location": operator.country, "retention_days": 7 },
            "retained_until": (kind == "withdrawn").then(|| now.clone()),
            "exports_allowed": true,
            "jurisdiction": operator.country,
            "withdrawal_method": format!("/consents/{}", request.handle),
            "event": {
                "type": kind,
                "time": now,
                "entity": { "type": by, "id": id, "name": name },
                "validity_minutes": 60,
                "valid_until": is_granted.then(|| until.clone()),
                "state": match kind { "requested" => "requested", "granted" => "active", _ => "ended" },
            },
        });
        assert_eq!(body, expected, "{kind}");
        assert_eq!((event.kind.as_str(), event.actor.as_str(), event.actor_id), (kind, by, Some(who)));
    }
    // Of one person's own use it is consent.
    let own = story.ask(story.terms(Subject::Person(story.cast.paul)));
    story.grant(&own, None, story.cast.paul).unwrap();
    let granted: Value = serde_json::from_str(&story.events(&own)[1].body).unwrap();
    let (id, name) = of(story.cast.paul);
    assert_eq!(granted["lawful_basis"], "consent");
    assert_eq!(granted["principal"], json!({ "kind": "person", "id": id, "name": name }));
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

#[actix_web::test]
async fn the_ledger_names_what_happened_to_a_consent_in_words() {
    for (locale, kind) in
        [Locale::Fr, Locale::En].into_iter().flat_map(|locale| EventKind::ALL.iter().map(move |kind| (locale, kind)))
    {
        assert!(has_key(locale, &format!("ledger-consent-{}", kind.as_str().replace('_', "-"))), "{kind}");
    }
    let story = Story::begin();
    story.granted(&story.ask_all());
    let odile = story.test.signed_in(story.cast.odile).await;
    let page = odile.get("/admin/ledger").await;
    page.assert_status(200).assert_says("Diagnostic demandé").assert_says("Diagnostic accordé");
    page.assert_silent_about("consent_");
}
