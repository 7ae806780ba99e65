//! Looking at what was captured, on both sides: the same page, nothing shown before it is on record, and every look told.

use accord::consent::withdrawing::Kept;
use accord::diagnostics::reading_record::{self, Action};
use accord::diagnostics::record::{Gap, Reason, put_gap};
use chrono::TimeDelta;

use super::*;
use crate::support::browser::{Answered, Browser};

/// A grant with a request in it: a page that read the database, said something, and failed.
pub struct Seen {
    pub process: Process,
    pub grant: Grant,
    pub pass: Pass,
    /// The customer's page and the agent's, without what is done there.
    pub customer_base: String,
    pub agent_base: String,
    pub claire: Browser,
    pub lea: Browser,
}

impl Seen {
    pub async fn begin() -> Seen {
        let mut process = Process::begin();
        let grant = process.grant();
        let pass = process.open(&grant);
        process.request(&grant, pass, 1);
        let (request, reference) = process.test.read(|db| {
            let request = asking::by_id(db, grant.request_id)?;
            let ticket = accord::tickets::ticket::by_id(db, grant.ticket_id)?;
            Ok((request, ticket.reference))
        });
        Seen {
            customer_base: format!("/consents/{}", request.handle),
            agent_base: format!("/tickets/{reference}/consents/{}", request.handle),
            claire: process.test.signed_in(process.cast.claire).await,
            lea: process.test.signed_in(process.cast.lea).await,
            process,
            grant,
            pass,
        }
    }

    pub fn looks(&self) -> Vec<reading_record::Reading> {
        self.process.test.read(|db| reading_record::of_grant(db, self.grant.id, 100))
    }

    pub async fn claire_posts(&self, what: &str, fields: &[(&str, &str)]) -> Answered {
        self.claire.post(&format!("{}/{what}", self.customer_base), fields).await
    }

    pub async fn lea_posts(&self, what: &str, fields: &[(&str, &str)]) -> Answered {
        self.lea.post(&format!("{}/{what}", self.agent_base), fields).await
    }
}

impl Process {
    /// A request as the layer records it, spans when they end: 2 ms in all, of which 0.5 ms were spent reading.
    pub fn request(&mut self, grant: &Grant, pass: Pass, activity: u64) {
        let moment = self.moment();
        let at = |micros: u64| moment.monotonic_nanos + micros * 1_000;
        let mut bytes = Vec::new();
        put_anchor(&mut bytes, 9, moment);
        let place = |parent, callsite| Place { activity, parent, callsite, rule: 0 };
        let mut fields = Fields::of_event();
        fields.text(0, "SELECT 1");
        bytes.extend_from_slice(fields.event(place(12, SQL), at(1_100)));
        bytes.extend_from_slice(Fields::of_span().span(place(11, READ), 12, at(1_000), at(1_500)));
        let mut fields = Fields::of_event();
        fields.text(0, "It failed for jean@client.example");
        bytes.extend_from_slice(fields.event(place(11, FAULT), at(1_800)));
        let mut fields = Fields::of_span();
        fields.text(1, "/requests/{reference}");
        fields.unsigned(2, 500);
        bytes.extend_from_slice(fields.span(place(0, REQUEST), 11, at(0), at(2_000)));
        let (micros, end) = (moment.wall_micros, moment.wall_micros + 2_000);
        let gap =
            Gap { reason: Reason::Budget, records: 1_204, from_micros: micros + 5_000, to_micros: micros + 9_000 };
        put_gap(&mut bytes, &gap);
        let chunk = Chunk { grant: grant.id.0, pass, bytes, records: 4, first_micros: micros, last_micros: end };
        assert_eq!(self.drain(vec![chunk]), []);
    }
}

