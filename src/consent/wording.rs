//! What the customer reads before deciding: one text per version and language, filled in with what is asked. The exact
//! text that somebody saw is kept for ever, under its SHA-256. A text that has once been shown is never edited: another
//! version is written beside it.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::consent::asking::Terms;
use crate::consent::manifest::{Manifest, sha256_hex};
use crate::consent::scope::{Component, Level, PurposeCode, Recipients, Subject};
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::consent_wordings;
use crate::db::types::{Language, OrganisationId};
use crate::error::{Error, Result};
use crate::i18n::{Locale, Texts};
use crate::people::countries;
use crate::people::organisations::{self, Organisation, OrganisationKind};
use crate::people::person;
use crate::settings;
use crate::teams::{mailboxes, queues};
use crate::tickets::Ticket;

/// The version in force.
pub const VERSION: i32 = 1;

fn template(locale: Locale) -> &'static str {
    match locale {
        Locale::Fr => include_str!("../../templates/consent/notice-1.fr.txt"),
        Locale::En => include_str!("../../templates/consent/notice-1.en.txt"),
    }
}

/// A text as somebody reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub version: i32,
    pub language: Locale,
    pub text: String,
    pub sha256: String,
}

/// Who answers for something, as notices and records name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    pub name: String,
    pub address: String,
    pub country: String,
    pub contact: String,
}

/// The operator: who asks, and who answers for what is captured.
pub fn operator(db: &mut DbConnection) -> Result<Party> {
    let name = settings::operator_name(db)?;
    let contact = mailboxes::default(db)?.address;
    let organisation = match organisations::find_operator(db)? {
        Some(id) => Some(organisations::by_id(db, id)?),
        None => None,
    };
    let of_organisation = organisation.as_ref();
    Ok(Party {
        name,
        address: of_organisation.map(postal_address).unwrap_or_default(),
        country: of_organisation.map(|organisation| organisation.country.clone()).unwrap_or_default(),
        contact,
    })
}

/// The customer's organisation.
pub fn customer(db: &mut DbConnection, organisation: OrganisationId) -> Result<Party> {
    let organisation = organisations::by_id(db, organisation)?;
    Ok(Party {
        address: postal_address(&organisation),
        contact: organisation.telephone.clone(),
        country: organisation.country.clone(),
        name: organisation.name,
    })
}

fn postal_address(organisation: &Organisation) -> String {
    let city = format!("{} {}", organisation.postal_code, organisation.city);
    let lines = organisation.address_lines.lines().map(str::trim).chain([city.trim()]);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The text that asks for `terms` in `ticket`.
pub fn notice(db: &mut DbConnection, ticket: &Ticket, terms: &Terms, locale: Locale) -> Result<Notice> {
    let t = Texts::in_language(locale);
    let operator = operator(db)?;
    let subject = match terms.subject {
        Subject::Person(id) => t.with("consent-subject-person", "name", person::by_id(db, id)?.display_name()),
        Subject::Organisation => {
            let organisation = organisations::by_id(db, ticket.organisation_id)?;
            match organisation.kind {
                OrganisationKind::Individual => t.with("consent-subject-person", "name", organisation.name),
                _ => t.with("consent-subject-organisation", "name", organisation.name),
            }
        }
    };
    let recipients = recipients(db, terms, &t)?;
    let place = match operator.country.as_str() {
        "" => t.say("consent-place-unsaid"),
        code => countries::name(&t, code),
    };
    let controller = [operator.name.as_str(), operator.address.as_str()];
    let controller: Vec<&str> = controller.into_iter().filter(|part| !part.is_empty()).collect();
    let values: [(&str, String); 17] = [
        ("operator", operator.name.clone()),
        ("reference", ticket.reference.clone()),
        ("purpose", terms.purpose.clone()),
        ("purpose_kind", t.say(purpose_key(terms.purpose_code))),
        ("subject", subject),
        ("components", components(&t, &terms.scope.components())),
        ("level", t.say(level_key(terms.scope.level()))),
        ("manifest", short(&Manifest::of(&terms.scope).sha256()).to_owned()),
        ("duration", duration(&t, terms.duration_minutes)),
        ("stops", stops(&t, terms)),
        ("recipients", recipients),
        ("exports", t.say(if terms.exports_allowed { "consent-exports-allowed" } else { "consent-exports-refused" })),
        ("retention", t.count("consent-days", terms.retention_days)),
        ("place", place),
        ("basis", t.say(basis_key(terms.subject))),
        ("controller", controller.join(", ")),
        ("contact", operator.contact),
    ];
    let text = fill(template(locale), &values);
    Ok(Notice { version: VERSION, language: locale, sha256: sha256_hex(&text), text })
}

/// Puts the values into their places in one pass, so that nothing in a value is taken for a place.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template.trim_end();
    while let Some(start) = rest.find('{') {
        text.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}') else { break };
        let name = &rest[start + 1..start + end];
        if let Some((_, value)) = values.iter().find(|(own, _)| *own == name) {
            text.push_str(value);
        }
        rest = &rest[start + end + 1..];
    }
    text.push_str(rest);
    text
}

