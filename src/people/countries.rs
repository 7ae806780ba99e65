//! Countries by their two letters (ISO 3166-1) and intra-community VAT numbers by the form each member state gives them.
//! Both are checked without asking anybody: whether a number is in use is the operator's accountant's business.

use crate::i18n::Texts;

/// The officially assigned codes of ISO 3166-1 alpha-2.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE \
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM \
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC \
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW \
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO \
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Every code, in alphabetical order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    CODES.split(' ')
}

/// The code as it is kept, if it is one.
pub fn parse(text: &str) -> Option<&'static str> {
    codes().find(|code| code.eq_ignore_ascii_case(text.trim()))
}

/// The country's name in the reader's language; nothing for no country.
pub fn name(texts: &Texts, code: &str) -> String {
    if code.is_empty() { String::new() } else { texts.say(&format!("country-{}", code.to_ascii_lowercase())) }
}

/// Every code with its name, sorted by name in the reader's language.
pub fn all(texts: &Texts) -> Vec<(&'static str, String)> {
    let mut countries: Vec<_> = codes().map(|code| (code, name(texts, code))).collect();
    countries.sort_by_cached_key(|(_, name)| super::fields::sort_name([name.as_str()]));
    countries
}

/// The VAT number as it is kept: capitals and digits without signs between them. None when no member state (or Northern
/// Ireland, `XI`) gives numbers of that form.
pub fn parse_vat_number(text: &str) -> Option<String> {
    let number: String =
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '.' | '-' | '/')).collect::<String>().to_uppercase();
    let (country, rest) = (number.get(..2)?, number.get(2..)?);
    let forms = VAT_FORMS.iter().find(|(code, _)| *code == country)?.1;
    let has_form = forms.iter().any(|form| fits(form, rest));
    let check_is_right = match country {
        "FR" => french_key_is_right(rest),
        "BE" => belgian_check_is_right(rest),
        _ => true,
    };
    (has_form && check_is_right).then_some(number)
}

/// Forms of the part after the country: `9` is a digit, `A` a capital, `*` either, anything else itself. From the
/// European Commission's list of number formats (VIES).
const VAT_FORMS: &[(&str, &[&str])] = &[
    ("AT", &["U99999999"]),
    ("BE", &["0999999999", "1999999999"]),
    ("BG", &["999999999", "9999999999"]),
    ("CY", &["99999999A"]),
    ("CZ", &["99999999", "999999999", "9999999999"]),
    ("DE", &["999999999"]),
    ("DK", &["99999999"]),
    ("EE", &["999999999"]),
    ("EL", &["999999999"]),
    ("ES", &["*9999999*"]),
    ("FI", &["99999999"]),
    ("FR", &["**999999999"]),
    ("HR", &["99999999999"]),
    ("HU", &["99999999"]),
    ("IE", &["9*99999A", "9999999A", "9999999AA"]),
    ("IT", &["99999999999"]),
    ("LT", &["999999999", "999999999999"]),
    ("LU", &["99999999"]),
    ("LV", &["99999999999"]),
    ("MT", &["99999999"]),
    ("NL", &["999999999B99"]),
    ("PL", &["9999999999"]),
    ("PT", &["999999999"]),
    ("RO", &["99", "999", "9999", "99999", "999999", "9999999", "99999999", "999999999", "9999999999"]),
    ("SE", &["999999999999"]),
    ("SI", &["99999999"]),
    ("SK", &["9999999999"]),
    ("XI", &["999999999", "999999999999", "GD999", "HA999"]),
];

fn fits(form: &str, text: &str) -> bool {
    form.chars().count() == text.chars().count()
        && form.chars().zip(text.chars()).all(|(form, character)| match form {
            '9' => character.is_ascii_digit(),
            'A' => character.is_ascii_uppercase(),
            '*' => character.is_ascii_uppercase() || character.is_ascii_digit(),
            _ => form == character,
        })
}

/// The key of two digits before the SIREN; keys with letters follow a rule that is not published in full.
fn french_key_is_right(rest: &str) -> bool {
    let (Some(key), Some(siren)) = (rest.get(..2), rest.get(2..)) else { return false };
    match (key.parse::<u64>(), siren.parse::<u64>()) {
        (Ok(key), Ok(siren)) => key == (12 + 3 * (siren % 97)) % 97,
        _ => true,
    }
}

/// The last two digits are what the first eight lack to a multiple of 97.
fn belgian_check_is_right(rest: &str) -> bool {
    rest.parse::<u64>().is_ok_and(|number| number % 100 == 97 - (number / 100) % 97)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::{Locale, has_key};

    #[test]
    fn a5_every_country_has_a_name_in_both_languages() {
        assert_eq!(codes().count(), 249);
        for code in codes() {
            for locale in Locale::ALL {
                assert!(has_key(locale, &format!("country-{}", code.to_ascii_lowercase())), "{code}");
            }
        }
        assert_eq!(parse(" fr"), Some("FR"));
        assert_eq!(parse("UK"), None);
        assert_eq!(all(&Texts::in_language(Locale::Fr))[1].1, "Afrique du Sud");
    }

    #[test]
    fn a5_vat_numbers_have_the_form_of_their_country() {
        for (text, kept) in [
            ("FR 40 303 265 045", "FR40303265045"),
            ("fr40303265045", "FR40303265045"),
            ("FRK7399859412", "FRK7399859412"),
            ("BE 0403.170.701", "BE0403170701"),
            ("DE136695976", "DE136695976"),
            ("ATU13585627", "ATU13585627"),
            ("ESX1234567X", "ESX1234567X"),
            ("NL123456789B01", "NL123456789B01"),
            ("IE6433435F", "IE6433435F"),
            ("EL094259216", "EL094259216"),
            ("XIGD123", "XIGD123"),
            ("RO99", "RO99"),
        ] {
            assert_eq!(parse_vat_number(text).as_deref(), Some(kept));
        }
        for text in [
            "",
            "F",
            "FR",
            "FR40303265046",
            "FR4030326504",
            "GB123456789",
            "GR094259216",
            "CHE123456788",
            "BE0403170702",
            "ATX13585627",
            "FR40 303 265 045 0",
            "é",
            "FRé0303265045",
            "<script>",
        ] {
            assert_eq!(parse_vat_number(text), None, "{text}");
        }
    }
}
