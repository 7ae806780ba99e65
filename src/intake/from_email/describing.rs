//! A mail in words: the message that it becomes, what of it is shown and what folded, and what is recorded of its handling.
//! Nothing is decided here.

use super::Mail;
use crate::db::DbConnection;
use crate::error::Result;
use crate::i18n::Texts;
use crate::journal::Record;
use crate::journal::outcome::PASSED_ON;
use crate::mail::address::EmailAddress;
use crate::mail::authentication::are_aligned;
use crate::mail::automatic::Class;
use crate::mail::incoming::{Level, Protection};
use crate::mail::reply_text::{self, ReplyText};
use crate::mail::threading::Decision;
use crate::people::person::{self, Person};
use crate::people::staff;
use crate::secret::random_handle;
use crate::tickets::messages::{Channel, NewMessage};
use crate::tickets::reference::TicketReference;

/// An old subject that has so many characters tells what the matter is wherever it stands in the new one.
const TELLING: usize = 8;

/// Under which subject a ticket goes on from one with the subject `old` after a mail with the subject `new`. "Re: [ACC-…] The
/// printer" is no other matter than "The printer"; another subject is, whatever it answers to.
pub(super) fn subject_that_goes_on(old: &str, new: &str) -> String {
    let bare = bare_subject(new);
    let (said, before) = (bare.to_lowercase(), bare_subject(old).to_lowercase());
    let is_the_same = said == before || before.chars().count() >= TELLING && said.contains(&before);
    if bare.is_empty() || is_the_same { old.to_owned() } else { bare }
}

