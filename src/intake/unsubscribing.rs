//! A mail to the address in `List-Unsubscribe` (OUT-06): it is no request and no answer, whatever it says. Programs send
//! it, so nobody is told; whoever holds the token may have the wish.

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::Result;
use crate::intake::{House, addressing};
use crate::journal::Delivery;
use crate::mail::address::EmailAddress;
use crate::mail::unsubscribe_token;
use crate::people::mail_wishes;

/// Whether the mail was handed over for such an address, and the wish is carried out then.
pub fn carry_out(db: &mut DbConnection, house: &House, delivery: &Delivery, now: UtcTime) -> Result<bool> {
    let at = EmailAddress::parse(&delivery.recipient)
        .filter(|address| addressing::is_at_reply_domain(&house.letterhead, address));
    let Some(token) = at.and_then(|address| unsubscribe_token::in_local_part(address.local_part())) else {
        return Ok(false);
    };
    let Some(person) = mail_wishes::find(db, &house.letterhead.keys, &token)? else { return Ok(false) };
    mail_wishes::stop(db, person.id, now)?;
    Ok(true)
}
