//! Names of folders as they are sent: in modified UTF-7 (RFC 3501, 5.1.3), between quotes.

use data_encoding::{Encoding, Specification};

/// The name as an argument of a command.
pub fn quoted(name: &str) -> String {
    let mut sent = String::from("\"");
    let mut others: Vec<u8> = Vec::new();
    let finish = |others: &mut Vec<u8>, sent: &mut String| {
        if !others.is_empty() {
            sent.push('&');
            sent.push_str(&base64().encode(others));
            sent.push('-');
            others.clear();
        }
    };
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            finish(&mut others, &mut sent);
            match c {
                '&' => sent.push_str("&-"),
                '"' | '\\' => sent.extend(['\\', c]),
                c => sent.push(c),
            }
        } else {
            let mut units = [0; 2];
            others.extend(c.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    finish(&mut others, &mut sent);
    sent.push('"');
    sent
}

/// With `,` for `/`, and nothing at the end.
fn base64() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,");
    specification.encoding().unwrap_or(data_encoding::BASE64_NOPAD)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn s_06_folders_are_named_as_servers_know_them() {
        assert_eq!(quoted("INBOX"), "\"INBOX\"");
        assert_eq!(quoted("Boîte de réception"), "\"Bo&AO4-te de r&AOk-ception\"");
        assert_eq!(quoted("~peter/mail/台北/日本語"), "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"");
        assert_eq!(quoted("R&D \"a\\b\""), "\"R&-D \\\"a\\\\b\\\"\"");
        assert_eq!(quoted("🎫"), "\"&2Dzfqw-\"");
    }
}
