//! For which address a fetched mail is, whose envelope nobody tells any more: a signed address of ours that it names, the
//! mailbox of ours that the delivering server wrote down, else the account's own.

use crate::app::App;
use crate::config::mail_environment::MailEnvironment;
use crate::db::DbConnection;
use crate::error::Result;
use crate::intake::addressing;
use crate::journal::Recipient;
use crate::mail::address::EmailAddress;
use crate::mail::incoming::parse_within;
use crate::mail::{reply_address, unsubscribe_token};
use crate::notifications::Letterhead;
use crate::teams::mailboxes;

/// In which fields a server writes whom it delivers for, above the first `Received`: what stands below came with the mail.
const DELIVERED: &[&str] = &["delivered-to", "x-original-to", "envelope-to"];
/// More addresses than any mail to us has before ours.
const LOOKED_AT: usize = 50;

/// The recipient of a mail, and its envelope's sender as its header has it: `<>` for the null sender, empty when it does not
/// tell. It reads the header only, and the database.
pub(super) fn addressed_to(app: &App, home: &Recipient, raw: &[u8]) -> Result<(Recipient, String)> {
    let mail = parse_within(raw, 0);
    let sender = match mail.return_path.as_deref() {
        Some("") => "<>".to_owned(),
        Some(path) => MailEnvironment::sender_of(path).unwrap_or_default(),
        None => String::new(),
    };
    let delivered: Vec<EmailAddress> = mail
        .headers
        .iter()
        .take_while(|(name, _)| name != "received")
        .filter(|(name, _)| DELIVERED.contains(&name.as_str()))
        .filter_map(|(_, value)| EmailAddress::parse(value.trim().trim_start_matches('<').trim_end_matches('>')))
        .take(LOOKED_AT)
        .collect();
    let named = mail.to.iter().chain(&mail.cc).filter_map(|to| to.identity.clone()).take(LOOKED_AT);
    let all: Vec<EmailAddress> = delivered.iter().cloned().chain(named).collect();
    let letterhead = Letterhead::new(&app.keys, &app.config);
    let recipient = app.database.read_now(|db| {
        if let Some(signed) = signed(db, &letterhead, home, &all)? {
            return Ok(signed);
        }
        for address in &delivered {
            if let Some(mailbox) = mailboxes::find_by_canonical(db, address)? {
                return Ok(Recipient { mailbox: mailbox.id, address: address.as_str().to_owned() });
            }
        }
        Ok(home.clone())
    })?;
    Ok((recipient, sender))
}

/// An address that we signed, at the mailbox that it was signed for.
fn signed(
    db: &mut DbConnection,
    letterhead: &Letterhead,
    home: &Recipient,
    addresses: &[EmailAddress],
) -> Result<Option<Recipient>> {
    for address in addresses.iter().filter(|address| addressing::is_at_reply_domain(letterhead, address)) {
        if let Some(token) = reply_address::parse(address.local_part())
            && let Some((_, mailbox)) = addressing::find_genuine(db, letterhead, &token)?
        {
            return Ok(Some(Recipient { mailbox: mailbox.id, address: address.as_str().to_owned() }));
        }
        if unsubscribe_token::in_local_part(address.local_part()).is_some() {
            return Ok(Some(Recipient { mailbox: home.mailbox, address: address.as_str().to_owned() }));
        }
    }
    Ok(None)
}
