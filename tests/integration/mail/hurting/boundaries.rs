//! B-12: boundaries by which one program sees other parts than another. Here every file is seen, and every word.

use data_encoding::BASE64;

use super::{arrived, from_somebody};
use crate::support::desk::Desk;

const FILE: &[u8] = b"MZ\x90 what a filter is to overlook\n";

/// A mail of words and a file between delimiters, whose header says this of the boundary.
fn parts(parameter: &str, delimiter: &str) -> Vec<u8> {
    let body = format!(
        "preamble\n--{delimiter}\nContent-Type: text/plain\n\nVoir le fichier.\n--{delimiter}\n\
         Content-Type: application/octet-stream; name=a.bin\nContent-Disposition: attachment; filename=a.bin\n\
         Content-Transfer-Encoding: base64\n\n{}\n--{delimiter}--\nepilogue\n",
        BASE64.encode(FILE)
    );
    from_somebody(&format!("MIME-Version: 1.0\nContent-Type: multipart/mixed{parameter}\n"), body)
}

#[test]
fn b_12_whatever_characters_a_boundary_has_its_parts_are_found() {
    let desk = Desk::open();
    let long = "b".repeat(1_000);
    for (what, parameter, delimiter) in [
        ("1 000 characters", format!("; boundary={long}"), long.as_str()),
        ("signs of a pattern", "; boundary=\".*+?(|[^$\"".to_owned(), ".*+?(|[^$"),
        ("dashes", "; boundary=\"----\"".to_owned(), "----"),
        ("spaces inside", "; boundary=\"a b\"".to_owned(), "a b"),
        ("spaces behind", "; boundary=\"ab  \"".to_owned(), "ab"),
        ("a colon", "; boundary=\"a:b\"".to_owned(), "a:b"),
        ("digits of base64", "; boundary=TVqQ".to_owned(), "TVqQ"),
        ("twice the same", "; boundary=ab; boundary=ab".to_owned(), "ab"),
    ] {
        let arrived = arrived(&desk, what, &parts(&parameter, delimiter));
        assert_eq!(arrived.text.trim(), "Voir le fichier.", "{what}");
        assert_eq!(arrived.files, [("a.bin".to_owned(), FILE.to_vec())], "{what}");
    }
}

#[test]
fn b_12_where_no_boundary_holds_all_of_it_is_text_and_nothing_is_hidden() {
    let desk = Desk::open();
    for (what, parameter, delimiter) in [
        ("empty", "; boundary=\"\"", "ab"),
        ("missing", "", "ab"),
        ("in the header only", "; boundary=elsewhere", "ab"),
        ("the longer of a pair", "; boundary=abc", "ab"),
        ("the shorter of a pair", "; boundary=a", "ab"),
        ("in another case", "; boundary=AB", "ab"),
        ("with a comment", "; boundary=ab (cd)", "ab"),
    ] {
        let arrived = arrived(&desk, what, &parts(parameter, delimiter));
        assert!(arrived.text.contains("Voir le fichier."), "{what}: {}", arrived.text);
        assert!(arrived.text.contains("filename=a.bin") && arrived.text.contains(&BASE64.encode(FILE)), "{what}");
        assert!(arrived.files.is_empty(), "{what}");
    }
}

#[test]
fn b_12_of_two_boundaries_neither_hides_the_file_of_the_other() {
    let desk = Desk::open();
    for (first, second, delimiter) in
        [("ab", "cd", "ab"), ("ab", "cd", "cd"), ("ab", "abc", "abc"), ("abc", "ab", "abc")]
    {
        let parameter = format!("; boundary={first}; boundary={second}");
        let what = format!("{parameter}, {delimiter}");
        let arrived = arrived(&desk, &what, &parts(&parameter, delimiter));
        assert!(arrived.text.contains("Voir le fichier."), "{what}");
        // The first counts; where it is none, all of it is text.
        if first == delimiter {
            assert_eq!(arrived.files, [("a.bin".to_owned(), FILE.to_vec())], "{what}");
        } else {
            assert!(arrived.text.contains(&BASE64.encode(FILE)), "{what}: {}", arrived.text);
        }
    }
}

#[test]
fn b_12_the_pair_a_and_ab_and_an_inner_boundary_like_the_outer_keep_their_parts_apart() {
    let desk = Desk::open();
    let encoded = BASE64.encode(FILE);
    for (what, outer, inner) in [("prefix", "a", "ab"), ("prefix the other way", "ab", "a"), ("the same", "a", "a")] {
        let body = format!(
            "--{outer}\nContent-Type: multipart/alternative; boundary={inner}\n\n--{inner}\nContent-Type: text/plain\n\n\
             Voir le fichier.\n--{inner}\nContent-Type: text/html\n\n<p>Voir le fichier.</p>\n--{inner}--\n--{outer}\n\
             Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=a.bin\n\
             Content-Transfer-Encoding: base64\n\n{encoded}\n--{outer}--\n"
        );
        let raw = from_somebody(&format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary={outer}\n"), body);
        let arrived = arrived(&desk, what, &raw);
        assert_eq!(arrived.text.trim(), "Voir le fichier.", "{what}");
        assert_eq!(arrived.files, [("a.bin".to_owned(), FILE.to_vec())], "{what}");
    }
}

#[test]
fn b_12_a_boundary_inside_of_base64_ends_nothing() {
    let desk = Desk::open();
    // Its bytes are delimiters when they are decoded, and its lines begin with the boundary while they are not.
    let bytes = b"\n--TVqQ\n\nother words\n--TVqQ--\n".repeat(20);
    let lines = BASE64
        .encode(&bytes)
        .as_bytes()
        .chunks(40)
        .fold(String::new(), |lines, line| format!("{lines}{}\n", std::str::from_utf8(line).unwrap()));
    let boundary = &lines[..4];
    let body = format!(
        "--{boundary}\n\nVoir le fichier.\n--{boundary}\nContent-Disposition: attachment; filename=a.bin\n\
         Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n{lines}--{boundary}--\n"
    );
    let raw = from_somebody(&format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary={boundary}\n"), body);
    let arrived = arrived(&desk, "inside of base64", &raw);
    assert_eq!((arrived.text.trim(), arrived.files), ("Voir le fichier.", vec![("a.bin".to_owned(), bytes)]));
}
