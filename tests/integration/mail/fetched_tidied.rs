//! What becomes of mail on the IMAP server once it is ours, how new mail is noticed at once, and signing in by tokens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use accord::worker::imap::client::Trouble;
use accord::worker::imap::{self, Ended};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::support::desk::Letter;
use crate::support::imap::{Fetching, ImapServer, Speech, certificate};

fn letter(subject: &str) -> Letter {
    Letter::from("claire@acme.example").subject(subject)
}

#[actix_web::test]
async fn s_06_what_was_taken_is_marked_or_moved_only_if_that_is_wanted_and_never_deleted() {
    let mut fetching = Fetching::with("after = \"seen\"");
    let old = fetching.deliver(&letter("Avant"));
    fetching.look_well().await;
    let new = fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    assert_eq!(fetching.server.state().seen.iter().copied().collect::<Vec<_>>(), [new]);
    assert_eq!(fetching.server.state().mails.len(), 2);

    let mut fetching = Fetching::with("after = \"move:Done\"");
    fetching.deliver(&letter("Avant"));
    fetching.look_well().await;
    let new = fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    assert_eq!(fetching.server.state().moved, [new]);
    assert_eq!(fetching.server.state().mails.keys().copied().collect::<Vec<_>>(), [old]);
    assert_eq!((fetching.server.heard("Deleted"), fetching.server.heard("EXPUNGE")), (0, 0));
}

#[actix_web::test]
async fn s_06_a_mail_that_cannot_be_moved_keeps_no_other_from_it() {
    let mut fetching = Fetching::with("after = \"move:Done\"");
    fetching.look_well().await;
    let uids: Vec<u32> = ["Un", "Deux", "Trois"].iter().map(|subject| fetching.deliver(&letter(subject))).collect();
    fetching.server.state().stubborn.insert(uids[1]);
    fetching.look_well().await;
    assert_eq!(fetching.server.state().moved, [uids[0], uids[2]]);
    let (kind, words, _) = fetching.standing().trouble.unwrap();
    assert_eq!((kind.as_str(), words.as_str()), ("untidied", "not this one"));
    fetching.server.state().stubborn.clear();
    fetching.desk.test.clock.advance(chrono::TimeDelta::minutes(2));
    Fetching::another(&fetching.desk).look_after(false).await.unwrap();
    assert_eq!(fetching.server.state().moved, [uids[0], uids[2], uids[1]]);
    assert_eq!(fetching.standing().trouble, None);
    // Where none of many can be, the server is not asked for each of them.
    let uids: Vec<u32> = (0..20).map(|number| fetching.deliver(&letter(&format!("Autre {number}")))).collect();
    fetching.server.state().stubborn.extend(&uids);
    let before = fetching.server.heard("UID MOVE");
    fetching.desk.test.clock.advance(chrono::TimeDelta::minutes(2));
    Fetching::another(&fetching.desk).look_after(false).await.unwrap();
    assert_eq!(fetching.server.heard("UID MOVE") - before, 6);
}

#[actix_web::test]
async fn s_06_however_many_mails_cannot_be_moved_those_behind_them_are() {
    let mut fetching = Fetching::with("after = \"move:Done\"");
    fetching.look_well().await;
    let uids: Vec<u32> = (0..20).map(|number| fetching.deliver(&letter(&format!("Un {number}")))).collect();
    fetching.server.state().stubborn.extend(&uids[..12]);
    fetching.look_well().await;
    // It was left after five, as a server is that moves nothing.
    assert!(fetching.server.state().moved.is_empty());
    for _ in 0..2 {
        fetching.desk.test.clock.advance(chrono::TimeDelta::minutes(15));
        Fetching::another(&fetching.desk).look_after(false).await.unwrap();
    }
    assert_eq!(fetching.server.state().moved, uids[12..]);
    // And they wait for the day on which it works.
    fetching.server.state().stubborn.clear();
    fetching.desk.test.clock.advance(chrono::TimeDelta::hours(1));
    Fetching::another(&fetching.desk).look_after(false).await.unwrap();
    assert_eq!(fetching.server.state().moved.len(), uids.len());
}