#[actix_web::test]
async fn opening_the_page_reads_nothing_and_both_sides_read_the_same_records() {
    let seen = Seen::begin().await;
    for (browser, base) in [(&seen.claire, &seen.customer_base), (&seen.lea, &seen.agent_base)] {
        let page = browser.get(&format!("{base}/records")).await;
        page.assert_status(200).assert_silent_about("It failed").assert_says("Personne n’a encore lu");
    }
    assert_eq!(seen.looks(), []);
    let of_claire = seen.claire_posts("readings", &[]).await;
    let of_lea = seen.lea_posts("readings", &[("reason", "Le ticket parle d’un écran noir")]).await;
    let records = |page: &Answered| {
        let text = page.assert_status(200).text();
        let from = text.find("<ol class=\"traces\"").unwrap();
        text[from..from + text[from..].find("</ol>").unwrap()].to_owned()
    };
    assert_eq!(records(&of_claire), records(&of_lea), "the customer reads the very records the agent reads");
    let looks = seen.looks();
    assert_eq!(looks.len(), 2);
    assert_eq!((looks[0].reader, looks[0].records), (seen.process.cast.lea, 5));
    assert_eq!(looks[0].reason, "Le ticket parle d’un écran noir");
    assert_eq!((looks[1].reader, looks[1].action), (seen.process.cast.claire, Action::View));
    of_lea.assert_says("Claire").assert_says("Le ticket parle d’un écran noir");
}

#[actix_web::test]
async fn records_stand_by_trace_with_their_time_rule_masks_and_gaps() {
    let seen = Seen::begin().await;
    let page = seen.claire_posts("readings", &[]).await;
    // The request holds what it read and what it said; both fold.
    let text = page.text();
    let order = ["<strong>request</strong>", "2.000 ms", "<strong>read</strong>", "SELECT", "It failed for"];
    let places: Vec<usize> = order.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("no {part}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    page.assert_says("en propre 1.500 ms").assert_says("en propre 0.500 ms");
    page.assert_says("/requests/{reference}").assert_says("500").assert_says("1 erreur");
    page.assert_says("admis par\u{a0}: pages et interface de programmation")
        .assert_says("masqué (adresse électronique)");
    page.assert_silent_about("jean@client.example");
    page.assert_says("enregistrements perdus").assert_says("La quantité permise par seconde était atteinte.");
    // The bars are drawn by numbers, which our policy lets through, and not by styles, which it would not.
    page.assert_says("<rect class=\"own\" x=\"500\"").assert_silent_about(" style=");
}

#[actix_web::test]
async fn text_level_and_part_of_the_consent_narrow_what_is_shown_and_gaps_stay() {
    let seen = Seen::begin().await;
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Fields<'_>, &[&str], &[&str]); 4] = [
        (&[("text", "FAILED")], &["It failed"], &["SELECT", "/requests/{reference}"]),
        (&[("level", "error")], &["It failed"], &["SELECT", "/requests/{reference}"]),
        (&[("component", "database")], &["SELECT"], &["It failed", "/requests/{reference}"]),
        (&[("component", "pages"), ("level", "info")], &["It failed", "/requests/{reference}"], &["SELECT"]),
    ];
    for (fields, shown, hidden) in cases {
        let page = seen.lea_posts("readings", fields).await;
        shown.iter().for_each(|text| assert!(page.text().contains(text), "{fields:?} hides {text}"));
        hidden.iter().for_each(|text| assert!(!page.text().contains(text), "{fields:?} shows {text}"));
        page.assert_says("enregistrements perdus");
        let look = seen.looks().remove(0);
        assert_eq!(look.action, Action::Search);
        for (name, value) in fields {
            let told = match *name {
                "text" => &look.detail.text,
                "level" => &look.detail.level,
                _ => &look.detail.component,
            };
            assert_eq!(told, value);
        }
    }
    let page = seen.lea_posts("readings", &[("text", "nothing says this")]).await;
    page.assert_says("enregistrements perdus").assert_silent_about("SELECT");
}

#[actix_web::test]
async fn time_adds_up_over_the_whole_grant_and_that_is_a_look_at_everything() {
    let mut seen = Seen::begin().await;
    for activity in 2..=40 {
        seen.process.request(&seen.grant, seen.pass, activity);
    }
    let page = seen.lea_posts("flame", &[("form", "flame"), ("reason", "lent")]).await;
    page.assert_status(200).assert_says("80 étapes additionnées").assert_says("request › read");
    page.assert_says("80.000 ms").assert_says("60.000 ms").assert_says("20.000 ms").assert_says("25.0 %");
    page.assert_says("<svg viewBox=\"0 0 1200").assert_silent_about(" style=").assert_silent_about("<script>");
    let look = seen.looks().remove(0);
    assert_eq!((look.action, look.records, look.detail.form.as_str()), (Action::View, 200, "flame"));
    seen.claire.get(&format!("{}/records", seen.customer_base)).await.assert_says("a additionné, 200 enregistrements");
    seen.lea_posts("flame", &[("form", "csv")]).await.assert_status(404);
}

