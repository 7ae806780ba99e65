//! What a new installation begins with: one queue of each kind, and the mailbox of the support queue.

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::error::Result;
use crate::i18n::{Locale, Texts};
use crate::mail::address::EmailAddress;
use crate::teams::mailboxes::{self, MailboxDescription};
use crate::teams::queues::{self, QueueDescription, QueueKind};

/// Makes the queues and the default mailbox at `support`, unless there are queues already.
pub fn create_defaults(db: &mut DbConnection, support: &EmailAddress, language: Locale, now: UtcTime) -> Result<()> {
    if !queues::all(db)?.is_empty() {
        return Ok(());
    }
    for &kind in QueueKind::ALL {
        let name = |locale| Texts::in_language(locale).say(&format!("queue-{kind}"));
        let description =
            QueueDescription { kind, name_fr: name(Locale::Fr), name_en: name(Locale::En), on_form: true };
        let queue = queues::create(db, &description, now)?;
        if kind == QueueKind::Support {
            let mailbox = MailboxDescription::new(support.clone(), queue.name(language), queue.id, language);
            mailboxes::create(db, &mailbox, None, now)?;
        }
    }
    Ok(())
}
