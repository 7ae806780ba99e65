//! What random bytes are given to (M-01), given what the randomness begins with: every mail and page of the fixtures, each
//! mail of the files that hold many, and each line of them, where a line is what is read. `.ci/run fuzz` goes on from these.

use std::path::{Path, PathBuf};

// The targets name these.
use accord::worker::lmtp::data as lmtp_data;
use accord::{html, mail, secret};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// The bytes of each fixture of these folders, by its name.
fn seeds(folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| fixtures.join(folder)).collect();
    let mut seeds = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let (name, bytes) = (entry.display().to_string(), std::fs::read(&entry).unwrap());
            for (number, mail) in String::from_utf8_lossy(&bytes).split("### ").skip(1).enumerate() {
                let mail = mail.split_once('\n').map_or(mail, |(_, mail)| mail);
                seeds.push((format!("{name}, {number}"), mail.replace('\n', "\r\n").into_bytes()));
            }
            seeds.push((name, bytes));
        }
    }
    assert!(seeds.len() > 30, "{} seeds", seeds.len());
    seeds
}

fn mails() -> Vec<(String, Vec<u8>)> {
    seeds(&["mail", "html"])
}

/// Every line of every fixture, as many different ones as there are.
fn lines() -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<Vec<u8>> =
        mails().iter().flat_map(|(_, bytes)| bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec)).collect();
    lines.sort();
    lines.dedup();
    lines.into_iter().map(|line| (String::from_utf8_lossy(&line).into_owned(), line)).collect()
}

/// Runs the target of that name once with each.
fn run(target: &str, seeds: Vec<(String, Vec<u8>)>) {
    let (_, target) = targets::ALL.iter().find(|(name, _)| *name == target).expect("a target of that name");
    for (name, bytes) in seeds {
        let ended = std::panic::catch_unwind(|| target(&bytes));
        assert!(ended.is_ok(), "{name}");
    }
}

#[test]
fn m_01_what_is_decided_about_a_mail_is_sound_for_every_seed() {
    run("mail", mails());
}

#[test]
fn m_01_an_address_is_a_person_s_or_nobody_s_in_every_line_of_the_seeds() {
    run("address", mails());
    run("address", lines());
}

#[test]
fn m_01_what_follows_from_any_evidence_is_sound() {
    run("decision", mails());
    run("decision", lines());
}

#[test]
fn m_01_what_was_made_safe_is_safe_when_it_is_made_safe_again() {
    run("html", mails());
    run("html", lines());
}

#[test]
fn m_01_what_was_written_and_what_was_quoted_are_the_whole() {
    run("reply_text", mails());
}

#[test]
fn m_01_reports_and_complaints_name_addresses_and_mails_or_nothing() {
    run("report", mails());
}

#[test]
fn m_01_nobody_but_the_trusted_server_says_whether_a_sender_is_who_they_say() {
    run("results", mails());
    run("results", lines());
}

#[test]
fn m_01_no_proof_of_ours_is_made_by_anybody_else() {
    run("tokens", mails());
    run("tokens", lines());
}

#[test]
fn m_01_s_09_a_mail_ends_at_the_one_place_in_whatever_pieces_it_comes() {
    let ends = ["\r\n.\r\n", "\r\n.\r\r\n", "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n..\r\n", "\r\n.\0\r\n"];
    for step in [1_u8, 2, 3, 5, 64, 255] {
        let in_pieces = |content: &[u8]| [&[step][..], content].concat();
        run("lmtp", mails().iter().map(|(name, bytes)| (name.clone(), in_pieces(bytes))).collect());
        let ended =
            ends.iter().map(|end| (format!("{end:?}"), in_pieces(format!("From: a{end}x\r\n.\r\n").as_bytes())));
        run("lmtp", ended.collect());
    }
}

#[test]
fn m_01_every_target_is_run_here() {
    let here = include_str!("fuzzed.rs");
    for (name, _) in targets::ALL {
        assert!(here.contains(&format!("run(\"{name}\", ")), "{name} is run by nobody but chance");
    }
}