#[actix_web::test]
async fn s_06_what_is_told_at_the_moment_at_which_the_waiting_is_renewed_is_heard() {
    let mut fetching = Fetching::with("folders = [\"INBOX\", \"Empty\"]\npoll_secs = 3600");
    fetching.look_well().await;
    fetching.server.state().arrives_at_the_end = Some(letter("Un").bytes());
    fetching.desk.test.clock.advance(chrono::TimeDelta::minutes(2));
    let mut keeper = Fetching::another(&fetching.desk);
    tokio::select! {
        ended = keeper.look_after(true) => panic!("{ended:?}"),
        () = until(|| fetching.server.heard("BODY.PEEK") > 0) => {}
    }
}

#[actix_web::test]
async fn s_06_a_mail_that_cannot_be_moved_is_taken_all_the_same_and_moved_later() {
    let mut fetching = Fetching::with("after = \"move:Done\"");
    fetching.server.state().other_folder = "Elsewhere".to_owned();
    fetching.look_well().await;
    let first = fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    let second = fetching.deliver(&letter("Deux"));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un", "Deux"]);
    assert_eq!(fetching.server.heard("UID MOVE"), 1, "it is not asked all the time");
    let (kind, words, _) = fetching.standing().trouble.unwrap();
    assert_eq!(kind, "untidied");
    assert!(words.contains("no such folder"), "{words}");
    assert!(fetching.standing().connected_since.is_some(), "mail comes");
    // Somebody made the folder, and the program was started again in between.
    fetching.server.state().other_folder = "Done".to_owned();
    fetching.desk.test.clock.advance(chrono::TimeDelta::minutes(2));
    Fetching::another(&fetching.desk).look_after(false).await.unwrap();
    // The one with which it was tried before comes last.
    assert_eq!(fetching.server.state().moved, [second, first]);
    assert_eq!(fetching.standing().trouble, None);
}

#[actix_web::test]
async fn ft_26_a_server_that_cannot_move_is_not_made_to_delete() {
    let mut fetching = Fetching::with("after = \"move:Done\"");
    fetching.server.state().capabilities = "IMAP4rev1".to_owned();
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    assert_eq!((fetching.subjects().len(), fetching.server.state().mails.len()), (1, 1));
    assert!(fetching.standing().trouble.unwrap().1.contains("MOVE"));
}

#[actix_web::test]
async fn s_06_a_server_that_tells_of_new_mail_is_heard_at_once() {
    let fetching = Fetching::with("");
    fetching.server.state().tells_early = true;
    let stop = CancellationToken::new();
    let _stops_at_the_end = stop.clone().drop_guard();
    let serving = accord::carry::task(imap::serve(fetching.desk.test.app.clone(), stop.clone()));
    // It told before it said that it would, and it was heard.
    until(|| fetching.server.heard("IDLE") > 1).await;
    let asked = Instant::now();
    fetching.deliver(&letter("Un"));
    until(|| fetching.server.heard("BODY.PEEK") > 0).await;
    assert!(asked.elapsed() < Duration::from_secs(10), "it was told, not found by asking");
    until(|| fetching.server.heard("IDLE") > 2).await;
    fetching.desk.test.run_jobs();
    assert_eq!(fetching.subjects(), ["Un"]);
    assert!(fetching.standing().connected_since.is_some());
    stop.cancel();
    serving.await.unwrap();
    assert!(fetching.standing().connected_since.is_none(), "whoever takes over need not wait");
}

/// Lets others work until it is so.
async fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it takes too long");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A provider that gives tokens, numbered, for an hour each; and all that it was asked.
fn provider(answer: &'static str) -> (String, u16, Arc<Mutex<Vec<String>>>) {
    let (pem, config) = certificate("localhost");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(rustls::StreamOwned::new(connection, tcp));
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
                if let Some((_, value)) =
                    line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            if length == 0 {
                // It was not trusted.
                continue;
            }
            let mut form = vec![0; length];
            stream.read_exact(&mut form).unwrap();
            let mut heard = heard.lock().unwrap();
            heard.push(String::from_utf8(form).unwrap());
            let (status, body) = match answer {
                "" => (
                    "200 OK",
                    format!(
                        "{{\"access_token\":\"t{0}\",\"expires_in\":3600,\"refresh_token\":\"r{0}\"}}",
                        heard.len()
                    ),
                ),
                refusal => ("400 Bad Request", format!("{{\"error\":\"{refusal}\",\"error_description\":\"x\"}}")),
            };
            let text =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(text.as_bytes()).unwrap();
            stream.get_mut().conn.send_close_notify();
            drop(stream.get_mut().flush());
        }
    });
    (pem, port, asked)
}

