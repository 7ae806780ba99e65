//! The register of data (GDPR Art. 30; D1): every table belongs to one kind, and every kind has its rule. It also says
//! what of each table a backup holds. A test compares the register with the schema, so a new table has to decide.

use crate::db::file_copy::Omitted;

/// What sort of data a table holds; each is governed by its own rule of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Who people and organisations are.
    Identification,
    /// Passwords, sessions, links that sign in, attempts: gone within days, and never in a backup.
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

/// What of a table a backup holds (DB-09).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InBackup {
    Whole,
    /// All but these rows, which are told in SQL.
    Without(&'static str),
    Nothing,
}

use InBackup::{Nothing, Whole, Without};

/// Table, kind and what a backup holds of it, for every table.
///
/// What signs somebody in is in none: a password that was changed since, a session that was ended or a secret that was
/// revoked would be good again after a restore. Nor is what a grant opened, for then destroying its key would not destroy
/// it (see `diagnostics::sealing`).
///
/// From which machine a mail came stands in `journal` no longer than a sign-in tells from where
/// (`journal::handling::forget_clients`).
///
/// The hashes of links to one ticket are, and a restore makes all of them too old: then they open nothing, and offer to mail a
/// new one to whom they were mailed (`tickets::links`). Mail that waits or failed holds one in bytes that are never changed
/// (O-02), as does every mail in somebody's mailbox; without the hash it would lead nowhere.
pub const REGISTER: &[(&str, Kind, InBackup)] = &[
    ("api_tokens", Kind::SignIn, Nothing),
    ("audit_details", Kind::Evidence, Without(SIGN_IN_DETAILS)),
    ("audit_ledger", Kind::Evidence, Whole),
    ("connection_contexts", Kind::ConnectionContext, Whole),
    ("consent_events", Kind::ConsentRecord, Whole),
    ("consent_grants", Kind::ConsentRecord, Whole),
    ("consent_links", Kind::SignIn, Nothing),
    ("consent_receipts", Kind::ConsentRecord, Whole),
    ("consent_requests", Kind::ConsentRecord, Whole),
    ("consent_wordings", Kind::ConsentRecord, Whole),
    ("environment_components", Kind::Configuration, Whole),
    ("environments", Kind::Configuration, Whole),
    ("idempotency_keys", Kind::SignIn, Nothing),
    ("imap_accounts", Kind::Installation, Whole),
    ("imap_folders", Kind::Installation, Whole),
    ("imap_mails", Kind::Installation, Whole),
    ("jobs", Kind::Correspondence, Without(ACCOUNT_MAIL)),
    ("journal", Kind::Correspondence, Whole),
    ("mailboxes", Kind::Installation, Whole),
    ("memberships", Kind::Identification, Whole),
    ("one_time_tokens", Kind::SignIn, Nothing),
    ("organisations", Kind::Identification, Whole),
    ("outbox", Kind::Correspondence, Without(MAIL_WITH_A_KEY)),
    ("owed_scrubs", Kind::Installation, Whole),
    ("passwords", Kind::SignIn, Nothing),
    ("people", Kind::Identification, Whole),
    ("person_addresses", Kind::Identification, Whole),
    ("planned_answers", Kind::Correspondence, Whole),
    ("queue_members", Kind::Identification, Whole),
    ("queues", Kind::Installation, Whole),
    ("reading_records", Kind::ReadingRecord, Whole),
    ("recurring_runs", Kind::Installation, Whole),
    ("round_trips", Kind::Installation, Whole),
    ("sampling_keys", Kind::SignIn, Nothing),
    ("search_documents", Kind::Correspondence, Whole),
    ("sending_domains", Kind::Identification, Whole),
    ("sessions", Kind::SignIn, Nothing),
    ("settings", Kind::Installation, Whole),
    ("sites", Kind::Identification, Whole),
    ("staff_member_roles", Kind::Identification, Whole),
    ("staff_members", Kind::Identification, Whole),
    ("staff_roles", Kind::Installation, Whole),
    ("throttles", Kind::SignIn, Nothing),
    ("thrown_away_files", Kind::Correspondence, Whole),
    ("ticket_attachments", Kind::Correspondence, Whole),
    ("ticket_contacts", Kind::Correspondence, Whole),
    ("ticket_events", Kind::Correspondence, Whole),
    ("ticket_links", Kind::Correspondence, Whole),
    ("ticket_mail_ids", Kind::Correspondence, Whole),
    ("ticket_messages", Kind::Correspondence, Whole),
    ("ticket_participants", Kind::Correspondence, Whole),
    ("ticket_tags", Kind::Correspondence, Whole),
    ("tickets", Kind::Correspondence, Whole),
    ("trace_chunks", Kind::CapturedTrace, Nothing),
    ("trace_counters", Kind::CapturedTrace, Nothing),
    ("trace_keys", Kind::CapturedTrace, Nothing),
];

/// Who signed in from where; that it happened stays in the ledger.
const SIGN_IN_DETAILS: &str =
    "sequence IN (SELECT sequence FROM audit_ledger WHERE kind IN ('sign_in', 'sign_in_failed', 'sign_out'))";
/// Mails still to be written about somebody's account: late by then, and some sign people in.
const ACCOUNT_MAIL: &str = "name = 'account_mail'";
/// Mails whose bytes hold a link that signs somebody in or confirms an address.
const MAIL_WITH_A_KEY: &str = "kind IN ('sign_in', 'password', 'invitation', 'confirmation')";

/// What a backup is without.
pub fn omitted_from_backups() -> impl Iterator<Item = Omitted> {
    REGISTER.iter().filter_map(|&(table, _, in_backup)| match in_backup {
        Whole => None,
        Without(rows) => Some(Omitted { table, rows: Some(rows) }),
        Nothing => Some(Omitted { table, rows: None }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn d_1_every_table_has_one_kind_of_data() {
        let schema = include_str!("../db/schema.rs");
        let tables: BTreeSet<&str> =
            schema.split("diesel::table! {\n    ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        let registered: BTreeSet<&str> = REGISTER.iter().map(|(table, ..)| *table).collect();
        assert_eq!(tables, registered);
        assert_eq!(REGISTER.len(), registered.len(), "a table stands twice");
    }

    #[test]
    fn b_21_what_signs_in_and_what_a_grant_opened_is_in_no_backup() {
        for (table, kind, in_backup) in REGISTER {
            let never = matches!(kind, Kind::SignIn | Kind::CapturedTrace);
            assert_eq!(never, *in_backup == InBackup::Nothing, "{table}");
        }
        let rows_of = |of: &str| omitted_from_backups().find(|omitted| omitted.table == of).map(|omitted| omitted.rows);
        assert_eq!(rows_of("trace_keys"), Some(None));
        assert!(rows_of("outbox").flatten().is_some());
        assert_eq!(rows_of("tickets"), None);
    }
}
