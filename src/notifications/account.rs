//! Mails about somebody's own account: a link to sign in, a new password, an invitation. What they may say is decided in
//! `people::notices`; here they get their words.

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::Result;
use crate::i18n::{Message, Texts};
use crate::notifications::Letterhead;
use crate::notifications::delivery::{Content, Draft, instance};
use crate::notifications::messages::Account;
use crate::outbox::Kind;
use crate::people::notices::{self, Letter, LetterKind, Notice};
use crate::settings;
use crate::teams::mailboxes;

/// How long a mail without a link is tried.
const WITHOUT_LINK: TimeDelta = TimeDelta::days(5);

/// The mail for `notice`, if somebody is to get one.
pub fn draft(db: &mut DbConnection, letterhead: &Letterhead, notice: &Notice, now: UtcTime) -> Result<Option<Draft>> {
    let Some(letter) = notices::prepare(db, notice, now)? else { return Ok(None) };
    let mailbox = mailboxes::default(db)?;
    if letterhead.is_ours(&letter.to, &mailboxes::canonical_addresses(db)?) {
        return Ok(None);
    }
    let operator = settings::operator_name(db)?;
    let words = words(letterhead, &letter, &operator);
    Ok(Some(Draft {
        kind: kind(letter.kind),
        content: Content::Account(Box::new(words)),
        is_unanswerable: true,
        to: letter.to,
        person: letter.person,
        from_name: operator,
        mailbox,
        instance: instance(db, now)?,
        conversation: None,
        organisation: None,
        language: letter.locale,
        expires_at: letter.expires_at.unwrap_or_else(|| now.plus(WITHOUT_LINK)),
        now,
    }))
}

fn words(letterhead: &Letterhead, letter: &Letter, operator: &str) -> Account {
    let t = Texts::new(letter.locale, letter.zone);
    let (subject, lead, caution) = keys(letter);
    let worded = |key: &'static str| {
        let mut message = Message::new(key).with("operator", operator);
        if let Some(by) = &letter.by {
            message = message.with("name", by);
        }
        if let Some(organisation) = &letter.organisation {
            message = message.with("organisation", organisation);
        }
        if let Some(about) = &letter.about {
            message = message.with("address", about);
        }
        t.message(&message)
    };
    Account {
        subject: worded(subject),
        name: letter.name.clone(),
        lead: worded(lead),
        link: letter.path.as_ref().map(|path| letterhead.link(path)),
        until: letter.expires_at.map(|until| t.with("mail-account-until", "time", t.date_time(&until))),
        caution: t.say(caution),
        operator: operator.to_owned(),
        t,
    }
}

/// Subject, text and the word of caution.
fn keys(letter: &Letter) -> (&'static str, &'static str, &'static str) {
    let (ignore, warn) = ("mail-account-ignore", "mail-account-warn");
    match letter.kind {
        LetterKind::SignInLink => ("mail-account-sign-in-subject", "mail-account-sign-in", ignore),
        LetterKind::PasswordReset => ("mail-account-password-subject", "mail-account-password", ignore),
        LetterKind::ConfirmRegistration => ("mail-account-registration-subject", "mail-account-registration", ignore),
        LetterKind::AlreadyRegistered => ("mail-account-registered-subject", "mail-account-registered", ignore),
        LetterKind::Invitation => ("mail-account-invitation-subject", "mail-account-invitation", ignore),
        LetterKind::MemberInvitation => ("mail-account-member-subject", "mail-account-member", ignore),
        LetterKind::ConfirmAddress => ("mail-account-address-subject", "mail-account-address", ignore),
        LetterKind::PasswordChanged => {
            // There is something to look at where programs may act in their name.
            let lead = match letter.path {
                Some(_) => "mail-account-password-changed-secrets",
                None => "mail-account-password-changed",
            };
            ("mail-account-password-changed-subject", lead, warn)
        }
        LetterKind::AddressChanged => ("mail-account-address-changed-subject", "mail-account-address-changed", warn),
        LetterKind::ManagerNamed => {
            ("mail-account-manager-subject", "mail-account-manager", "mail-account-manager-caution")
        }
    }
}

fn kind(kind: LetterKind) -> Kind {
    match kind {
        LetterKind::SignInLink | LetterKind::AlreadyRegistered => Kind::SignIn,
        LetterKind::PasswordReset | LetterKind::PasswordChanged => Kind::Password,
        LetterKind::Invitation | LetterKind::MemberInvitation => Kind::Invitation,
        LetterKind::ConfirmRegistration
        | LetterKind::ConfirmAddress
        | LetterKind::AddressChanged
        | LetterKind::ManagerNamed => Kind::Confirmation,
    }
}
