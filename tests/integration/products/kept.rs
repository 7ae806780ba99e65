//! What is kept of what products send: inside the grant, for the organisation it is of, and for as long as it lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use accord::config::UserAttributes;
use accord::consent::life::EndReason;
use accord::db::DbConnection;
use accord::diagnostics::otlp::{self, Admission, Encoding};
use accord::diagnostics::record::{Record, Value};
use accord::error::Error;
use accord::worker::publishing;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::*;
use crate::support::files;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Desk {
    fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) AS count FROM {table}");
        self.test.read(|db: &mut DbConnection| Ok(diesel::sql_query(query).get_result::<Count>(db)?.count))
    }
}

#[actix_web::test]
async fn what_a_product_sends_is_read_by_the_customer_like_everything_else() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    let sent = Span {
        name: "create invoice".to_owned(),
        attributes: vec![text("invoice.id", "F-2026-117"), text("http.route", "by jean@client.example")],
        ..desk.span(1)
    };
    desk.send(&token, vec![sent]).await.assert_status(200);
    let records = desk.read(&grant);
    let Record::Span(span) = &records[0].record else { panic!("{records:?}") };
    assert_eq!((span.id, span.body.trace, span.body.target.as_str()), (1, 7, "billing"));
    let claire = desk.test.signed_in(desk.cast.claire).await;
    let page = format!("{}/readings", desk.page(&grant));
    let shown =
        claire.post(&page, &[("text", ""), ("level", ""), ("reason", ""), ("chunk", "0"), ("record", "0")]).await;
    shown.assert_status(200).assert_says("create invoice").assert_says("F-2026-117").assert_says("billing");
    shown.assert_silent_about("jean@client.example");
    let counters = desk.test.read(|db| trace_store::counters(db, grant.id));
    assert_eq!((counters.captured, counters.masked.get("email")), (1, Some(&1)));
}

#[actix_web::test]
async fn what_is_not_taken_is_counted_for_the_customer_to_see() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    let early = Span { start_time_unix_nano: 1, ..desk.span(2) };
    let elsewhere = Span { attributes: vec![text("tenant.id", "another")], ..desk.span(3) };
    desk.send(&token, vec![desk.span(1), early, elsewhere]).await.assert_status(200);
    let counters = desk.test.read(|db| trace_store::counters(db, grant.id));
    assert_eq!((counters.captured, counters.dropped.late, counters.dropped.out_of_scope), (1, 1, 1));
}

#[actix_web::test]
async fn a_grant_for_one_s_own_use_takes_only_what_says_that_it_is_of_that_person() {
    let desk = Desk::begin().await;
    let grant = desk.grant_of(desk.cast.paul, Subject::Person(desk.cast.paul), "");
    desk.test.clock.advance(TimeDelta::minutes(1));
    let token = desk.token(&grant).await;
    let paul = desk.test.read(|db| person::by_id(db, desk.cast.paul)).handle;
    let of = |id, user: &str| Span { attributes: vec![text("user.id", user)], ..desk.span(id) };
    let below = Span { parent_span_id: 1_u64.to_be_bytes().to_vec(), ..desk.span(4) };
    let spans = vec![of(1, &paul), of(2, "Paul@Arnaud.example"), of(3, "claire@arnaud.example"), below, desk.span(5)];
    desk.send(&token, spans).await.assert_status(200);
    let kept: Vec<u64> = desk
        .read(&grant)
        .iter()
        .filter_map(|redacted| if let Record::Span(span) = &redacted.record { Some(span.id) } else { None })
        .collect();
    assert_eq!(kept, [1, 2, 4]);
    let browser = desk.test.signed_in(desk.cast.paul).await;
    let page = browser.post(&format!("{}/token", desk.page(&grant)), &[]).await;
    page.assert_says(&format!("user.id = {paul}"));
}

