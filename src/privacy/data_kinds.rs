//! The register of data (GDPR Art. 30; D1): every table belongs to one kind, and every kind has its rule. A test
//! compares the register with the schema, so a new table without a kind fails.

/// What sort of data a table holds; each is governed by its own rule of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Who people and organisations are.
    Identification,
    /// Passwords, sessions, links, attempts: gone within days, and never in a backup.
    SignIn,
    /// From where a request was filed, and with what.
    ConnectionContext,
    /// Versions and components of a set-up.
    Configuration,
    /// Tickets, messages, attachments, mail.
    Correspondence,
    /// Who agreed to which tracing, when, how, to which words; and how it ended.
    ConsentRecord,
    /// What a grant opened: destroyed by its key, without grace, and never in a backup.
    CapturedTrace,
    /// Which of the staff, and who else, read what a grant opened.
    ReadingRecord,
    /// Evidence of who did what; rows hold ids, details obey the kind of what they tell.
    Evidence,
    /// Nothing about a person: settings, schedules.
    Installation,
}

/// Table and kind, for every table.
pub const REGISTER: &[(&str, Kind)] = &[
    ("api_tokens", Kind::SignIn),
    ("audit_details", Kind::Evidence),
    ("audit_ledger", Kind::Evidence),
    ("connection_contexts", Kind::ConnectionContext),
    ("consent_events", Kind::ConsentRecord),
    ("consent_grants", Kind::ConsentRecord),
    ("consent_links", Kind::SignIn),
    ("consent_receipts", Kind::ConsentRecord),
    ("consent_requests", Kind::ConsentRecord),
    ("consent_wordings", Kind::ConsentRecord),
    ("environment_components", Kind::Configuration),
    ("environments", Kind::Configuration),
    ("idempotency_keys", Kind::SignIn),
    ("jobs", Kind::Correspondence),
    ("journal", Kind::Correspondence),
    ("mailboxes", Kind::Installation),
    ("memberships", Kind::Identification),
    ("one_time_tokens", Kind::SignIn),
    ("organisations", Kind::Identification),
    ("outbox", Kind::Correspondence),
    ("passwords", Kind::SignIn),
    ("people", Kind::Identification),
    ("person_addresses", Kind::Identification),
    ("queue_members", Kind::Identification),
    ("queues", Kind::Installation),
    ("reading_records", Kind::ReadingRecord),
    ("recurring_runs", Kind::Installation),
    ("sampling_keys", Kind::SignIn),
    ("search_documents", Kind::Correspondence),
    ("sessions", Kind::SignIn),
    ("settings", Kind::Installation),
    ("sites", Kind::Identification),
    ("staff_member_roles", Kind::Identification),
    ("staff_members", Kind::Identification),
    ("staff_roles", Kind::Installation),
    ("throttles", Kind::SignIn),
    ("ticket_attachments", Kind::Correspondence),
    ("ticket_contacts", Kind::Correspondence),
    ("ticket_events", Kind::Correspondence),
    ("ticket_links", Kind::SignIn),
    ("ticket_mail_ids", Kind::Correspondence),
    ("ticket_messages", Kind::Correspondence),
    ("ticket_participants", Kind::Correspondence),
    ("ticket_tags", Kind::Correspondence),
    ("tickets", Kind::Correspondence),
    ("trace_chunks", Kind::CapturedTrace),
    ("trace_counters", Kind::CapturedTrace),
    ("trace_keys", Kind::CapturedTrace),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn d_1_every_table_has_one_kind_of_data() {
        let schema = include_str!("../db/schema.rs");
        let tables: BTreeSet<&str> =
            schema.split("diesel::table! {\n    ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        let registered: BTreeSet<&str> = REGISTER.iter().map(|(table, _)| *table).collect();
        assert_eq!(tables, registered);
        assert_eq!(REGISTER.len(), registered.len(), "a table stands twice");
    }
}