/// The stream of an answer, by event.
fn events(answer: &Answered) -> Vec<String> {
    assert_eq!(answer.assert_status(200).header("content-type"), Some("text/event-stream"));
    answer.text().split("\n\n").filter(|event| event.contains("data")).map(str::to_owned).collect()
}

#[actix_web::test]
async fn who_watches_live_gets_what_is_new_and_each_batch_is_on_record_before_it_leaves() {
    let mut seen = Seen::begin().await;
    let watch = [("after", "0"), ("seconds", "0"), ("reason", "pendant que Claire essaie")];
    let first = seen.lea_posts("live", &watch).await;
    let sent = events(&first);
    assert!(sent[0].starts_with("id: 1\ndata: ") || sent[0].contains("\nid: 1\n"), "{sent:?}");
    assert!(sent[0].contains("It failed") && sent[0].contains("masqué (adresse électronique)"), "{sent:?}");
    let looks = seen.looks();
    let told = |looks: &[reading_record::Reading]| -> Vec<_> {
        looks.iter().map(|look| (look.action, look.records)).collect()
    };
    assert_eq!(told(&looks), [(Action::Live, 5)]);
    assert_eq!(looks[0].reason, "pendant que Claire essaie");
    // From where one was; nothing new is sent, and nothing but the asking is on record.
    let watch = [("after", "1"), ("seconds", "0"), ("reason", "pendant que Claire essaie")];
    seen.process.test.clock.advance(TimeDelta::seconds(1));
    assert_eq!(events(&seen.lea_posts("live", &watch).await), Vec::<String>::new());
    assert_eq!(told(&seen.looks()), [(Action::Live, 0), (Action::Live, 5)]);
    // However often one asks, a look is on record once a second, and nothing is shown between.
    seen.process.request(&seen.grant, seen.pass, 2);
    assert_eq!(events(&seen.lea_posts("live", &watch).await), Vec::<String>::new());
    assert_eq!(seen.looks().len(), 2);
    seen.process.test.clock.advance(TimeDelta::seconds(1));
    assert_eq!(events(&seen.lea_posts("live", &watch).await).len(), 1);
    assert_eq!(told(&seen.looks())[0], (Action::Live, 5));
    // What belongs together is one row, and says that she watches now.
    let page = seen.claire.get(&format!("{}/records", seen.customer_base)).await;
    assert_eq!(page.text().matches("a suivi en direct").count(), 1);
    page.assert_says("a suivi en direct, 10 enregistrements").assert_says("suit en ce moment");
    seen.process.test.clock.advance(TimeDelta::minutes(1));
    seen.claire.get(&format!("{}/records", seen.customer_base)).await.assert_silent_about("suit en ce moment");
    // Whoever may not look is not let in, and whose capture is over is told so.
    let zoe = seen.process.test.signed_in(seen.process.cast.zoe).await;
    zoe.post(&format!("{}/live", seen.customer_base), &watch).await.assert_status(404);
    seen.process.withdraw(&seen.grant, Kept::No);
    seen.lea_posts("live", &watch).await.assert_status(409);
}

#[actix_web::test]
async fn a_look_by_staff_is_on_the_customer_s_open_page_and_asking_for_it_is_no_look() {
    let seen = Seen::begin().await;
    let page = format!("{}/looks?seconds=0&after=", seen.customer_base);
    assert_eq!(events(&seen.claire.get(&format!("{page}0")).await), Vec::<String>::new(), "nothing is new");
    seen.lea_posts("readings", &[("reason", "Je cherche l’erreur")]).await.assert_status(200);
    let sent = events(&seen.claire.get(&format!("{page}0")).await);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains("Je cherche l’erreur") && sent[0].contains("support"), "{sent:?}");
    assert!(!sent[0].contains("It failed"), "no record is in it");
    assert_eq!(events(&seen.claire.get(&format!("{page}1")).await), Vec::<String>::new());
    assert_eq!(seen.looks().len(), 1);
    let zoe = seen.process.test.signed_in(seen.process.cast.zoe).await;
    zoe.get(&format!("{page}0")).await.assert_status(404);
}

