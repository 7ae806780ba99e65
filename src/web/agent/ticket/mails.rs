//! To whom an answer was mailed, and how far each of those mails has come.

use crate::db::types::MessageId;
use crate::i18n::Texts;
use crate::mail::address::visible;
use crate::outbox::listing::Outgoing;
use crate::outbox::{Kind, State};

/// A mail of an answer.
pub(super) struct MailLine {
    pub(super) recipient: String,
    pub(super) icon: &'static str,
    /// How far it has come, with the time.
    pub(super) text: String,
    /// What the other mail server said, of one that is late or did not arrive; of one that waits for our relay, that it does.
    pub(super) reason: String,
}

/// The mails of the answer `message`, the oldest first; of one that was sent anew there are several. What our own relay said is
/// for who `operates` the installation.
pub(super) fn lines(t: &Texts, mails: &[Outgoing], message: MessageId, operates: bool) -> Vec<MailLine> {
    let of_message = mails.iter().filter(|mail| mail.kind == Kind::Reply && mail.message == Some(message));
    of_message.map(|mail| line(t, mail, operates)).collect()
}

fn line(t: &Texts, mail: &Outgoing, operates: bool) -> MailLine {
    let (icon, text) = match mail.state {
        State::Queued => ("clock", t.say("mail-state-queued")),
        State::Leased => ("send", t.say("mail-state-sending")),
        State::Sent => {
            let at = mail.sent_at.map(|at| t.date_time(&at)).unwrap_or_default();
            ("check", t.with("mail-state-sent", "at", at))
        }
        State::Deferred => ("clock", t.with("mail-state-deferred", "at", t.date_time(&mail.next_at))),
        // What left and came back has no bytes any more.
        State::Dead if !mail.has_bytes => ("alert", t.say("mail-state-bounced")),
        State::Dead => ("alert", t.say("mail-state-failed")),
        State::Suppressed => ("pause", t.say("mail-state-suppressed")),
    };
    let reason = match (mail.state, mail.last_error.as_deref()) {
        // It waits for our relay, which is nothing that an agent could mend.
        (State::Queued, Some(_)) if !operates => t.say("mail-relay-waits"),
        (State::Queued | State::Deferred | State::Dead, Some(words)) => visible(words),
        _ => String::new(),
    };
    MailLine { recipient: visible(&mail.recipient), icon, text, reason }
}
