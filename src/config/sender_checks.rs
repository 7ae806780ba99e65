//! `mail.check_senders` and `mail.dns_records`: whether, and where, it is looked up that the domain of a sender stands by a
//! mail (AU-03, AU-04). A fresh installation asks nobody anything: the default is to look once mail is set up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reader;

const FILE: &str = "mail.dns_records";

/// Texts by the name that they are published under.
pub type Records = Arc<BTreeMap<String, Vec<String>>>;

/// Where the records of domains are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderChecks {
    Off,
    /// By the name servers of this machine.
    Dns,
    /// In these, and nowhere else: where there is no DNS to ask.
    Records(Records),
}

/// The records of a file, if one is named.
pub(super) fn records(reader: &mut Reader) -> Option<Records> {
    reader.text(FILE).and_then(|path| {
        let found = std::fs::read_to_string(&path)
            .map_err(|error| format!("the file {path} cannot be read ({error})"))
            .and_then(|text| parse(&text));
        found.map(Arc::new).map_err(|problem| reader.problem(FILE, &problem)).ok()
    })
}

/// Whether senders are checked, and where.
pub(super) fn read(reader: &mut Reader, records: Option<&Records>, mail_is_set_up: bool) -> SenderChecks {
    let wanted = reader.flag("mail.check_senders", mail_is_set_up || records.is_some());
    match records {
        _ if !wanted => SenderChecks::Off,
        Some(records) => SenderChecks::Records(records.clone()),
        None => SenderChecks::Dns,
    }
}

/// Lines of a zone file, as `accord dkim records` prints them: a whole name, `IN` or not, `TXT`, and quoted texts.
fn parse(text: &str) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut records: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') || line.starts_with('#') {
            continue;
        }
        let (name, text) = record_of(line).ok_or_else(|| {
            format!(
                "line {} of the file is no record, such as: _dmarc.example.com. IN TXT \"v=DMARC1; p=reject\"",
                number + 1
            )
        })?;
        records.entry(name).or_default().push(text);
    }
    Ok(records)
}

fn record_of(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix("IN").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix("TXT")?.trim();
    // Nothing that is published for mail has a quote in it.
    let mut parts = rest.split('"');
    let mut text = String::new();
    if !parts.next()?.is_empty() {
        return None;
    }
    while let Some(piece) = parts.next() {
        text.push_str(piece);
        if !parts.next()?.trim().is_empty() {
            return None;
        }
    }
    Some((name.trim_end_matches('.').to_ascii_lowercase(), text)).filter(|(_, text)| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse as parse_settings};

    fn checks(settings: &str, demo: bool) -> SenderChecks {
        let overrides = Overrides { demo, ..Overrides::default() };
        parse_settings(settings, BTreeMap::new(), &overrides).unwrap().mail.sender_checks
    }

    #[test]
    fn au_04_nobody_is_asked_before_mail_is_set_up_nor_by_the_demonstration() {
        assert_eq!(checks("", false), SenderChecks::Off);
        assert_eq!(checks("[mail]\nlmtp = \"127.0.0.1:2424\"", false), SenderChecks::Dns);
        assert_eq!(checks("[mail]\nsmtp.host = \"smtp.garonne.example\"", false), SenderChecks::Dns);
        assert_eq!(checks("[mail]\nlmtp = \"127.0.0.1:2424\"\ncheck_senders = false", false), SenderChecks::Off);
        assert_eq!(checks("[mail]\ncheck_senders = true", false), SenderChecks::Dns);
        assert_eq!(checks("[mail]\nlmtp = \"127.0.0.1:2424\"", true), SenderChecks::Off);
    }

    #[test]
    fn au_04_records_may_stand_in_a_file_where_there_is_no_dns() {
        let records = parse(
            "; what ACME publishes\n\n_dmarc.Acme.example. IN TXT \"v=DMARC1; p=reject\"\n\
             s1._domainkey.acme.example\tTXT \"v=DKIM1; \" \"p=abc\"\n",
        );
        let wanted = [("_dmarc.acme.example", "v=DMARC1; p=reject"), ("s1._domainkey.acme.example", "v=DKIM1; p=abc")];
        assert_eq!(records.unwrap(), wanted.map(|(name, text)| (name.to_owned(), vec![text.to_owned()])).into());
        for wrong in
            ["acme.example", "acme.example. IN A 192.0.2.1", "a.example. IN TXT v=1", "a.example. IN TXT \"v=1"]
        {
            assert!(parse(wrong).unwrap_err().starts_with("line 1 "), "{wrong}");
        }
    }
}