/// Keeps the text as it was shown, once.
pub fn keep(db: &mut DbConnection, notice: &Notice, now: UtcTime) -> Result<()> {
    let row = (
        consent_wordings::version.eq(notice.version),
        consent_wordings::language.eq(Language(notice.language)),
        consent_wordings::sha256.eq(&notice.sha256),
        consent_wordings::text.eq(&notice.text),
        consent_wordings::created_at.eq(now),
    );
    on_each_backend!(db, db => diesel::insert_into(consent_wordings::table)
        .values(row)
        .on_conflict(consent_wordings::sha256)
        .do_nothing()
        .execute(db))?;
    Ok(())
}

/// The text of that SHA-256, which a record names.
pub fn kept(db: &mut DbConnection, sha256: &str) -> Result<Notice> {
    let found: Option<(i32, Language, String)> = consent_wordings::table
        .filter(consent_wordings::sha256.eq(sha256))
        .select((consent_wordings::version, consent_wordings::language, consent_wordings::text))
        .first(db)
        .optional()?;
    let (version, language, text) = found.ok_or_else(|| Error::internal("a wording that was shown is not there"))?;
    Ok(Notice { version, language: language.0, text, sha256: sha256.to_owned() })
}

/// The beginning of a fingerprint: enough for people to compare.
pub fn short(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}

/// Who may read what is captured, in words.
pub fn recipients(db: &mut DbConnection, terms: &Terms, t: &Texts) -> Result<String> {
    Ok(match terms.recipients {
        Recipients::Queue(id) => {
            let queue = queues::by_id(db, id)?;
            t.with("consent-recipients-queue", "queue", queue.name(t.locale))
        }
        Recipients::Agent(id) => t.with("consent-recipients-agent", "name", person::by_id(db, id)?.display_name()),
    })
}

/// Components by name, in one line.
pub fn components(t: &Texts, components: &[Component]) -> String {
    components.iter().map(|component| t.say(component_key(*component))).collect::<Vec<_>>().join(", ")
}

/// A time in hours, or in minutes if it is not whole hours.
pub fn duration(t: &Texts, minutes: i32) -> String {
    if minutes % 60 == 0 { t.count("consent-hours", minutes / 60) } else { t.count("consent-minutes", minutes) }
}

fn stops(t: &Texts, terms: &Terms) -> String {
    let mut stops = vec![t.say("consent-stops-always")];
    if !terms.stop_condition.is_empty() {
        stops.push(t.with("consent-stops-when-seen", "text", &terms.stop_condition));
    }
    if let Some(minutes) = terms.idle_minutes {
        stops.push(t.with("consent-stops-unread", "duration", duration(t, minutes)));
    }
    stops.join(" ")
}

pub fn component_key(component: Component) -> &'static str {
    match component {
        Component::Pages => "consent-component-pages",
        Component::Tickets => "consent-component-tickets",
        Component::Mail => "consent-component-mail",
        Component::Sql => "consent-component-database",
        Component::Background => "consent-component-background",
        Component::Products => "consent-component-products",
    }
}

pub fn level_key(level: Level) -> &'static str {
    match level {
        Level::Error => "consent-level-error",
        Level::Warn => "consent-level-warn",
        Level::Info => "consent-level-info",
        Level::Debug => "consent-level-debug",
        Level::Trace => "consent-level-trace",
    }
}

pub fn purpose_key(code: PurposeCode) -> &'static str {
    match code {
        PurposeCode::Fault => "consent-purpose-fault",
        PurposeCode::Performance => "consent-purpose-performance",
        PurposeCode::Usage => "consent-purpose-usage",
    }
}

fn basis_key(subject: Subject) -> &'static str {
    match subject {
        Subject::Person(_) => "consent-basis-consent",
        Subject::Organisation => "consent-basis-instruction",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts as they were when version 1 was first shown: an edit needs another version, or the record would claim
    /// that people read what they did not.
    #[test]
    fn a_wording_that_was_shown_is_not_edited() {
        let kept = [
            (Locale::Fr, "b66cd8ed21ccb560d7948967f9f82ad7f2a5862cdec87cf2fd1f2602a1a3173d"),
            (Locale::En, "9c635256854d0aa3e3d98518689f49cc3c7e6b5d02e287846dbdd29a1031b1d2"),
        ];
        for (locale, sha256) in kept {
            assert_eq!(sha256_hex(template(locale)), sha256, "{locale}");
        }
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let places = |text: &str| -> Vec<String> {
            text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect()
        };
        assert_eq!(places(template(Locale::Fr)), places(template(Locale::En)));
        assert_eq!(template(Locale::Fr).matches("\n\n").count(), template(Locale::En).matches("\n\n").count());
    }

    #[test]
    fn what_an_agent_types_is_not_taken_for_a_place() {
        let values = [("a", "{b} {c".to_owned()), ("b", "B".to_owned())];
        assert_eq!(fill("x {a} y {b} {unknown}z\n", &values), "x {b} {c y B z");
    }
}
