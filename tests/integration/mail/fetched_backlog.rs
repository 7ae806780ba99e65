//! A long backlog at an IMAP server, with everything that goes wrong on the way: each mail is taken once (FT-26).

use std::collections::BTreeSet;

use accord::journal::unprocessed;
use accord::worker::imap::Ended;
use chrono::TimeDelta;

use crate::support::desk::Letter;
use crate::support::imap::{Fetching, Manner};
use crate::support::mails;

fn letter(number: usize) -> Letter {
    Letter::from(&format!("claire@house-{number}.example")).subject(&format!("Demande {number}"))
}

#[actix_web::test]
async fn ft_26_a_wire_cut_between_fetching_and_marking_loses_none_and_doubles_none() {
    for (after, command) in [("seen", "STORE"), ("move:Done", "MOVE")] {
        for is_done in [false, true] {
            let mut fetching = Fetching::with(&format!("after = \"{after}\""));
            fetching.look_well().await;
            for number in 0..3 {
                fetching.deliver(&letter(number));
            }
            fetching.server.state().hangs_up = Some((command, is_done));
            assert!(matches!(fetching.look().await, Err(Ended::Trouble(_))), "{after}");
            assert_eq!(fetching.server.state().hangs_up, None, "it hung up");
            let told = fetching.desk.sent().len();
            let subjects = fetching.subjects();
            assert!(!subjects.is_empty(), "what was fetched is ours before the server is told of it");
            fetching.desk.test.clock.advance(TimeDelta::minutes(2));
            Fetching::another(&fetching.desk).look_after(false).await.unwrap();
            fetching.desk.test.run_jobs();
            assert_eq!(fetching.subjects(), ["Demande 0", "Demande 1", "Demande 2"], "{after}, done: {is_done}");
            let told = told + fetching.desk.sent().len();
            assert_eq!(told, 6, "each customer and each time the agent, once");
            let state = fetching.server.state();
            let tidied = if after == "seen" { state.seen.len() } else { state.moved.len() };
            assert_eq!(tidied, 3, "{after}: what was fetched is marked in the end");
        }
    }
}

#[actix_web::test]
async fn ft_26_of_a_long_backlog_each_mail_is_taken_once_whatever_happens_on_the_way() {
    let backlog = mails(200);
    let mut fetching = Fetching::with("existing = \"take\"\nafter = \"seen\"");
    let poison = backlog / 4;
    let cut = backlog / 3;
    let lied_about = backlog / 2;
    for number in 0..backlog {
        let manner = match number {
            _ if number == poison => Manner::SaysNo,
            _ if number == cut => Manner::HangsUp,
            _ => Manner::Good,
        };
        let uid = fetching.server.deliver_with(letter(number).bytes(), manner);
        if number == lied_about {
            fetching.server.state().mails.get_mut(&uid).unwrap().size = 7;
        }
    }
    fetching.server.state().hangs_up = Some(("STORE", false));
    // Each trouble ends a visit; the next goes on where it was.
    let mut visits = 0;
    while fetching.look_quietly().await.is_err() || fetching.desk.test.read(unprocessed::counts).waiting < 1 {
        visits += 1;
        assert!(visits < 10, "it goes on");
        fetching.desk.test.clock.advance(TimeDelta::seconds(11));
    }
    // The server was restored in between, and numbers all mails anew.
    {
        let mut state = fetching.server.state();
        state.uid_validity += 1;
        let mails = std::mem::take(&mut state.mails);
        state.mails = mails.into_iter().map(|(uid, mail)| (uid + 100_000, mail)).collect();
        state.uid_next += 100_000;
        for mail in state.mails.values_mut() {
            if mail.manner == Manner::HangsUp {
                mail.manner = Manner::Good;
            }
        }
    }
    for _ in 0..4 {
        fetching.desk.test.clock.advance(TimeDelta::minutes(6));
        fetching.look_quietly().await.unwrap();
    }
    fetching.desk.test.run_jobs();
    let subjects = fetching.subjects();
    let found: BTreeSet<&str> = subjects.iter().map(String::as_str).collect();
    let wanted: BTreeSet<String> =
        (0..backlog).filter(|number| *number != poison).map(|number| format!("Demande {number}")).collect();
    assert_eq!(subjects.len(), found.len(), "none twice");
    assert_eq!(found, wanted.iter().map(String::as_str).collect());
    assert_eq!(fetching.standing().stuck, 1, "the one that cannot be read is told");
    let counts = fetching.desk.test.read(unprocessed::counts);
    assert_eq!((counts.waiting, counts.failed), (0, 0));
}
