//! The state of the installation at a glance, and trying again what failed.

use std::collections::HashMap;

use actix_web::web::Data;
use askama::Template;

use crate::app::App;
use crate::audit;
use crate::backup::last;
use crate::clock::UtcTime;
use crate::config::imap::ImapAccount;
use crate::config::mail::Outgoing;
use crate::db::{DbConnection, disk};
use crate::diagnostics::scrubbing::{self, Owed};
use crate::error::Result;
use crate::i18n::{Message, Texts};
use crate::journal::imap::standing::{self, Standing};
use crate::people::roles::Permission;
use crate::people::{mail_wishes, suppression};
use crate::queue::{self, FailedJob};
use crate::schedule::{self, Course};
use crate::web::admin::relays::{self, RelayStanding};
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::page::{Page, Tone};
use crate::web::page_error::PageResult;
use crate::web::respond::{page, redirect_saying};
use crate::web::signed_in::Staff;
use crate::{journal, outbox};

/// Addresses shown whose mail comes back.
const LOOPED_SHOWN: i64 = 20;
/// Failed jobs shown one by one; more are only counted.
const FAILED_SHOWN: i64 = 20;
/// Rows of the ledger that are verified for this page; a longer one is verified on a page of its own.
const LEDGER_ROWS: i64 = 20_000;

/// `GET /admin/status`
pub async fn show(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    let now = app.clock.now();
    let found = app.database.read(move |db| load(db, now)).await?;
    let room = disk::room(&app.config.data).ok();
    let has_ballast = app.storage.ballast().is_held();
    let p = staff.page(&app, "status-title", Place::Status);
    let t = p.t;
    let database = if app.config.database.url.is_sqlite() { "SQLite" } else { "PostgreSQL" };
    let mut lines = vec![
        Line::new(&t, "status-version", "info", Tone::Plain, env!("CARGO_PKG_VERSION").to_owned()),
        Line::new(&t, "status-database", "database", Tone::Done, t.with("status-database-answers", "name", database)),
        ledger_line(&t, found.ledger),
        match room {
            Some(room) => {
                let tone = if room.is_low() { Tone::Late } else { Tone::Done };
                let key = if has_ballast { "status-room-left" } else { "status-room-without-ballast" };
                Line::new(&t, "status-room", "server", tone, t.with(key, "size", t.size(room.free)))
            }
            None => Line::new(&t, "status-room", "server", Tone::Act, t.say("status-room-unknown")),
        },
        backup_line(&t, last::find(&app.config, p.now), p.now, app.config.database.url.is_sqlite()),
        {
            let tone = if found.journal.held + found.journal.failed > 0 { Tone::Act } else { Tone::Done };
            let text = Message::new("status-mail-in-counts")
                .with("waiting", t.number(found.journal.waiting))
                .with("held", t.number(found.journal.held))
                .with("failed", t.number(found.journal.failed));
            let text = t.message(&text);
            Line::new(&t, "status-mail-in", "inbox", tone, text).leading_to("/admin/unprocessed-mail")
        },
    ];
    lines.extend(account_lines(&t, &app, &found.accounts, now));
    lines.extend((!found.looped.is_empty()).then(|| {
        let text = t.with("status-looped-addresses", "addresses", found.looped.join(", "));
        Line::new(&t, "status-looped", "alert", Tone::Late, text).leading_to("/admin/people")
    }));
    lines.extend(relay_lines(&t, &found.relays.standings(&app)));
    lines.extend([
        {
            let goes_to_files = matches!(app.config.mail.outgoing, Outgoing::Files(_));
            let tone = match (found.outbox.dead, goes_to_files) {
                (1.., _) => Tone::Late,
                (_, true) => Tone::Act,
                (_, false) => Tone::Done,
            };
            let (waiting, dead) = (t.number(found.outbox.waiting), t.number(found.outbox.dead));
            let mut text = t.with2("status-mail-out-counts", "waiting", waiting, "dead", dead);
            if goes_to_files {
                text = format!("{text}. {}", t.say("status-mail-to-files"));
            }
            Line::new(&t, "status-mail-out", "send", tone, text).leading_to("/admin/outgoing-mail")
        },
        {
            let tone = if found.complaints > 0 { Tone::Act } else { Tone::Done };
            Line::new(&t, "status-complaints", "alert", tone, t.count("status-complaints-count", found.complaints))
        },
        {
            let tone = if found.failed_jobs > 0 { Tone::Late } else { Tone::Done };
            let (waiting, failed) = (t.number(found.waiting_jobs), t.number(found.failed_jobs));
            let text = t.with2("status-jobs-counts", "waiting", waiting, "failed", failed);
            Line::new(&t, "status-jobs", "bolt", tone, text)
        },
        destroyed_line(&t, found.owed, p.now),
        {
            let damaged = app.storage.damaged();
            let tone = if damaged > 0 { Tone::Late } else { Tone::Done };
            let damaged = i64::try_from(damaged).unwrap_or(i64::MAX);
            Line::new(&t, "status-files", "file", tone, t.count("status-files-damaged", damaged))
        },
        clock_line(&t, found.clock),
    ]);
    let is_clock_ahead = matches!(found.clock, Course::Ahead { .. });
    page(&StatusPage { lines, is_clock_ahead, jobs: found.jobs, p })
}

