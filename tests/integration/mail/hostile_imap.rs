//! IMAP servers that hang, lie, babble or are somebody else: none costs memory, time without end, or another's mail (S-06,
//! FT-08, FT-26).

use std::time::{Duration, Instant};

use accord::journal::imap::{self as ledger, standing};
use accord::worker::imap::Ended;
use accord::worker::imap::client::Trouble;
use chrono::TimeDelta;

use crate::support::desk::Letter;
use crate::support::imap::{Fetching, ImapServer, Manner, Speech, certificate};

/// The trouble that looking ended with.
async fn trouble(fetching: &mut Fetching) -> Trouble {
    match fetching.look().await {
        Err(Ended::Trouble(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

fn letter(subject: &str) -> Letter {
    Letter::from("claire@acme.example").subject(subject)
}

/// A folder with a mail of that manner between two good ones.
async fn with_one(manner: Manner) -> (Fetching, u32) {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    let uid = fetching.server.deliver_with(letter("Deux").text(&"texte\r\n".repeat(1_000)).bytes(), manner);
    fetching.deliver(&letter("Trois"));
    (fetching, uid)
}

#[actix_web::test]
async fn ft_26_j_07_a_mail_that_the_server_does_not_give_keeps_no_other_waiting_and_is_told() {
    for manner in [Manner::SaysNo, Manner::GivesNothing] {
        let (mut fetching, uid) = with_one(manner).await;
        fetching.look_well().await;
        assert_eq!(fetching.subjects(), ["Un", "Trois"], "{manner:?}");
        assert_eq!(fetching.standing().stuck, 0, "it may still come");
        for _ in 0..3 {
            fetching.desk.test.clock.advance(TimeDelta::minutes(6));
            fetching.look_well().await;
        }
        let standing = fetching.standing();
        assert_eq!((standing.stuck, standing.trouble), (1, None));
        assert!(!standing.stuck_words.is_empty());
        // Nothing is given up.
        fetching.server.state().mails.get_mut(&uid).unwrap().manner = Manner::Good;
        fetching.desk.test.clock.advance(TimeDelta::hours(1));
        fetching.look_well().await;
        assert_eq!(fetching.subjects(), ["Un", "Trois", "Deux"]);
        assert_eq!(fetching.standing().stuck, 0);
    }
}

#[actix_web::test]
async fn ft_26_a_server_that_refuses_everything_for_a_while_loses_none() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    for subject in ["Un", "Deux", "Trois"] {
        fetching.deliver(&letter(subject));
    }
    fetching.server.state().only_lists = true;
    for _ in 0..3 {
        assert!(matches!(trouble(&mut fetching).await, Trouble::Refused(_)));
        fetching.desk.test.clock.advance(TimeDelta::seconds(1));
    }
    assert!(fetching.subjects().is_empty());
    assert_eq!(fetching.standing().trouble.unwrap().0, "refused");
    fetching.server.state().only_lists = false;
    fetching.desk.test.clock.advance(TimeDelta::hours(2));
    fetching.look_well().await;
    let mut subjects = fetching.subjects();
    subjects.sort();
    assert_eq!(subjects, ["Deux", "Trois", "Un"]);
}

#[actix_web::test]
async fn s_06_lists_in_lists_without_an_end_cost_a_connection_and_not_the_program() {
    let nested = |count| format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(count));
    let mut fetching = Fetching::with("");
    fetching.server.state().greeting = nested(32_000);
    assert!(matches!(trouble(&mut fetching).await, Trouble::Odd(words) if words.contains("lists")));
    fetching.server.state().greeting = "* OK ready".to_owned();
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    // As deep as is let through, and deeper.
    for count in [15, 100, 32_000] {
        fetching.server.state().before_listing = format!("{}\r\n", nested(count));
        assert!(matches!(trouble(&mut fetching).await, Trouble::Odd(_)), "{count}");
    }
    fetching.server.state().before_listing.clear();
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un"]);
}

#[actix_web::test]
async fn s_06_ft_26_a_literal_of_4_gib_and_other_nonsense_cost_a_connection_and_nothing_else() {
    for (manner, wanted) in [
        (Manner::Announces(4 << 30), "odd"),
        (Manner::Announces(u64::MAX), "odd"),
        // The library alone would make room for it.
        (Manner::Announces(400 << 20), "odd"),
        (Manner::Hides, "odd"),
        (Manner::Babbles, "odd"),
        (Manner::NeverEnds, "odd"),
        (Manner::HangsUp, "closed"),
    ] {
        let (mut fetching, _) = with_one(manner).await;
        let began = Instant::now();
        assert_eq!(trouble(&mut fetching).await.kind(), wanted, "{manner:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{manner:?}");
        let told = fetching.standing().trouble.unwrap();
        assert_eq!(told.0, wanted);
        assert!(!told.1.contains("texte"), "no mail in what is told: {told:?}");
        fetching.look_well().await;
        assert_eq!(fetching.subjects(), ["Un", "Trois"], "{manner:?}");
    }
}

#[actix_web::test]
async fn ft_26_the_last_number_that_a_mail_can_have_is_passed_once() {
    let mut fetching = Fetching::with("");
    fetching.server.state().uid_next = u32::MAX - 1;
    fetching.look_well().await;
    let (before, last) = (fetching.deliver(&letter("Un")), fetching.deliver(&letter("Deux")));
    assert_eq!((before, last), (u32::MAX - 1, u32::MAX));
    for _ in 0..2 {
        tokio::time::timeout(Duration::from_secs(10), fetching.look_well()).await.expect("it ends");
        assert_eq!(fetching.subjects(), ["Un", "Deux"]);
    }
}

#[actix_web::test]
async fn ft_08_s_06_a_server_that_falls_silent_is_left_in_its_time() {
    let (mut fetching, _) = with_one(Manner::Hangs).await;
    assert_eq!(trouble(&mut fetching).await, Trouble::Slow);
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Trois"]);
    // And one that never says a word.
    fetching.server.state().greeting = String::new();
    assert!(matches!(trouble(&mut fetching).await, Trouble::Odd(_)));
}

#[actix_web::test]
async fn ft_26_a_mail_removed_while_it_is_fetched_is_no_trouble() {
    let (mut fetching, _) = with_one(Manner::Loses).await;
    fetching.look_well().await;
    fetching.desk.test.clock.advance(TimeDelta::hours(2));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Trois"]);
    assert_eq!(fetching.standing().stuck, 0);
}

#[actix_web::test]
async fn ft_26_a_server_that_lies_about_a_size_is_not_believed_and_the_mail_comes_all_the_same() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    let uid = fetching.deliver(&letter("Gros").text(&"x".repeat(300_000)));
    fetching.server.state().mails.get_mut(&uid).unwrap().size = 1_000;
    fetching.deliver(&letter("Petit"));
    assert!(matches!(trouble(&mut fetching).await, Trouble::Odd(_)));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Petit"]);
    fetching.desk.test.clock.advance(TimeDelta::seconds(11));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Petit", "Gros"]);
    // One that says that there is nothing in a mail.
    let uid = fetching.deliver(&letter("Vide"));
    fetching.server.state().mails.get_mut(&uid).unwrap().size = 0;
    fetching.look_well().await;
    assert_eq!(fetching.subjects().last().unwrap(), "Vide");
}

fn over_tls(speech: Speech, host: &str, tls: &str, ca: &str) -> (Fetching, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    let settings = format!("tls = \"{tls}\"\npassword = \"secret\"\nca_file = {file:?}");
    (Fetching::at(ImapServer::start(speech), host, &settings), folder)
}

#[actix_web::test]
async fn s_06_mail_comes_over_tls_from_a_server_that_proves_who_it_is() {
    let (pem, config) = certificate("localhost");
    for (speech, tls) in [(Speech::Wrapper(config.clone()), "wrapper"), (Speech::StartTls(config), "starttls")] {
        let (mut fetching, _folder) = over_tls(speech, "localhost", tls, &pem);
        fetching.look_well().await;
        fetching.deliver(&letter("Un"));
        fetching.look_well().await;
        assert_eq!(fetching.subjects(), ["Un"], "{tls}");
    }
}

#[actix_web::test]
async fn s_06_ft_08_nothing_is_said_to_a_server_with_another_s_certificate() {
    let (other, config) = certificate("imap.evil.test");
    let (pem, _) = certificate("localhost");
    for speech in [Speech::Wrapper(config.clone()), Speech::StartTls(config)] {
        let tls = if matches!(speech, Speech::Wrapper(_)) { "wrapper" } else { "starttls" };
        for ca in [&other, &pem] {
            let (mut fetching, _folder) = over_tls(speech.clone(), "localhost", tls, ca);
            let trouble = trouble(&mut fetching).await;
            assert!(matches!(&trouble, Trouble::Unprotected(words) if words.contains("certificate")), "{trouble:?}");
            assert_eq!(fetching.server.heard("LOGIN"), 0);
        }
    }
}

#[actix_web::test]
async fn s_04_s_06_words_put_into_a_server_s_mouth_before_tls_end_the_connection() {
    let (pem, config) = certificate("localhost");
    let (mut fetching, _folder) = over_tls(Speech::StartTls(config), "localhost", "starttls", &pem);
    for injected in ["* PREAUTH hello\r\n", "a1 OK LOGIN done\r\n", "x"] {
        fetching.server.state().injected = injected.to_owned();
        assert!(matches!(trouble(&mut fetching).await, Trouble::Unprotected(_)), "{injected}");
    }
    fetching.server.state().injected.clear();
    // Nor is a server believed that says we were signed in already, where nothing is protected yet.
    fetching.server.state().greeting = "* PREAUTH welcome".to_owned();
    assert!(matches!(trouble(&mut fetching).await, Trouble::Unprotected(_)));
    assert_eq!(fetching.server.heard("LOGIN"), 0);
}

#[actix_web::test]
async fn s_06_a_wrong_password_and_a_folder_that_is_not_there_are_told_in_the_server_s_words() {
    let mut fetching = Fetching::with("folders = [\"INBOX\", \"Spam\"]");
    fetching.server.state().password = "other".to_owned();
    assert!(matches!(trouble(&mut fetching).await, Trouble::SignIn(_)));
    let (kind, words, since) = fetching.standing().trouble.unwrap();
    assert_eq!(kind, "sign-in");
    assert!(words.contains("wrong password"), "{words}");
    fetching.desk.test.clock.advance(TimeDelta::minutes(5));
    fetching.server.state().password = "secret".to_owned();
    assert!(matches!(trouble(&mut fetching).await, Trouble::Folder { .. }));
    let (kind, words, still) = fetching.standing().trouble.unwrap();
    assert_eq!((kind.as_str(), still), ("folder", since), "it counts from when mail last came");
    assert!(words.starts_with("Spam: "), "{words}");
    // The folders that are there go on, whatever their place.
    let mut fetching = Fetching::with("folders = [\"Spam\", \"INBOX\"]");
    assert!(matches!(trouble(&mut fetching).await, Trouble::Folder { .. }));
    fetching.deliver(&letter("Un"));
    assert!(matches!(trouble(&mut fetching).await, Trouble::Folder { .. }));
    assert_eq!(fetching.subjects(), ["Un"]);
}

#[actix_web::test]
async fn s_06_ft_30_the_state_of_the_installation_tells_how_each_account_stands() {
    let mut fetching = Fetching::with("");
    let anne = fetching.desk.test.signed_in(fetching.desk.administrator).await;
    anne.get("/admin/status").await.assert_says("Courrier relevé\u{a0}: support").assert_says("Pas encore connecté");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    let page = anne.get("/admin/status").await;
    page.assert_says("Connecté depuis le").assert_says("Dernier courriel");
    let uid = fetching.server.deliver_with(letter("Deux").bytes(), Manner::SaysNo);
    for _ in 0..4 {
        fetching.look_well().await;
        fetching.desk.test.clock.advance(TimeDelta::minutes(6));
    }
    let page = anne.get("/admin/status").await;
    page.assert_says("Un courriel ne peut pas y être relevé")
        .assert_says("it cannot be read")
        .assert_says("à examiner");
    fetching.server.state().mails.remove(&uid);
    fetching.server.state().password = "<b>other".to_owned();
    assert!(matches!(trouble(&mut fetching).await, Trouble::SignIn(_)));
    fetching.desk.test.clock.advance(TimeDelta::minutes(11));
    let page = anne.get("/admin/status").await;
    page.assert_says("Le serveur refuse l’accès").assert_says("wrong password").assert_says("à corriger");
}

#[actix_web::test]
async fn ft_31_a_server_whose_name_leads_nowhere_is_told_and_what_was_fetched_waits_for_no_name() {
    let settings = "tls = \"wrapper\"\npassword = \"secret\"";
    let mut fetching = Fetching::at(ImapServer::start(Speech::Plain), "imap.invalid", settings);
    let began = Instant::now();
    let trouble = trouble(&mut fetching).await;
    assert!(matches!(trouble, Trouble::Unreachable(_) | Trouble::Slow), "{trouble:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(fetching.standing().trouble.is_some());
    // A mail is in the journal before anybody looks up who stands by its sender.
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_quietly().await.unwrap();
    let waiting = fetching.desk.test.read(accord::journal::unprocessed::counts).waiting;
    assert_eq!((waiting, fetching.subjects().len()), (1, 0));
}

#[actix_web::test]
async fn ft_26_j_07_a_mail_over_which_the_server_refuses_to_list_keeps_no_other_waiting() {
    let mut fetching = Fetching::with("");
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    let uid = fetching.deliver(&letter("Deux"));
    fetching.deliver(&letter("Trois"));
    fetching.server.state().unlisted.insert(uid);
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Trois"]);
    // While it is tried again, the folder goes on.
    for subject in ["Quatre", "Cinq", "Six"] {
        fetching.desk.test.clock.advance(TimeDelta::hours(1));
        fetching.deliver(&letter(subject));
        fetching.look_well().await;
        assert_eq!(fetching.subjects().last().unwrap(), subject);
    }
    let standing = fetching.standing();
    assert_eq!((standing.stuck, standing.stuck_words.as_str()), (1, "it cannot be read"));
    fetching.server.state().unlisted.clear();
    fetching.desk.test.clock.advance(TimeDelta::hours(1));
    fetching.look_well().await;
    assert_eq!((fetching.subjects().last().unwrap().as_str(), fetching.standing().stuck), ("Deux", 0));
    // Where it refuses all of them, it is the server.
    let uids: Vec<u32> = (0..8).map(|number| fetching.deliver(&letter(&format!("Autre {number}")))).collect();
    fetching.server.state().unlisted.extend(&uids);
    assert!(matches!(trouble(&mut fetching).await, Trouble::Refused(_)));
    fetching.server.state().unlisted.clear();
    fetching.desk.test.clock.advance(TimeDelta::hours(1));
    fetching.look_well().await;
    assert_eq!(fetching.subjects().len(), 14, "none is lost");
}

#[actix_web::test]
async fn ft_26_a_very_large_mail_that_takes_its_time_keeps_no_other_account_waiting() {
    let (mut slow, mut other) = (Fetching::with(""), Fetching::with(""));
    slow.look_well().await;
    other.look_well().await;
    let uid = slow.server.deliver_with(letter("Énorme").bytes(), Manner::Hangs);
    slow.server.state().mails.get_mut(&uid).unwrap().size = 90 << 20;
    other.deliver(&letter("Un"));
    let server = slow.server.clone();
    let hanging = slow.look_quietly();
    tokio::pin!(hanging);
    let is_under_way = async {
        while server.heard("BODY.PEEK") == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = &mut hanging => panic!("{ended:?}"),
        () = is_under_way => {}
    }
    tokio::select! {
        ended = &mut hanging => panic!("the other waited for it: {ended:?}"),
        looked = other.look_quietly() => looked.unwrap(),
    }
    assert!(matches!(hanging.await, Err(Ended::Trouble(Trouble::Slow))));
}

#[test]
fn s_06_what_was_wrong_with_a_connection_is_over_once_something_is_had() {
    let fetching = Fetching::with("");
    let now = fetching.desk.test.now();
    for (kind, is_over) in
        [("unreachable", true), ("sign-in", true), ("closed", true), ("slow", true), ("folder", false), ("odd", false)]
    {
        fetching.desk.test.write(move |db| {
            ledger::claim(db, "support", "a", now)?;
            standing::in_trouble(db, "support", kind, "so it says", false, now)?;
            standing::connected(db, "support", now)
        });
        assert!(fetching.standing().trouble.is_some(), "{kind}: it lets us in, and may give nothing");
        fetching.desk.test.write(move |db| standing::heard(db, "support", now));
        assert_eq!(fetching.standing().trouble.is_none(), is_over, "{kind}");
        fetching.desk.test.write(move |db| standing::well(db, "support", now));
        assert_eq!(fetching.standing().trouble, None, "{kind}");
    }
}

#[actix_web::test]
async fn s_06_a_connection_that_lies_still_for_long_is_kept_alive() {
    for (capabilities, folders, used, opened) in
        [("IMAP4rev1", "[\"INBOX\"]", "NOOP", 1), ("IMAP4rev1 IDLE", "[\"INBOX\", \"Empty\"]", "IDLE", 3)]
    {
        let mut fetching = Fetching::with(&format!("poll_secs = 3600\nfolders = {folders}"));
        fetching.server.state().capabilities = capabilities.to_owned();
        let server = fetching.server.clone();
        let is_kept_alive = async {
            while server.heard(used) < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = fetching.stay() => panic!("{ended:?}"),
            () = is_kept_alive => {}
        }
        assert_eq!(server.heard("EXAMINE"), opened, "without looking anew");
    }
}
