//! Which mailbox a recipient's address belongs to: one of ours, or a signed address of a ticket's conversation. Whatever
//! else is asked for is not for us, and is refused while the sender can still be told (S-02, LP-04).

use crate::db::DbConnection;
use crate::db::types::MailboxId;
use crate::error::Result;
use crate::mail::address::EmailAddress;
use crate::mail::automatic::asks_for_no_reply;
use crate::mail::reply_address::{self, UnverifiedToken};
use crate::mail::unsubscribe_token;
use crate::notifications::Letterhead;
use crate::notifications::recipients::mailbox_of;
use crate::teams::mailboxes::{self, Mailbox};
use crate::tickets::participants::{self, Participant};
use crate::tickets::ticket::{self, Ticket};

/// Addresses of a mail that are looked at for tokens.
pub(super) const TOKENS: usize = 20;

/// The mailbox at which mail to `recipient` arrives; nothing when we take no mail for it. The address must be plain: the
/// forms by which relays were tricked (`a%b@c`, `c!a`, `@c:a@d`, quotes) are no addresses here.
pub fn mailbox_for(db: &mut DbConnection, letterhead: &Letterhead, recipient: &str) -> Result<Option<MailboxId>> {
    let Some(address) = EmailAddress::parse(recipient) else { return Ok(None) };
    if address.local_part().contains(['%', '!']) {
        return Ok(None);
    }
    if let Some(mailbox) = mailboxes::find_by_canonical(db, &address)? {
        return Ok(Some(mailbox.id));
    }
    let resembles_ours = reply_address::resembles(address.local_part())
        || unsubscribe_token::in_local_part(address.local_part()).is_some();
    if !is_at_reply_domain(letterhead, &address) || !resembles_ours {
        return Ok(None);
    }
    // A token that is not genuine is as if absent, and its mail is not dropped (D14).
    let genuine = match reply_address::parse(address.local_part()) {
        Some(token) => find_genuine(db, letterhead, &token)?,
        None => None,
    };
    match genuine {
        Some((_, mailbox)) => Ok(Some(mailbox.id)),
        None => Ok(mailboxes::find_default(db)?.map(|mailbox| mailbox.id)),
    }
}

/// Whether the address is at the domain where answers arrive.
pub fn is_at_reply_domain(letterhead: &Letterhead, address: &EmailAddress) -> bool {
    address.domain().eq_ignore_ascii_case(&letterhead.reply_domain)
}

/// The ticket that a token names and the mailbox it is signed for, if we made it; whatever has become of the participant
/// meanwhile.
pub fn find_genuine(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    token: &UnverifiedToken,
) -> Result<Option<(Ticket, Mailbox)>> {
    let Some(ticket) = ticket::find_by_handle(db, token.ticket_handle)? else { return Ok(None) };
    let mailbox = mailbox_of(db, &ticket)?;
    let is_genuine = token.is_genuine(&letterhead.keys, ticket.organisation_id.0, &mailbox.canonical);
    Ok(is_genuine.then_some((ticket, mailbox)))
}

/// Whom a genuine token was made for, while it is in force.
pub fn holder(db: &mut DbConnection, ticket: &Ticket, token: &UnverifiedToken) -> Result<Option<Participant>> {
    participants::find_by_token(db, ticket.id, token.participant, token.epoch)
}

/// Addresses behind which nobody reads.
pub(super) fn is_unattended(local_part: &str) -> bool {
    let plain: String = local_part.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    ["noreply", "donotreply", "nepasrepondre", "mailerdaemon", "postmaster", "bounce", "listserv"]
        .iter()
        .any(|start| plain.starts_with(start))
        || asks_for_no_reply(local_part)
}
