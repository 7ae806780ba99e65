//! How a mail was handled, in words: the names under which the journal records it (`journal::Record`) for people. The row of the
//! decision table stands beside them, for whoever looks it up. A name that is not known here is shown as it is.

use crate::i18n::Texts;
use crate::journal::{Checked, Imported, Way};

/// By which way it came.
pub fn way(t: &Texts, way: Way) -> String {
    let key = match way.as_str() {
        "lmtp" => "handling-way-lmtp",
        "pipe" => "handling-way-pipe",
        "http" => "handling-way-http",
        "imap" => "handling-way-imap",
        other => return other.to_owned(),
    };
    t.say(key)
}

/// That it was brought from elsewhere, and what it was there.
pub fn imported(t: &Texts, imported: Imported) -> String {
    t.say(match imported {
        Imported::Received => "handling-imported-received",
        Imported::Sent => "handling-imported-sent",
    })
}

/// What was done with it.
pub fn decision(t: &Texts, decision: &str) -> String {
    let key = match decision {
        "append" => "handling-append",
        "append_restricted" => "handling-append-restricted",
        "automatic" => "handling-automatic",
        "bounce" => "handling-bounce",
        "collected" => "handling-collected",
        "complaint" => "handling-complaint",
        "delay" => "handling-delay",
        "delivery_report" => "handling-delivery-report",
        "duplicate" => "handling-duplicate",
        "follow_up" => "handling-follow-up",
        "hold" => "handling-hold",
        "loop" => "handling-loop",
        "new_ticket" => "handling-new-ticket",
        "note" => "handling-note",
        "round_trip" => "handling-round-trip",
        "round_trip_delayed" => "handling-round-trip-delayed",
        "round_trip_refused" => "handling-round-trip-refused",
        "unsubscribed" => "handling-unsubscribed",
        other => return other.to_owned(),
    };
    t.say(key)
}

/// Why: what spoke for it, with the row of the table.
pub fn rule(t: &Texts, rule: &str) -> String {
    let key = match rule {
        "D1" => "handling-rule-d1",
        "D2" => "handling-rule-d2",
        "D3" => "handling-rule-d3",
        "D4" => "handling-rule-d4",
        "D5" => "handling-rule-d5",
        "D6" => "handling-rule-d6",
        "D7" => "handling-rule-d7",
        "D8" => "handling-rule-d8",
        "D9" => "handling-rule-d9",
        "D10" => "handling-rule-d10",
        "D11" => "handling-rule-d11",
        "D15" => "handling-rule-d15",
        "TH-10" => "handling-rule-th-10",
        "BN-02" => "handling-rule-bn-02",
        "BN-03" => "handling-rule-bn-03",
        "BN-04" => "handling-rule-bn-04",
        "by_hand" => return t.say("handling-rule-by-hand"),
        "import" => return t.say("handling-rule-import"),
        "none" => return t.say("handling-rule-none"),
        other => return other.to_owned(),
    };
    format!("{} ({rule})", t.say(key))
}

/// How much of it could be read; `is_cut` when it went past a limit.
pub fn read(t: &Texts, level: &str, is_cut: bool) -> String {
    let key = match level {
        "full" if is_cut => "handling-read-cut",
        "full" => "handling-read-full",
        "headers_only" => "handling-read-headers",
        "stub" => "handling-read-nothing",
        other => return other.to_owned(),
    };
    t.say(key)
}

/// Whether the sender's domain stands by it.
pub fn authentication(t: &Texts, found: &str) -> String {
    let key = match found {
        "pass" => "sender-authentication-pass",
        "none" => "sender-authentication-none",
        "fail" => "sender-authentication-fail",
        other => return other.to_owned(),
    };
    t.say(key)
}

/// What each check that was made here found.
pub fn checked(t: &Texts, checked: &Checked) -> String {
    let found = [("DKIM", &checked.dkim), ("SPF", &checked.spf), ("DMARC", &checked.dmarc)];
    let made = found.into_iter().filter(|(_, found)| !found.is_empty());
    let said = made.map(|(check, found)| t.with2("handling-check", "check", check, "found", check_result(t, found)));
    said.collect::<Vec<_>>().join(" · ")
}

fn check_result(t: &Texts, found: &str) -> String {
    let key = match found {
        "pass" => "handling-check-pass",
        "fail" => "handling-check-fail",
        "softfail" => "handling-check-softfail",
        "neutral" => "handling-check-neutral",
        "none" => "handling-check-none",
        "temperror" => "handling-check-temperror",
        "permerror" => "handling-check-permerror",
        other => return other.to_owned(),
    };
    t.say(key)
}

/// What was odd about it.
pub fn flag(t: &Texts, flag: &str) -> String {
    let key = match flag {
        "adopted" => "handling-flag-adopted",
        "alert" => "handling-flag-alert",
        "answers_a_mail" => "handling-flag-answers",
        "card_number" => "handling-flag-card",
        "disagreement" => "handling-flag-disagreement",
        "doubtful_charset" => "handling-flag-charset",
        "encrypted" => "handling-flag-encrypted",
        "hint" => "handling-flag-hint",
        "imported" => "handling-flag-imported",
        "machine_made" => "handling-flag-machine",
        "not_genuine" => "handling-flag-not-genuine",
        "not_to_be_acknowledged" => "handling-flag-no-ack",
        "out_of_reach" => "handling-flag-out-of-reach",
        "passed_on" => "mail-mark-passed-on",
        "repeated_request" => "handling-flag-repeated",
        "reply_to_elsewhere" => "mail-mark-reply-to",
        "reply_to_staff" => "mail-mark-reply-to-staff",
        "same_id_other_content" => "mail-mark-same-id",
        "signed" => "mail-mark-signed",
        other => return other.to_owned(),
    };
    t.say(key)
}

/// Past which limit it went, with the limit's id.
pub fn cut(t: &Texts, limit: &str) -> String {
    let key = match limit {
        "L-01" => "handling-cut-size",
        "L-02" => "handling-cut-header",
        "L-03" => "handling-cut-words",
        "L-04" => "handling-cut-depth",
        "L-05" => "handling-cut-parts",
        "L-06" => "handling-cut-addresses",
        "L-07" => "handling-cut-parameters",
        "L-08" | "L-09" | "L-10" | "L-11" => "handling-cut-html",
        "L-12" => "handling-cut-text",
        other => return other.to_owned(),
    };
    format!("{} ({limit})", t.say(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Locale;
    use crate::mail::limits::Cut;
    use crate::mail::threading::Rule;

    #[test]
    fn every_rule_and_every_limit_has_words() {
        let t = Texts::in_language(Locale::En);
        for name in [
            Rule::D1,
            Rule::D2,
            Rule::D3,
            Rule::D4,
            Rule::D5,
            Rule::D6,
            Rule::D7,
            Rule::D8,
            Rule::D9,
            Rule::D10,
            Rule::D11,
            Rule::D15,
            Rule::Unusual,
            Rule::NoEvidence,
        ]
        .map(Rule::name)
        {
            assert_ne!(rule(&t, name), name);
        }
        for limit in [
            Cut::RawSize,
            Cut::HeaderBlock,
            Cut::EncodedWords,
            Cut::MimeDepth,
            Cut::Parts,
            Cut::Addresses,
            Cut::Parameters,
            Cut::HtmlSize,
            Cut::HtmlNesting,
            Cut::HtmlAttributes,
            Cut::HtmlLinks,
            Cut::Text,
        ]
        .map(Cut::as_str)
        {
            assert_ne!(cut(&t, limit), limit);
        }
        assert_eq!(decision(&t, "of_a_later_version"), "of_a_later_version");
    }
}