/// CN-12: with whatever a product says, and whatever it sends to, nothing of one organisation stands with another's.
#[actix_web::test]
async fn cn_12_tokens_of_two_organisations_never_mix() {
    let desk = Desk::begin().await;
    let of_arnaud = desk.grant();
    let of_brun = desk.grant_of(desk.cast.zoe, Subject::Organisation, "");
    desk.test.clock.advance(TimeDelta::seconds(5));
    let tokens = [desk.token(&of_arnaud).await, desk.token(&of_brun).await];
    for round in 0..10 {
        for (token, name) in tokens.iter().zip(["arnaud", "brun"]) {
            let own = Span { name: format!("canary of {name}"), ..desk.span(round + 1) };
            let handle = if name == "arnaud" { &desk.cast.brun_handle } else { &desk.cast.arnaud_handle };
            let other = Span { attributes: vec![text("tenant.id", handle)], name: "astray".to_owned(), ..own.clone() };
            desk.send(token, vec![own, other]).await.assert_status(200);
        }
    }
    for (grant, name) in [(&of_arnaud, "arnaud"), (&of_brun, "brun")] {
        let kept = desk.read(grant);
        assert_eq!(kept.len(), 10);
        let is_own = |redacted: &Redacted| matches!(&redacted.record, Record::Span(span) if span.body.name == format!("canary of {name}"));
        assert!(kept.iter().all(is_own), "{kept:?}");
    }
}

#[actix_web::test]
async fn a_span_that_says_what_was_looked_for_is_the_last() {
    let desk = Desk::begin().await;
    let grant = desk.grant_of(desk.cast.claire, Subject::Organisation, "GPU lost");
    desk.test.clock.advance(TimeDelta::seconds(5));
    let token = desk.token(&grant).await;
    desk.send(&token, vec![desk.span(1)]).await.assert_status(200);
    let found = Span { name: "the gpu LOST its mind".to_owned(), ..desk.span(2) };
    desk.send(&token, vec![found]).await.assert_status(200);
    assert_eq!(desk.again(&grant).end_reason, Some(EndReason::Reproduced));
    desk.send(&token, vec![desk.span(3)]).await.assert_status(403);
    assert_eq!(desk.read(&grant).len(), 2);
}

#[actix_web::test]
async fn nothing_is_taken_for_a_grant_whose_end_still_waits_to_be_recorded() {
    let desk = Desk::begin().await;
    let grant = desk.grant_of(desk.cast.claire, Subject::Organisation, "GPU lost");
    desk.test.clock.advance(TimeDelta::seconds(5));
    let token = desk.token(&grant).await;
    desk.test.write(|db| Ok(db.batch_execute("ALTER TABLE consent_events RENAME TO elsewhere")?));
    let found = Span { name: "the gpu LOST its mind".to_owned(), ..desk.span(1) };
    desk.send(&token, vec![found]).await.assert_status(200);
    assert_eq!(desk.again(&grant).end_reason, None);
    desk.send(&token, vec![desk.span(2)]).await.assert_status(403);
    desk.test.write(|db| Ok(db.batch_execute("ALTER TABLE elsewhere RENAME TO consent_events")?));
    desk.send(&token, vec![desk.span(3)]).await.assert_status(403);
    publishing::record_ends(&desk.test.app).unwrap();
    assert_eq!(desk.again(&grant).end_reason, Some(EndReason::Reproduced));
    assert_eq!(desk.read(&grant).len(), 1);
}

/// CN-01: several products send while the customer withdraws. Whoever is told that a span was kept was told before the
/// withdrawal was answered, and nothing is kept by anybody afterwards.
#[actix_web::test]
async fn cn_01_nothing_that_products_send_is_kept_after_a_withdrawal_in_the_order_of_the_database() {
    const ROUNDS: usize = 20;
    let desk = Desk::begin().await;
    let mut raced = 0;
    for round in 0..ROUNDS {
        let grant = desk.grant();
        let bytes: Vec<u8> = request(vec![desk.span(1), desk.span(2)]).encode_to_vec();
        let (withdrawn, is_sending) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let kept = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..3)
                .map(|_| {
                    let (withdrawn, bytes, grant) = (withdrawn.clone(), bytes.clone(), grant.clone());
                    let is_sending = is_sending.clone();
                    let app = desk.test.app.clone();
                    let organisation = desk.cast.arnaud_handle.clone();
                    scope.spawn(move || {
                        let mut kept = 0;
                        loop {
                            let was_withdrawn = withdrawn.load(Ordering::SeqCst);
                            let (keys, clock) = (app.keys.clone(), app.clock.clone());
                            let (id, of, name, bytes) = (grant.id, grant.clone(), organisation.clone(), bytes.clone());
                            let stored = app.database.write_now(move |db| {
                                let key = trace_store::key(db, &keys, id, &clock)?.ok_or(Error::Forbidden)?;
                                let live = grants::with_manifest(db, of.clone())?;
                                let admission =
                                    Admission::of(db, &live, &name, &UserAttributes::default(), &key)?.unwrap();
                                let now = clock.now();
                                let taken = admission.take(&bytes.clone().into(), Encoding::Protobuf, now).unwrap();
                                otlp::store(db, &of, &key, &taken, &clock)
                            });
                            match stored {
                                Ok(_) => {
                                    assert!(!was_withdrawn, "kept although the withdrawal had been answered");
                                    is_sending.store(true, Ordering::SeqCst);
                                    kept += 2;
                                }
                                Err(Error::Forbidden) => return kept,
                                Err(error) => panic!("{error:?}"),
                            }
                        }
                    })
                })
                .collect();
            // Every other round in the midst of sending, however slow the senders begin.
            while round % 2 == 0 && !is_sending.load(Ordering::SeqCst) && !senders.iter().all(|one| one.is_finished()) {
                std::thread::yield_now();
            }
            let began = Instant::now();
            desk.withdraw(&grant, Kept::UntilItsDate);
            assert!(began.elapsed() < Duration::from_secs(5), "it does not wait for as long as anything is sent");
            withdrawn.store(true, Ordering::SeqCst);
            senders.into_iter().map(|sender| sender.join().unwrap()).sum::<usize>()
        });
        assert_eq!(desk.read(&grant).len(), kept);
        raced += kept;
    }
    assert!(raced > 0, "the withdrawal always came first, so nothing raced");
}

