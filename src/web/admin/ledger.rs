//! The ledger: what happened to rights, identities and consents, newest first, and whether its chain is whole.

use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use crate::app::App;
use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::paging::{Cursor, PAGE_SIZE, Page as Rows};
use crate::db::types::PersonId;
use crate::error::Result;
use crate::i18n::{Texts, has_key};
use crate::people::roles::Permission;
use crate::people::{directory, organisations};
use crate::web::navigation::Place;
use crate::web::page::{Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::portal::account::security;
use crate::web::respond::page;
use crate::web::signed_in::Staff;

/// Where the page begins.
#[derive(Debug, Deserialize)]
pub struct LedgerQuery {
    before: Option<String>,
}

/// `GET /admin/ledger`
pub async fn show(app: Data<App>, staff: Staff, query: Query<LedgerQuery>) -> PageResult {
    staff.require(Permission::ReadLedger)?;
    let before = match &query.before {
        None => None,
        Some(text) => Some(Cursor::parse(text).ok_or_else(PageError::bad_request)?.id),
    };
    let entries = app.database.read(move |db| load(db, before)).await?;
    let p = staff.page(&app, "ledger-title", Place::Ledger);
    let rows = entries
        .rows
        .into_iter()
        .map(|entry| {
            let key = format!("ledger-{}", entry.kind.replace('_', "-"));
            Row {
                number: p.t.number(entry.sequence),
                at: entry.at,
                what: if has_key(p.t.locale, &key) { p.t.say(&key) } else { entry.kind },
                actor: entry.actor,
                subject: entry.subject,
                organisation: entry.organisation,
                detail: entry.detail.map_or_else(|| p.t.say("ledger-detail-gone"), |detail| readable(&p.t, &detail)),
            }
        })
        .collect();
    page(&LedgerPage {
        rows,
        first: before.is_some().then(|| "/admin/ledger".to_owned()),
        next: entries.next.map(|cursor| format!("/admin/ledger?before={}", cursor.to_text())),
        p,
    })
}

/// `GET /admin/ledger/verification`: reads the whole chain.
pub async fn verify(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ReadLedger)?;
    let verdict = app.database.read(|db| Ok(audit::verify(db).map_err(|error| error.to_string()))).await?;
    let p = staff.page(&app, "ledger-verification", Place::Ledger);
    let (tone, text) = match verdict {
        Ok(rows) => (Tone::Done, p.t.count("ledger-sound", rows)),
        Err(fault) => {
            tracing::error!(target: "accord::audit", fault, "The ledger does not verify");
            (Tone::Late, p.t.with("ledger-broken", "fault", fault))
        }
    };
    page(&VerificationPage { p, tone, text })
}

struct Entry {
    sequence: i64,
    at: UtcTime,
    kind: String,
    actor: Option<(String, String)>,
    subject: Option<(String, String)>,
    organisation: Option<(String, String)>,
    detail: Option<String>,
}

fn load(db: &mut DbConnection, before: Option<i64>) -> Result<Rows<Entry>> {
    let rows = audit::list(db, before, PAGE_SIZE + 1)?;
    let rows = Rows::cut(rows, PAGE_SIZE, |(record, _)| Cursor { time: record.at, id: record.sequence });
    let ids: Vec<PersonId> =
        rows.rows.iter().flat_map(|(record, _)| [record.actor, record.subject]).flatten().collect();
    let names = directory::names(db, &ids)?;
    let named = |id: Option<PersonId>| {
        let found = names.iter().find(|(person, ..)| Some(*person) == id);
        found.map(|(_, handle, name)| (format!("/admin/people/{handle}"), name.clone()))
    };
    let ids: Vec<_> = rows.rows.iter().filter_map(|(record, _)| record.organisation).collect();
    let organisations = organisations::names(db, &ids)?;
    Ok(rows.map(|(record, detail)| Entry {
        sequence: record.sequence,
        at: record.at,
        kind: record.kind,
        actor: named(record.actor),
        subject: named(record.subject),
        organisation: organisations
            .iter()
            .find(|(id, ..)| Some(*id) == record.organisation)
            .map(|(_, handle, name)| (format!("/organisations/{handle}"), name.clone())),
        detail,
    }))
}

/// A detail row as people read it: what is so, and what is named; what is not so and what is empty is left out.
fn readable(t: &Texts, detail: &str) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(detail) else { return String::new() };
    let fields = fields.into_iter().filter_map(|(name, value)| {
        let key = format!("ledger-field-{}", name.replace('_', "-"));
        let name = if has_key(t.locale, &key) { t.say(&key) } else { name };
        let text = match value {
            serde_json::Value::Bool(true) => return Some(name),
            serde_json::Value::Bool(false) | serde_json::Value::Null => return None,
            serde_json::Value::String(text) => shown(t, &key, text),
            serde_json::Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or(item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(", "),
            other => other.to_string(),
        };
        (!text.is_empty()).then(|| t.with2("ledger-field", "name", name, "value", text))
    });
    fields.collect::<Vec<_>>().join(" · ")
}

/// A value in the reader's words, where it is one of ours or what a browser says of itself.
fn shown(t: &Texts, field: &str, value: String) -> String {
    if field == "ledger-field-browser" {
        return security::browser(t, &value);
    }
    let key = format!("{field}-{}", value.replace('_', "-"));
    if has_key(t.locale, &key) { t.say(&key) } else { value }
}

struct Row {
    number: String,
    at: UtcTime,
    what: String,
    actor: Option<(String, String)>,
    subject: Option<(String, String)>,
    organisation: Option<(String, String)>,
    detail: String,
}

#[derive(Template)]
#[template(path = "admin/ledger.html")]
struct LedgerPage {
    p: Page,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/ledger_verification.html")]
struct VerificationPage {
    p: Page,
    tone: Tone,
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Locale;

    #[test]
    fn a_sign_in_is_told_in_the_reader_s_words() {
        let detail = r#"{"browser": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "ip": "192.0.2.7", "way": "new_password", "unheard_of": "as it stands"}"#;
        let told = readable(&Texts::in_language(Locale::En), detail);
        assert_eq!(
            told,
            "browser: Firefox, Linux · IP address: 192.0.2.7 · unheard_of: as it stands · by: new password"
        );
    }
}
