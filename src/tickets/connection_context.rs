//! From where a request was made (A1): address, language, browser, system, page, time zone. The customer is shown what
//! was recorded.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::{connection_contexts, ticket_messages};
use crate::db::types::{MessageId, PersonId};
use crate::error::Result;
use crate::tickets::messages::clean_line;
use crate::tickets::ticket::Ticket;

/// What is recorded; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Queryable)]
pub struct ConnectionContext {
    pub ip_address: String,
    pub preferred_language: String,
    pub browser: String,
    pub browser_version: String,
    pub operating_system: String,
    pub requested_url: String,
    pub time_zone: String,
}

impl ConnectionContext {
    /// What a request tells of where it came from. `requested_url` is without its query, which can hold tokens.
    pub fn of_request(
        ip_address: &str,
        accept_language: &str,
        user_agent: &str,
        requested_url: &str,
        time_zone: &str,
    ) -> ConnectionContext {
        let parsed = woothee::parser::Parser::new().parse(user_agent.get(..1_000).unwrap_or(user_agent));
        let known = |value: &str| if value == "UNKNOWN" { String::new() } else { clean_line(value, 80) };
        let (browser, browser_version, operating_system) = parsed.map_or_else(Default::default, |found| {
            let system = format!("{} {}", known(found.os), known(&found.os_version));
            (known(found.name), known(found.version), clean_line(&system, 80))
        });
        let zone = time_zone.parse::<chrono_tz::Tz>().map_or("", |zone| zone.name());
        ConnectionContext {
            ip_address: clean_line(ip_address, 60),
            preferred_language: clean_line(accept_language.split([',', ';']).next().unwrap_or_default(), 35),
            browser,
            browser_version,
            operating_system,
            requested_url: clean_line(requested_url.split(['?', '#']).next().unwrap_or_default(), 500),
            time_zone: zone.to_owned(),
        }
    }
}

macro_rules! context_columns {
    () => {
        (
            connection_contexts::ip_address,
            connection_contexts::preferred_language,
            connection_contexts::browser,
            connection_contexts::browser_version,
            connection_contexts::operating_system,
            connection_contexts::requested_url,
            connection_contexts::time_zone,
        )
    };
}

/// The context of the ticket's latest message by a page, with its time.
pub fn of_ticket(db: &mut DbConnection, ticket: &Ticket) -> Result<Option<(ConnectionContext, UtcTime)>> {
    Ok(one_text!(
        connection_contexts::table
            .filter(connection_contexts::ticket_id.eq(ticket.id))
            .order(connection_contexts::id.desc())
            .select((context_columns!(), connection_contexts::created_at))
    )
    .first(db)
    .optional()?)
}

/// The context of the latest message that `author` sent by a page, with its time: what was recorded about them (A1).
pub fn of_author(
    db: &mut DbConnection,
    ticket: &Ticket,
    author: PersonId,
) -> Result<Option<(ConnectionContext, UtcTime)>> {
    Ok(one_text!(
        connection_contexts::table
            .inner_join(ticket_messages::table.on(ticket_messages::id.eq(connection_contexts::message_id)))
            .filter(connection_contexts::ticket_id.eq(ticket.id))
            .filter(ticket_messages::author_id.eq(author))
            .order(connection_contexts::id.desc())
            .select((context_columns!(), connection_contexts::created_at))
    )
    .first(db)
    .optional()?)
}

pub(super) fn insert(
    db: &mut DbConnection,
    ticket: &Ticket,
    message: MessageId,
    context: &ConnectionContext,
    now: UtcTime,
) -> Result<()> {
    one_text!(diesel::insert_into(connection_contexts::table).values((
        connection_contexts::organisation_id.eq(ticket.organisation_id),
        connection_contexts::ticket_id.eq(ticket.id),
        connection_contexts::message_id.eq(message),
        connection_contexts::ip_address.eq(&context.ip_address),
        connection_contexts::preferred_language.eq(&context.preferred_language),
        connection_contexts::browser.eq(&context.browser),
        connection_contexts::browser_version.eq(&context.browser_version),
        connection_contexts::operating_system.eq(&context.operating_system),
        connection_contexts::requested_url.eq(&context.requested_url),
        connection_contexts::time_zone.eq(&context.time_zone),
        connection_contexts::created_at.eq(now),
    )))
    .run(db)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_the_browser_and_the_system_are_read_from_the_request() {
        let context = ConnectionContext::of_request(
            "192.0.2.7",
            "fr-FR,fr;q=0.9,en;q=0.5",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            "/requests/new?token=secret",
            "Europe/Paris",
        );
        assert_eq!(context.browser, "Firefox");
        assert_eq!(context.browser_version, "128.0");
        assert_eq!(context.operating_system, "Linux");
        assert_eq!(context.preferred_language, "fr-FR");
        assert_eq!(context.requested_url, "/requests/new");
        assert_eq!(context.time_zone, "Europe/Paris");
    }

    #[test]
    fn what_is_nonsense_is_left_empty() {
        let context = ConnectionContext::of_request("", "", "é\u{0}\r\n", "", "Mars/Olympus");
        assert_eq!(context, ConnectionContext::default());
    }
}