/// `POST /admin/status/clock`: the time is right, and what waits for that goes on.
pub async fn confirm_clock(app: Data<App>, staff: Staff, _: Form<Nothing>) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    let (now, by) = (app.clock.now(), staff.staff.person);
    app.database
        .write(move |db| {
            // Pressed twice, it is written down once.
            let Course::Ahead { .. } = schedule::course(db, now)? else { return Ok(()) };
            schedule::note_time(db, now)?;
            let detail = serde_json::json!({});
            let (kind, actor) = ("clock_confirmed", Some(by));
            audit::record(db, &audit::Entry { kind, actor, subject: None, organisation: None, detail }, now)
        })
        .await?;
    Ok(redirect_saying("/admin/status", "said-clock-confirmed"))
}

/// `POST /admin/status/jobs`: tries every failed job again.
pub async fn retry_jobs(app: Data<App>, staff: Staff, _: Form<Nothing>) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    let now = app.clock.now();
    app.database.write(move |db| queue::retry_all(db, now)).await?;
    Ok(redirect_saying("/admin/status", "said-jobs-again"))
}

struct Found {
    waiting_jobs: i64,
    failed_jobs: i64,
    jobs: Vec<FailedJob>,
    journal: journal::unprocessed::Counts,
    outbox: outbox::listing::Counts,
    complaints: i64,
    /// Addresses of the staff whose mail comes back to us (LP-08).
    looped: Vec<String>,
    relays: relays::Loaded,
    ledger: Ledger,
    owed: Option<Owed>,
    clock: Course,
    accounts: HashMap<String, Standing>,
}

enum Ledger {
    Sound(i64),
    Broken,
    /// Too long to be read for this page.
    Long(i64),
}

fn load(db: &mut DbConnection, now: UtcTime) -> Result<Found> {
    let (waiting_jobs, failed_jobs) = queue::counts(db)?;
    let rows = audit::list(db, None, 1)?.first().map_or(0, |(record, _)| record.sequence);
    let ledger =
        if rows > LEDGER_ROWS { Ledger::Long(rows) } else { audit::verify(db).map_or(Ledger::Broken, Ledger::Sound) };
    Ok(Found {
        waiting_jobs,
        failed_jobs,
        jobs: queue::failed(db, FAILED_SHOWN)?,
        journal: journal::unprocessed::counts(db)?,
        outbox: outbox::listing::counts(db)?,
        relays: relays::load(db)?,
        looped: suppression::looped(db, LOOPED_SHOWN)?,
        complaints: mail_wishes::recent_complaints(db, now)?,
        ledger,
        owed: scrubbing::owed(db)?,
        clock: schedule::course(db, now)?,
        accounts: standing::all(db)?,
    })
}

/// How each account of the settings stands from which mail is fetched.
fn account_lines(t: &Texts, app: &App, accounts: &HashMap<String, Standing>, now: UtcTime) -> Vec<Line> {
    let line = |account: &ImapAccount| {
        let standing = accounts.get(&account.name).cloned().unwrap_or_default();
        let mut sentences = Vec::new();
        match (&standing.trouble, standing.connected_since) {
            (Some((kind, words, since)), _) => {
                sentences.push(t.say(&format!("imap-trouble-{kind}")));
                sentences.push(t.with("imap-since", "since", t.date_time(since)));
                if !words.is_empty() {
                    sentences.push(t.with("imap-said", "words", words.as_str()));
                }
            }
            (None, Some(since)) => sentences.push(t.with("imap-connected", "since", t.date_time(&since))),
            (None, None) => sentences.push(t.say("imap-not-connected")),
        }
        if standing.stuck > 0 {
            sentences.push(t.count("imap-stuck", standing.stuck));
            sentences.push(t.with("imap-said", "words", standing.stuck_words.as_str()));
        }
        sentences.push(match standing.last_mail_at {
            Some(last) => t.with("imap-last-mail", "ago", t.ago(&last, &now)),
            None => t.say("imap-no-mail"),
        });
        let tone = match (&standing.trouble, standing.connected_since) {
            _ if standing.is_in_lasting_trouble(now) => Tone::Late,
            (Some(_), _) => Tone::Act,
            _ if standing.stuck > 0 => Tone::Act,
            (None, Some(_)) => Tone::Done,
            (None, None) => Tone::Plain,
        };
        let title = t.with("imap-account", "name", account.name.as_str());
        Line { title, ..Line::new(t, "status-mail-in", "mail", tone, sentences.join(" ")) }
    };
    app.config.mail.imap.iter().map(line).collect()
}

