//! Any thousand mails from strangers, well-formed, broken and hostile: whatever they are, each is kept and leads somewhere,
//! none takes long, and no machine is written to.

use std::time::{Duration, Instant};

use accord::db::schema::journal;
use accord::db::types::TicketId;
use accord::journal::{Acceptance, State};
use diesel::prelude::*;
use sha2::{Digest, Sha256};

use super::corpus::specimens;
use crate::support::desk::{Desk, SUPPORT};
use crate::support::times;

/// What reading and carrying out one may take, in a program that is not optimized and among others that run (L-13).
const CEILING: Duration = Duration::from_secs(5);

#[test]
fn any_thousand_foreign_mails_are_kept_and_lead_somewhere_and_no_machine_is_written_to() {
    let desk = Desk::open();
    let mails = specimens(7, times(100, 1_000));
    let mut robots = 0;
    for mail in &mails {
        // Each twentieth is what a machine writes.
        let bytes = if mail.number % 20 == 0 {
            robots += 1;
            let mark = [
                "Auto-Submitted: auto-replied",
                "X-Autoreply: yes",
                "Precedence: auto_reply",
                "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
            ][robots % 4];
            format!(
                "{mark}\r\nFrom: robot@machines.example\r\nTo: {SUPPORT}\r\nSubject: {}\r\n\r\nBeep\r\n",
                mail.number
            )
            .into_bytes()
        } else {
            mail.bytes.clone()
        };
        let began = Instant::now();
        assert_eq!(desk.accept_bytes(SUPPORT, "somebody@elsewhere.example", bytes.clone()), Acceptance::Accepted);
        desk.test.run_jobs();
        assert!(began.elapsed() < CEILING, "mail {} ({}) took {:?}", mail.number, mail.oddity, began.elapsed());
        let hash = Sha256::digest(&bytes).to_vec();
        let (state, ticket, original, raw): (State, Option<TicketId>, Option<String>, Option<Vec<u8>>) =
            desk.test.read(|db| {
                let row = journal::table.filter(journal::raw_sha256.eq(&hash));
                Ok(row.select((journal::state, journal::ticket_id, journal::original_hash, journal::raw)).first(db)?)
            });
        let what = format!("mail {} ({})", mail.number, mail.oddity);
        assert!(matches!((state, ticket), (State::Applied, Some(_)) | (State::Held, _)), "{what} is {state:?}");
        assert_eq!(raw, None, "{what}");
        let kept = desk.test.app.storage.get(&original.unwrap()).unwrap();
        assert!(kept == bytes, "{what} is not what came");
    }
    assert!(robots > 0);
    let people = ["claire@acme.example", "clea@other.example", "zoe@staff.example", "anne@staff.example"];
    for sent in desk.sent() {
        assert!(people.contains(&sent.recipient.as_str()), "{}", sent.recipient);
    }
}