/// CN-10: withdrawn, it is gone from the tables and the files, and a late sender brings nothing back.
#[actix_web::test]
async fn cn_10_what_products_sent_is_destroyed_and_nothing_of_it_comes_back() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    for id in 1..6 {
        desk.send(&token, vec![desk.span(id)]).await.assert_status(200);
    }
    let pieces: Vec<Vec<u8>> = desk.test.read(|db| {
        use accord::db::schema::{trace_chunks, trace_keys};
        let mut pieces: Vec<Vec<u8>> = trace_chunks::table.select(trace_chunks::sealed).load(db)?;
        pieces.extend(trace_keys::table.select(trace_keys::wrapped_key).load::<Vec<u8>>(db)?);
        Ok(pieces)
    });
    assert_eq!(pieces.len(), 6);
    let pieces: Vec<Vec<u8>> = pieces.into_iter().map(|piece| piece[..24].to_vec()).collect();
    assert_eq!(
        files::found(desk.test.app.database.url(), &pieces).len(),
        6,
        "or the search below finds nothing anyway"
    );
    desk.withdraw(&grant, Kept::No);
    desk.test.run_jobs();
    desk.send(&token, vec![desk.span(9)]).await.assert_status(403);
    for table in ["trace_keys", "trace_chunks", "trace_counters"] {
        assert_eq!(desk.count(table), 0, "{table}");
    }
    assert!(desk.again(&grant).destroyed_at.is_some());
    assert_eq!(files::found(desk.test.app.database.url(), &pieces), []);
}

/// CN-09: a secret in every text that a product can send.
#[actix_web::test]
async fn cn_09_no_canary_that_a_product_sends_is_kept_in_any_field() {
    let desk = Desk::begin().await;
    let grant = desk.grant();
    let token = desk.token(&grant).await;
    for canary in [
        "password=canaryhunter2",
        "Bearer canaryabcdef0123",
        "ghp_canaryabcdef0123456789abcd",
        "canary@client.example",
        "https://canary:canary@db.example/x?q=canary",
    ] {
        let names =
            ["http.route", "invoice.id", "url.path", "db.query.summary", "exception.message", "mail.body", "password"];
        let attributes = names.iter().map(|name| text(name, canary)).collect();
        let sent = Span { name: canary.to_owned(), attributes, trace_state: canary.to_owned(), ..desk.span(1) };
        desk.send(&token, vec![sent]).await.assert_status(200);
    }
    let kept = desk.read(&grant);
    let texts = |redacted: &Redacted| match &redacted.record {
        Record::Span(span) => {
            let fields = span.body.fields.iter().map(|field| match &field.value {
                Value::Text(text) => text.clone(),
                other => format!("{other:?}"),
            });
            fields.chain([span.body.name.clone()]).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let leaked: Vec<String> = kept.iter().flat_map(texts).filter(|text| text.contains("canary")).collect();
    assert_eq!((kept.len(), leaked), (5, Vec::new()));
}