#[actix_web::test]
async fn everybody_traced_sees_who_looked_at_what_concerns_them() {
    let seen = Seen::begin().await;
    let paul = seen.process.test.signed_in(seen.process.cast.paul).await;
    paul.get("/account/readings").await.assert_says("Personne n’a rien regardé qui vous concerne");
    seen.lea_posts("readings", &[("reason", "Je cherche l’erreur")]).await.assert_status(200);
    for person in [seen.process.cast.paul, seen.process.cast.claire] {
        let browser = seen.process.test.signed_in(person).await;
        let page = browser.get("/account/readings").await;
        page.assert_status(200).assert_says("Léa").assert_says("Je cherche l’erreur");
        page.assert_says("Comprendre pourquoi l&#39;écran reste noir").assert_silent_about("It failed");
    }
    let zoe = seen.process.test.signed_in(seen.process.cast.zoe).await;
    zoe.get("/account/readings").await.assert_silent_about("Je cherche l’erreur");
}

#[actix_web::test]
async fn cn_11_the_reading_record_is_chained_carried_by_the_bundle_and_pinned_by_the_certificate() {
    use accord::consent::{receipt, register};
    use serde_json::{Value, json};
    let seen = Seen::begin().await;
    seen.lea_posts("readings", &[("reason", "un")]).await;
    seen.claire_posts("readings", &[]).await;
    seen.lea_posts("exports", &[("form", "csv")]).await.assert_status(200);
    let evidence = format!("{}/evidence.json", seen.customer_base);
    let bundle: Value = serde_json::from_slice(&seen.claire.get(&evidence).await.bytes).unwrap();
    let sound = receipt::verify(&bundle).unwrap();
    assert!(sound.parts.iter().any(|part| part.starts_with("3 looks")), "{:?}", sound.parts);
    let looks = &bundle["accord:readings"]["accord:looks"];
    assert_eq!(
        (&looks[0]["reason"], &looks[0]["side"], &looks[2]["action"]),
        (&json!("un"), &json!("staff"), &json!("export"))
    );
    assert!(looks[0]["name"].as_str().unwrap().starts_with("Léa"));

    // Signed anew with the operator's own key, what was changed shows all the same.
    let sign = |bundle: &Value, tamper: &dyn Fn(&mut Value)| {
        let mut changed = bundle.clone();
        tamper(&mut changed);
        changed.as_object_mut().unwrap().remove("proof");
        let (keys, now) = (&seen.process.test.app.keys, seen.process.now());
        accord::consent::signing::sign(keys, changed, now).unwrap().0
    };
    receipt::verify(&sign(&bundle, &|_| ())).unwrap();
    type Tamper = fn(&mut Value);
    let tampers: [(&str, Tamper); 6] = [
        ("a reason", |bundle| bundle["accord:readings"]["accord:looks"][0]["reason"] = json!("deux")),
        ("a reader", |bundle| bundle["accord:readings"]["accord:looks"][0]["reader"] = json!("somebody")),
        ("a time", |bundle| bundle["accord:readings"]["accord:looks"][1]["at"] = json!("2026-11-01T00:00:00Z")),
        ("the first look", |bundle| drop(bundle["accord:readings"]["accord:looks"].as_array_mut().unwrap().remove(0))),
        ("the last look", |bundle| drop(bundle["accord:readings"]["accord:looks"].as_array_mut().unwrap().pop())),
        ("all of it", |bundle| bundle["accord:readings"] = Value::Null),
    ];
    for (what, tamper) in tampers {
        assert!(receipt::verify(&sign(&bundle, &tamper)).is_err(), "{what} can be changed unnoticed");
    }

    // Once all is destroyed, the certificate knows how many looks there were: a shorter chain made anew shows too.
    seen.process.withdraw(&seen.grant, Kept::No);
    seen.process.test.run_jobs();
    let bundle: Value = serde_json::from_slice(&seen.claire.get(&evidence).await.bytes).unwrap();
    receipt::verify(&bundle).unwrap();
    let shorter = sign(&bundle, &|bundle| {
        let grant = bundle["accord:readings"]["accord:grant"].as_str().unwrap().to_owned();
        let looks = bundle["accord:readings"]["accord:looks"].as_array().unwrap()[..2].to_vec();
        bundle["accord:readings"] = accord::consent::looks::to_json(&grant, &looks);
    });
    assert!(receipt::verify(&shorter).is_err());
    assert_eq!(seen.process.test.read(reading_record::verify_all), 3);
    seen.process.test.read(register::verify_all);
}