/// A subject without what answering and forwarding put before it, and without the reference of a ticket in brackets.
fn bare_subject(subject: &str) -> String {
    let mut bare = subject.to_owned();
    while let Some((start, end)) = bare.match_indices('[').find_map(|(start, _)| {
        let end = start + bare[start..].find(']')?;
        TicketReference::find_in(&bare[start..end]).map(|_| (start, end))
    }) {
        bare.replace_range(start..=end, "");
    }
    let mut rest = bare.trim();
    while let Some((word, after)) = rest.split_once(':') {
        let word = word.trim();
        if word.is_empty() || word.chars().count() > 4 || !word.chars().all(char::is_alphabetic) {
            break;
        }
        rest = after.trim();
    }
    rest.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Addresses in Reply-To that are looked up.
const ANSWER_ADDRESSES: usize = 5;

impl Mail<'_> {
    pub(super) fn message(&self, person: &Person, text: String, quoted: String) -> NewMessage {
        self.said_by(Some(person), text, quoted)
    }

    pub(super) fn said_by(&self, author: Option<&Person>, text: String, quoted: String) -> NewMessage {
        let mail = &self.reading.mail;
        NewMessage {
            handle: random_handle(),
            channel: Channel::Email,
            author: author.map(|person| person.id),
            from_name: mail.from.display_name.clone(),
            from_address: self.sender_address(),
            text,
            quoted,
            html: mail.html.clone(),
            attachments: self.reading.files.clone(),
            mail_id: mail.message_id.clone(),
            ingest: Some(self.delivery.id),
            invitation: mail.invitation.clone(),
            context: None,
        }
    }

    /// Who a flood would come from.
    pub(super) fn sender_for_counting(&self) -> String {
        match &self.reading.mail.from.identity {
            Some(identity) => identity.canonical().to_owned(),
            None => format!("nobody at {}", self.mailbox.canonical),
        }
    }

    pub(super) fn sender_address(&self) -> String {
        let from = &self.reading.mail.from;
        match &from.identity {
            Some(identity) => identity.as_str().to_owned(),
            None => from.shown_address.clone(),
        }
    }

    /// What the mail says, and what of it is folded; `cut` tells them apart. The signature of our answers is nothing that a
    /// customer said.
    pub(super) fn text(&self, cut: fn(&str) -> ReplyText<'_>) -> (String, String) {
        let (written, quoted) = self.text_as_it_came(cut);
        match reply_text::without_signature(&written, &self.mailbox.signature) {
            Some((written, ours)) => (written, format!("{ours}\n{quoted}").trim_end().to_owned()),
            None => (written, quoted),
        }
    }

    /// The same, whoever's words they are. What nobody here can read is said in words.
    fn text_as_it_came(&self, cut: fn(&str) -> ReplyText<'_>) -> (String, String) {
        let t = Texts::in_language(self.mailbox.language.0);
        let mail = &self.reading.mail;
        match (mail.level, mail.protection) {
            (Level::HeadersOnly, _) => (t.say("mail-headers-only-text"), String::new()),
            // What stands at its head may look like a quote.
            (Level::Stub, _) if mail.has_words_without_form() => {
                (format!("{}\n\n{}", t.say("mail-formless-text"), mail.text.trim_end()), String::new())
            }
            (Level::Stub, _) => (t.say("mail-unreadable-text"), String::new()),
            (Level::Full, Protection::EncryptedText) => {
                let ReplyText { written, quoted } = reply_text::split_encrypted(&mail.text);
                (format!("{}\n\n{written}", t.say("mail-encrypted-text")).trim_end().to_owned(), quoted.to_owned())
            }
            (Level::Full, Protection::Encrypted) => {
                let ReplyText { written, quoted } = cut(&mail.text);
                (format!("{}\n\n{written}", t.say("mail-encrypted-file")).trim_end().to_owned(), quoted.to_owned())
            }
            (Level::Full, Protection::None | Protection::Signed) => {
                let ReplyText { written, quoted } = cut(&mail.text);
                (written.to_owned(), quoted.to_owned())
            }
        }
    }

    /// What an agent wrote into a note, which folds nothing: without the history, and with what is encrypted in it, for whoever
    /// has the key.
    pub(super) fn text_of_note(&self) -> String {
        let (written, folded) = self.text_as_it_came(reply_text::split);
        match (self.reading.mail.level, self.reading.mail.protection) {
            (Level::Full, Protection::EncryptedText) => format!("{written}\n\n{folded}").trim_end().to_owned(),
            _ => written,
        }
    }

    pub(super) fn subject(&self) -> String {
        let mail = &self.reading.mail;
        if mail.level == Level::Stub && mail.subject.is_empty() {
            let key = if mail.has_words_without_form() { "mail-formless-subject" } else { "mail-unreadable-subject" };
            return Texts::in_language(self.mailbox.language.0).say(key);
        }
        mail.subject.clone()
    }

    pub(super) fn record(&self, decision: &str) -> Record {
        let reading = self.reading;
        let mut flags = Vec::new();
        if reading.had_card_number {
            flags.push("card_number".to_owned());
        }
        if reading.mail.is_charset_doubtful {
            flags.push("doubtful_charset".to_owned());
        }
        match reading.mail.protection {
            Protection::None => {}
            Protection::Signed => flags.push("signed".to_owned()),
            Protection::Encrypted | Protection::EncryptedText => flags.push("encrypted".to_owned()),
        }
        match reading.class {
            Class::MachineMade => flags.push("machine_made".to_owned()),
            Class::NoAcknowledgement => flags.push("not_to_be_acknowledged".to_owned()),
            Class::Human => {}
        }
        if reading.passes_on {
            flags.push(PASSED_ON.to_owned());
        }
        if self.is_answer_address_foreign() {
            flags.push("reply_to_elsewhere".to_owned());
        }
        Record {
            rule: String::new(),
            decision: decision.to_owned(),
            flags,
            cut: reading.mail.cuts.ids().into_iter().map(str::to_owned).collect(),
            read: reading.mail.level.as_str().to_owned(),
            authentication: reading.authentication.name().to_owned(),
            checked: reading.checked.clone(),
            duration_ms: u64::try_from(reading.took.as_millis()).unwrap_or(u64::MAX),
            may_acknowledge: false,
        }
    }

    /// Reply-To names an address of another organisation's domain than From's (I-05). It is shown, and nothing is ever sent
    /// there.
    fn is_answer_address_foreign(&self) -> bool {
        let mail = &self.reading.mail;
        let Some(from) = &mail.from.identity else { return !mail.reply_to.is_empty() };
        let is_foreign = |identity: &EmailAddress| !are_aligned(identity.domain(), from.domain());
        mail.reply_to.iter().any(|reply_to| reply_to.identity.as_ref().is_none_or(is_foreign))
    }

    /// Reply-To names somebody of the staff, and From somebody else (I-05): whoever made it wants it to be taken for an
    /// agent's. It gives no rights; those are From's alone.
    pub(super) fn is_answer_address_of_staff(&self, db: &mut DbConnection) -> Result<bool> {
        let mail = &self.reading.mail;
        for address in mail.reply_to.iter().filter_map(|reply_to| reply_to.identity.as_ref()).take(ANSWER_ADDRESSES) {
            if mail.from.identity.as_ref() != Some(address)
                && let Some(person) = person::find_by_address(db, address)?
                && staff::is_staff(db, person.id)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What the decision says besides its rule, by the names under which it is recorded.
pub(super) fn flags_of(decision: &Decision) -> Vec<String> {
    let flags = [
        (decision.disagreement, "disagreement"),
        (decision.not_genuine, "not_genuine"),
        (decision.hint, "hint"),
        (decision.alert, "alert"),
    ];
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_subject_is_kept_and_the_same_in_other_clothes_is_not() {
        let printer = "L’imprimante du 2e";
        for same in [
            "Re: L’imprimante du 2e",
            "RE : [ACC-BT0WS8H9CK] L’IMPRIMANTE du 2e",
            "Tr: Re:  L’imprimante  du 2e (encore)",
            "Re:",
            "",
        ] {
            assert_eq!(subject_that_goes_on(printer, same), printer, "{same}");
        }
        for (old, new, kept) in [
            ("", "La facture", "La facture"),
            ("", "Re: [ACC-BT0WS8H9CK]", ""),
            ("PC", "Re: Un autre PC en panne", "Un autre PC en panne"),
            ("e", "La facture", "La facture"),
            (printer, "Re: [ACC-BT0WS8H9CK] La facture", "La facture"),
            (printer, "Facture: une question", "Facture: une question"),
        ] {
            assert_eq!(subject_that_goes_on(old, new), kept, "{old} / {new}");
        }
    }
}