fn by_tokens(pem: &str, port: u16) -> (Fetching, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let settings = format!(
        "tls = \"none\"\noauth = \"microsoft\"\nclient_id = \"our id\"\nclient_secret = \"our secret\"\nrefresh_token = \"long&lasting\"\n\
         token_url = \"https://localhost:{port}/token\"\nca_file = {file:?}"
    );
    (Fetching::at(ImapServer::start(Speech::Plain), "127.0.0.1", &settings), folder)
}

#[actix_web::test]
async fn s_06_a_token_opens_the_account_and_is_kept_as_long_as_it_is_good() {
    let (pem, port, asked) = provider("");
    let (mut fetching, _folder) = by_tokens(&pem, port);
    fetching.server.state().tokens = vec!["t1".to_owned(), "t3".to_owned()];
    fetching.look_well().await;
    fetching.deliver(&letter("Un"));
    fetching.look_well().await;
    assert_eq!(fetching.subjects(), ["Un"]);
    {
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        for part in
            ["grant_type=refresh_token", "client_id=our", "refresh_token=long%26lasting", "IMAP.AccessAsUser.All"]
        {
            assert!(asked[0].contains(part), "{part}: {}", asked[0]);
        }
    }
    // One that the server takes no more is asked for anew, once.
    fetching.server.state().tokens = vec!["t2".to_owned()];
    fetching.look_well().await;
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert!(asked.lock().unwrap()[1].contains("refresh_token=r1&"), "by the newest one, for the first ends some day");
    let kept = fetching.desk.test.app.config.data.join("imap-support.refresh-token");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fetching.server.state().tokens.clear();
    assert!(matches!(fetching.look().await, Err(Ended::Trouble(Trouble::SignIn(_)))));
    assert_eq!(asked.lock().unwrap().len(), 3);
    assert_eq!(fetching.standing().trouble.unwrap().0, "sign-in");
}

#[actix_web::test]
async fn s_06_a_provider_that_gives_no_token_is_told_and_no_secret_is() {
    let (pem, port, _) = provider("invalid_grant");
    let (mut fetching, _folder) = by_tokens(&pem, port);
    assert!(matches!(fetching.look().await, Err(Ended::Trouble(Trouble::Tokens(_)))));
    let (kind, words, _) = fetching.standing().trouble.unwrap();
    assert_eq!((kind.as_str(), words.as_str()), ("tokens", "400 invalid_grant"));
    assert_eq!(fetching.server.heard(""), 0, "without a token nobody is bothered");
    // The first token is shown again only when the newest is worth nothing.
    for (refusal, times) in [("invalid_grant", 2), ("temporarily_unavailable", 1)] {
        let (pem, port, asked) = provider(refusal);
        let (mut fetching, _folder) = by_tokens(&pem, port);
        let first = data_encoding::HEXLOWER.encode(&Sha256::digest("long&lasting"));
        let kept = fetching.desk.test.app.config.data.join("imap-support.refresh-token");
        std::fs::write(kept, format!("{first}\nnewest\n")).unwrap();
        assert!(matches!(fetching.look().await, Err(Ended::Trouble(Trouble::Tokens(_)))));
        assert_eq!(asked.lock().unwrap().len(), times, "{refusal}");
    }
    // Who only says to be the provider gets no secret.
    let (_, port, asked) = provider("");
    let (mut fetching, _folder) = by_tokens(&pem, port);
    assert!(matches!(fetching.look().await, Err(Ended::Trouble(Trouble::Tokens(_)))));
    assert!(asked.lock().unwrap().is_empty());
}