/// CN-11: what somebody with the database in their hands does to the reading record is found by `accord check`.
#[actix_web::test]
async fn cn_11_a_changed_or_deleted_look_is_found_in_the_database() {
    for (what, sql) in [
        ("a reason rewritten", "UPDATE reading_records SET reason = 'autre' WHERE number = 2"),
        ("another reader", "UPDATE reading_records SET reader_id = (SELECT min(id) FROM people) WHERE number = 1"),
        ("fewer records", "UPDATE reading_records SET records = 0 WHERE number = 1"),
        ("the first gone", "DELETE FROM reading_records WHERE number = 1"),
        ("the last gone", "DELETE FROM reading_records WHERE number = 2"),
        ("all gone", "DELETE FROM reading_records"),
    ] {
        let seen = Seen::begin().await;
        for reason in ["un", "deux"] {
            seen.lea_posts("readings", &[("reason", reason)]).await.assert_status(200);
        }
        assert_eq!(seen.process.test.read(reading_record::verify_all), 2);
        assert!(seen.process.test.app.database.write_now(move |db| Ok(db.batch_execute(sql)?)).is_err(), "{what}");
        seen.process.test.write(|db| {
            for rule in ["reading_records_kept", "reading_records_stay"] {
                let drop = match db {
                    DbConnection::Sqlite(_) => format!("DROP TRIGGER {rule}"),
                    DbConnection::Postgres(_) => format!("DROP TRIGGER {rule} ON reading_records"),
                };
                db.batch_execute(&drop)?;
            }
            Ok(())
        });
        seen.process.sql(sql);
        let found = seen.process.test.app.database.read_now(reading_record::verify_all);
        assert!(found.is_err(), "{what} is not found");
    }
}

#[actix_web::test]
async fn the_customer_s_page_alone_reads_all_sees_each_look_stops_destroys_and_is_certain() {
    let seen = Seen::begin().await;
    seen.lea_posts("readings", &[("reason", "Je cherche l’erreur")]).await.assert_status(200);
    let base = &seen.customer_base;
    let page = seen.claire_posts("readings", &[]).await;
    for field in ["http.route", "/requests/{reference}", "http.status", "500", "SELECT", "It failed for"] {
        page.assert_says(field);
    }
    page.assert_says("Léa").assert_says("Je cherche l’erreur").assert_says("23 nov. 2026");
    seen.claire.post(&format!("{base}/withdrawal"), &[("keep", "true")]).await.assert_status(303);
    let page = seen.claire.get(&format!("{base}/records")).await;
    page.assert_says(&format!("action=\"{base}/destruction\""));
    seen.claire.post(&format!("{base}/destruction"), &[]).await.assert_status(303);
    seen.process.test.run_jobs();
    let page = seen.claire_posts("readings", &[]).await;
    page.assert_says("Il n’y a plus rien à lire").assert_silent_about("It failed").assert_says("Je cherche l’erreur");
    let receipt = seen.claire.get(&format!("{base}/receipt")).await;
    receipt.assert_says("certificate.jsonld");
    let certificate = seen.claire.get(&format!("{base}/certificate.jsonld")).await;
    let certificate: serde_json::Value = serde_json::from_slice(&certificate.bytes).unwrap();
    accord::consent::receipt::verify(&certificate).unwrap();
    assert_eq!(certificate["accord:destroyed"]["records"], 5);
    assert_eq!(certificate["accord:destroyed"]["looks"], 2);
}
