//! How each relay stands, for the pages on which an operator looks: what waits for it, and what it last said instead of taking
//! a mail.

use crate::app::App;
use crate::clock::UtcTime;
use crate::config::mail::{Outgoing, SmtpConfig};
use crate::db::DbConnection;
use crate::error::Result;
use crate::i18n::{Message, Texts};
use crate::mail::address::{EmailAddress, visible};
use crate::outbox::courier::Courier;
use crate::outbox::listing::{self, Waiting};
use crate::teams::mailboxes::{self, Mailbox};

/// What the database knows of it.
pub struct Loaded {
    waiting: Vec<Waiting>,
    mailboxes: Vec<Mailbox>,
}

/// One relay.
pub struct RelayStanding {
    /// Its name in the settings; empty for the installation's.
    pub name: String,
    host: String,
    pub waiting: i64,
    trouble: Option<(String, UtcTime)>,
    /// Whom the settings name, and who is no mailbox of ours.
    unknown: Vec<String>,
}

pub fn load(db: &mut DbConnection) -> Result<Loaded> {
    Ok(Loaded { waiting: listing::waiting(db)?, mailboxes: mailboxes::all(db)? })
}

impl Loaded {
    /// The installation's relay, if mail goes to one, then those of single mailboxes.
    pub fn standings(&self, app: &App) -> Vec<RelayStanding> {
        let house = match &app.config.mail.outgoing {
            Outgoing::Smtp(smtp) => Some((None, "", smtp)),
            Outgoing::Files(_) => None,
        };
        let named = app.config.mail.relays.iter().enumerate();
        let named = named.map(|(index, relay)| (Some(index), relay.name.as_str(), &relay.smtp));
        let standings = house.into_iter().chain(named);
        let mut standings: Vec<_> =
            standings.map(|(index, name, smtp)| self.standing(app, index, name, smtp)).collect();
        let addresses: Vec<String> = self.mailboxes.iter().map(|mailbox| mailbox.canonical.clone()).collect();
        for relay in app.config.mail.relays.iter() {
            let unknown = relay.without_mailbox(&addresses).into_iter().map(shown_address_or_domain).collect();
            if let Some(standing) = standings.iter_mut().find(|standing| standing.name == relay.name) {
                standing.unknown = unknown;
            }
        }
        standings
    }

    fn standing(&self, app: &App, index: Option<usize>, name: &str, smtp: &SmtpConfig) -> RelayStanding {
        let is_its = |waiting: &&Waiting| {
            let mailbox = self.mailboxes.iter().find(|mailbox| Some(mailbox.id) == waiting.mailbox);
            mailbox.and_then(|mailbox| app.relays.index_of(&mailbox.canonical)) == index
        };
        let courier = match index {
            Some(index) => app.relays.iter().find(|(of, _)| *of == index).map(|(_, relay)| &relay.courier),
            None => Some(&app.courier),
        };
        // A mail that was turned away keeps its time although the relay took others since.
        let works = courier.is_some_and(Courier::is_known_to_work);
        let its: Vec<&Waiting> = self.waiting.iter().filter(is_its).collect();
        RelayStanding {
            name: name.to_owned(),
            host: format!("{}:{}", smtp.host, smtp.port),
            waiting: its.iter().map(|waiting| waiting.count).sum(),
            unknown: Vec::new(),
            trouble: its
                .iter()
                .filter(|_| !works)
                .filter_map(|waiting| waiting.trouble.clone())
                .max_by_key(|(_, next_at)| *next_at),
        }
    }
}

impl RelayStanding {
    /// Whether it takes no mail at present, as far as one knows.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// Whether an operator has to look: it takes no mail, or the settings name somebody whose mail goes another way.
    pub fn needs_a_look(&self) -> bool {
        self.is_in_trouble() || !self.unknown.is_empty()
    }

    /// How it is called: by its name and where it is.
    pub fn title(&self, t: &Texts) -> String {
        if self.name.is_empty() {
            t.with("relay-of-all", "host", self.host.as_str())
        } else {
            t.with2("relay-named", "name", self.name.as_str(), "host", self.host.as_str())
        }
    }

    /// How it stands, in a sentence or two.
    pub fn text(&self, t: &Texts) -> String {
        let mut waiting = t.count("relay-waiting", self.waiting);
        if !self.unknown.is_empty() {
            let unknown = t.with("relay-unknown-mailboxes", "mailboxes", self.unknown.join(", "));
            waiting = format!("{unknown} {waiting}");
        }
        let Some((error, next_at)) = &self.trouble else { return waiting };
        let trouble = Message::new("relay-trouble").with("error", error).with("at", t.date_time(next_at));
        format!("{} {waiting}", t.message(&trouble))
    }
}

/// As people read it: a domain in its own letters.
fn shown_address_or_domain(named: &str) -> String {
    match EmailAddress::parse(named) {
        Some(address) => address.shown(),
        None => visible(named),
    }
}
