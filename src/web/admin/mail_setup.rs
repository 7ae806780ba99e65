//! Whether the world will believe the desk's mail, and whether answers come back: what can be looked up, and by a mail that a
//! mailbox sends to itself. Nothing is looked up or sent before somebody asks.

mod round_trips;

use actix_web::web::Data;
use askama::Template;

use crate::app::App;
use crate::carry;
use crate::config::mail::{Outgoing, SmtpTls};
use crate::error::{Error, Result};
use crate::i18n::{Message, Texts};
use crate::mail::address::EmailAddress;
use crate::mail::setup_check::{self, Desk, Finding, Verdict};
use crate::mail::transport::SendFailure;
use crate::people::roles::Permission;
use crate::teams::mailboxes;
use crate::web::forms::{Form, Nothing};
use crate::web::navigation::Place;
use crate::web::page::{Crumb, Page, Tone};
use crate::web::page_error::PageResult;
use crate::web::respond::page;
use crate::web::signed_in::Staff;

use round_trips::RoundTripCard;
pub use round_trips::send as send_round_trip;

/// `GET /admin/status/mail`
pub async fn show(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    setup_page(&app, &staff, &[]).await
}

/// `POST /admin/status/mail`: looks everything up, and shows what it found. It changes nothing.
pub async fn look(app: Data<App>, staff: Staff, _: Form<Nothing>) -> PageResult {
    staff.require(Permission::OperateInstallation)?;
    let addresses = app.database.read(mailboxes::canonical_addresses).await?;
    let domains = addresses.iter().filter_map(|address| EmailAddress::parse(address));
    let from_domains = domains.map(|address| address.domain().to_owned()).collect();
    let asked = app.clone();
    let looked_up = carry::blocking(move || {
        let mail = &asked.config.mail;
        let findings = setup_check::look(&Desk { mail, from_domains });
        let way_out = relay(&mail.outgoing, || asked.transport.check());
        let others = mail.relays.iter().zip(asked.relays.iter());
        let others = others
            .map(|(described, (_, open))| relay(&Outgoing::Smtp(described.smtp.clone()), || open.transport.check()));
        findings.into_iter().chain([way_out]).chain(others).collect::<Vec<_>>()
    });
    let findings = looked_up.await.map_err(|_| Error::Busy)?;
    setup_page(&app, &staff, &findings).await
}

/// Whether the relay takes mail, and how the way to it is protected (OUT-09).
fn relay(outgoing: &Outgoing, check: impl FnOnce() -> Result<(), SendFailure>) -> Finding {
    let (about, verdict, text) = match outgoing {
        Outgoing::Files(_) => (String::new(), Verdict::Unclear, Message::new("status-mail-to-files")),
        Outgoing::Smtp(smtp) => {
            let (verdict, text) = match (check(), smtp.tls) {
                (Err(failure), _) => (Verdict::Bad, Message::new("setup-tls-refused").with("error", failure.text)),
                (Ok(()), SmtpTls::StartTls | SmtpTls::Wrapper) => (Verdict::Good, Message::new("setup-tls-good")),
                (Ok(()), SmtpTls::Opportunistic) => (Verdict::Unclear, Message::new("setup-tls-opportunistic")),
                (Ok(()), SmtpTls::None) => (Verdict::Unclear, Message::new("setup-tls-none")),
            };
            (format!("{}:{}", smtp.host, smtp.port), verdict, text)
        }
    };
    Finding { topic: "setup-tls", about, verdict, text }
}

/// One matter and how it stands.
struct Line {
    title: String,
    about: String,
    /// How it stands, in a word.
    word: String,
    tone: Tone,
    text: String,
}

impl Line {
    fn new(t: &Texts, finding: &Finding) -> Line {
        let tone = match finding.verdict {
            Verdict::Good => Tone::Done,
            Verdict::Unclear => Tone::Act,
            Verdict::Bad => Tone::Late,
        };
        Line {
            title: t.say(finding.topic),
            about: finding.about.clone(),
            word: t.say(&format!("status-tone-{}", tone.as_str())),
            tone,
            text: t.message(&finding.text),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/mail_setup.html")]
struct SetupPage {
    p: Page,
    crumbs: Vec<Crumb>,
    lines: Vec<Line>,
    /// What became of the mail that each mailbox sent to itself last.
    round_trips: Vec<RoundTripCard>,
    /// Nothing leaves, so nothing comes back.
    stays_here: bool,
}

async fn setup_page(app: &App, staff: &Staff, findings: &[Finding]) -> PageResult {
    let p = staff.page(app, "setup-check-title", Place::Status);
    let tests = app.database.read(round_trips::load).await?;
    page(&SetupPage {
        crumbs: vec![Crumb::new(p.t.say("status-title"), "/admin/status")],
        lines: findings.iter().map(|finding| Line::new(&p.t, finding)).collect(),
        round_trips: tests.iter().map(|test| RoundTripCard::new(&p.t, test, p.now)).collect(),
        stays_here: round_trips::stays_here(app),
        p,
    })
}