/// How each relay stands, where there are several, or one takes no mail.
fn relay_lines(t: &Texts, relays: &[RelayStanding]) -> Vec<Line> {
    let are_shown = |relay: &&RelayStanding| relays.len() > 1 || relay.needs_a_look();
    let line = |relay: &RelayStanding| {
        let tone = match (relay.is_in_trouble(), relay.needs_a_look()) {
            (true, _) => Tone::Late,
            (false, true) => Tone::Act,
            (false, false) => Tone::Done,
        };
        let line = Line::new(t, "status-mail-out", "send", tone, relay.text(t)).leading_to("/admin/outgoing-mail");
        Line { title: relay.title(t), ..line }
    };
    relays.iter().filter(are_shown).map(line).collect()
}

fn destroyed_line(t: &Texts, owed: Option<Owed>, now: UtcTime) -> Line {
    let (tone, text) = match owed {
        None => (Tone::Done, t.say("status-destroyed-gone")),
        Some(owed) => {
            let tone = if owed.is_late(now) { Tone::Late } else { Tone::Act };
            (tone, t.with("status-destroyed-owed", "since", t.date_time(&owed.since)))
        }
    };
    Line::new(t, "status-destroyed", "shield", tone, text)
}

fn clock_line(t: &Texts, course: Course) -> Line {
    let (tone, text) = match course {
        Course::Ahead { since } => (Tone::Act, t.with("status-clock-ahead", "since", t.date_time(&since))),
        _ => (Tone::Done, t.say("status-clock-goes-on")),
    };
    Line::new(t, "status-clock", "clock", tone, text)
}

fn ledger_line(t: &Texts, ledger: Ledger) -> Line {
    let (tone, text) = match ledger {
        Ledger::Sound(rows) => (Tone::Done, t.count("ledger-sound", rows)),
        Ledger::Long(rows) => (Tone::Plain, t.count("status-ledger-long", rows)),
        Ledger::Broken => (Tone::Late, t.say("status-ledger-broken")),
    };
    Line::new(t, "status-ledger", "book", tone, text).leading_to("/admin/ledger/verification")
}

fn backup_line(t: &Texts, last_made: std::io::Result<Option<UtcTime>>, now: UtcTime, is_embedded: bool) -> Line {
    let (tone, text) = match last_made {
        Ok(Some(made)) => {
            let tone = if now.since(made) > last::OLDEST { Tone::Late } else { Tone::Done };
            (tone, t.with2("status-backup-made", "ago", t.ago(&made, &now), "time", t.date_time(&made)))
        }
        Err(_) => (Tone::Act, t.say("status-backup-unclear")),
        Ok(None) if is_embedded => (Tone::Act, t.say("status-backup-never")),
        Ok(None) => (Tone::Plain, t.say("status-backup-elsewhere")),
    };
    Line::new(t, "status-backup", "server", tone, text)
}

/// One matter and how it stands.
struct Line {
    title: String,
    /// How it stands, in a word.
    word: String,
    icon: &'static str,
    tone: Tone,
    text: String,
    href: Option<&'static str>,
}

impl Line {
    fn new(t: &Texts, key: &str, icon: &'static str, tone: Tone, text: String) -> Line {
        let word = t.say(&format!("status-tone-{}", tone.as_str()));
        Line { title: t.say(key), word, icon, tone, text, href: None }
    }

    fn leading_to(mut self, href: &'static str) -> Line {
        self.href = Some(href);
        self
    }
}

#[derive(Template)]
#[template(path = "admin/status.html")]
struct StatusPage {
    p: Page,
    lines: Vec<Line>,
    is_clock_ahead: bool,
    jobs: Vec<FailedJob>,
}
