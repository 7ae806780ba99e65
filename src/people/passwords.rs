//! Passwords: how they are kept (Argon2id, U-01), which are refused, and how one is changed. Hashing takes tens of
//! milliseconds and therefore happens outside of transactions: read the stored hash, check or make one on a thread that
//! may block, then write.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use diesel::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::audit;
use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::dialect::on_each_backend;
use crate::db::schema::{passwords, people};
use crate::db::types::PersonId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Message;
use crate::people::notices::{self, Notice};
use crate::people::person::{Person, PersonState};
use crate::people::{one_time_tokens, sessions};
use crate::secret::{Secret, random_bytes};

/// The shortest password (ASVS 6.2.1).
pub const SHORTEST: usize = 8;
/// The longest; far beyond what anybody types, so that hashing a body of megabytes is nobody's lever.
pub const LONGEST: usize = 256;

/// A password as typed, wiped when dropped.
pub type Password = Secret<String>;

/// The stored form of a password.
#[derive(Clone)]
pub struct StoredHash(String);

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether this is the person's password.
    pub matches: bool,
    /// Which hash was computed: the same work is done for people who do not exist (U-01, ADV-29).
    pub against: Against,
}

/// What a password was checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// The person's own hash.
    Own,
    /// A hash of the same cost that nothing matches.
    Dummy,
}

/// Checks `password` against `stored`. Without a stored hash (nobody of that address, disabled, no password yet) a dummy
/// is checked all the same, so that time tells nothing. Call it outside of a transaction, on a thread that may block.
pub fn check(stored: Option<&StoredHash>, password: &Password) -> Checked {
    let against = if stored.is_some() { Against::Own } else { Against::Dummy };
    let text = stored.map_or(DUMMY.0.as_str(), |stored| stored.0.as_str());
    let normalized = normalized(password);
    let verified = PasswordHash::new(text)
        .is_ok_and(|hash| hasher().verify_password(normalized.expose().as_bytes(), &hash).is_ok());
    Checked { matches: verified && against == Against::Own, against }
}

/// A fresh hash of `password`. Call it outside of a transaction, on a thread that may block.
pub fn hash(password: &Password) -> Result<StoredHash> {
    let failed = |error| Error::internal(format!("a password could not be hashed: {error}"));
    let salt = SaltString::encode_b64(&random_bytes::<16>()).map_err(failed)?;
    let normalized = normalized(password);
    let hash = hasher().hash_password(normalized.expose().as_bytes(), &salt).map_err(failed)?;
    Ok(StoredHash(hash.to_string()))
}

/// Says what is wrong with `password` as a new one, beside `field`. No rules of composition: length and not being
/// commonplace are what helps (ASVS 6.2.5).
pub fn judge(errors: &mut FieldErrors, field: &'static str, password: &Password, person: &[&str]) {
    let length = password.expose().chars().count();
    if length < SHORTEST {
        errors.add(field, Message::new("error-password-short").with("shortest", SHORTEST));
    } else if length > LONGEST {
        errors.add(field, Message::new("error-password-long").with("longest", LONGEST));
    } else if is_commonplace(password.expose(), person) {
        errors.add(field, "error-password-common");
    }
}

/// The hash of an active person's password, if they have one.
pub fn find_stored(db: &mut DbConnection, person: PersonId) -> Result<Option<StoredHash>> {
    let hash: Option<String> = passwords::table
        .inner_join(people::table)
        .filter(passwords::person_id.eq(person))
        .filter(people::state.eq(PersonState::Active))
        .select(passwords::hash)
        .first(db)
        .optional()?;
    Ok(hash.map(StoredHash))
}

/// Whether the person has a password, and since when.
pub fn changed_at(db: &mut DbConnection, person: PersonId) -> Result<Option<UtcTime>> {
    Ok(passwords::table.find(person).select(passwords::changed_at).first(db).optional()?)
}

/// Sets the password of `person`, ends every session of theirs, kills what other links they hold, and tells them by mail
/// (U-03, U-04, U-05). The caller has proof of who asks, and gives them a new session.
pub fn change(db: &mut DbConnection, person: &Person, hash: &StoredHash, now: UtcTime) -> Result<()> {
    set(db, person.id, hash, now)?;
    sessions::end_all(db, person.id)?;
    one_time_tokens::kill_all(db, person.id, now)?;
    notices::send(db, &Notice::PasswordChanged { person: person.id, address: person.address.clone() }, now)?;
    let entry = audit::Entry {
        kind: "password_changed",
        actor: Some(person.id),
        subject: Some(person.id),
        ..audit::Entry::default()
    };
    audit::record(db, &entry, now)
}

/// Stores the hash and nothing else: for somebody's first password.
pub fn set(db: &mut DbConnection, person: PersonId, hash: &StoredHash, now: UtcTime) -> Result<()> {
    let row = (passwords::person_id.eq(person), passwords::hash.eq(&hash.0), passwords::changed_at.eq(now));
    let change = (passwords::hash.eq(&hash.0), passwords::changed_at.eq(now));
    on_each_backend!(db, db => diesel::insert_into(passwords::table)
        .values(row)
        .on_conflict(passwords::person_id)
        .do_update()
        .set(change)
        .execute(db))?;
    Ok(())
}

impl std::fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredHash(•••)")
    }
}

/// Argon2id with the cost OWASP names first: 19 MiB, two passes, one lane (U-01).
fn hasher() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("a cost that Argon2 allows");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

static DUMMY: LazyLock<StoredHash> = LazyLock::new(|| {
    let nobody_s = Secret::new(data_encoding::HEXLOWER.encode(&random_bytes::<32>()));
    hash(&nobody_s).expect("Argon2 hashes a password of 64 characters")
});

/// One form for what keyboards write in several: an accented letter is one character or two.
fn normalized(password: &Password) -> Password {
    Secret::new(password.expose().nfkc().collect())
}

/// Passwords tried first by everybody who guesses, in small letters, one a line.
const COMMON: &str = include_str!("passwords/common.txt");

/// Whether it is among the most common ones, also with figures or signs after it, is one character or a short pattern
/// repeated, a run of the keyboard or the alphabet, or made of the person's own names and address.
fn is_commonplace(password: &str, person: &[&str]) -> bool {
    let lower = password.to_lowercase();
    let stem = lower.trim_end_matches(|character: char| !character.is_alphabetic());
    let undisguised: String = stem
        .chars()
        .map(|character| match character {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            other => other,
        })
        .collect();
    let is_common = |text: &str| COMMON.lines().any(|common| common == text);
    let tail = lower.chars().count() - stem.chars().count();
    if is_common(&lower) || (tail < SHORTEST && (is_common(stem) || is_common(&undisguised))) {
        return true;
    }
    let characters: Vec<char> = lower.chars().collect();
    if (1..=4).any(|period| characters.iter().zip(characters.iter().skip(period)).all(|(one, next)| one == next)) {
        return true;
    }
    let runs = [
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890123456789",
        "azertyuiopqsdfghjklmwxcvbn",
        "qwertyuiopasdfghjklzxcvbnm",
    ];
    let backwards: String = lower.chars().rev().collect();
    if runs.iter().any(|run| run.contains(&lower) || run.contains(&backwards)) {
        return true;
    }
    person.iter().any(|own| {
        let own = own.trim().to_lowercase();
        own.chars().count() >= 4 && (lower == own || stem == own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Secret::new(text.to_owned())
    }

    fn is_refused(text: &str) -> bool {
        let mut errors = FieldErrors::default();
        judge(&mut errors, "password", &password(text), &["claire.lefevre@exemple.fr", "Claire", "Lefèvre"]);
        !errors.is_empty()
    }

    #[test]
    fn u_01_hashes_are_argon2id_of_at_least_19_mib_and_two_passes() {
        let stored = hash(&password("correct horse battery")).unwrap();
        assert!(stored.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.0);
        assert!(DUMMY.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_ne!(stored.0, hash(&password("correct horse battery")).unwrap().0);
    }

    #[test]
    fn u_01_adv_29_a_dummy_is_hashed_for_whoever_has_no_password() {
        let stored = hash(&password("correct horse battery")).unwrap();
        let right = check(Some(&stored), &password("correct horse battery"));
        assert_eq!(right, Checked { matches: true, against: Against::Own });
        let wrong = check(Some(&stored), &password("correct horse batterz"));
        assert_eq!(wrong, Checked { matches: false, against: Against::Own });
        let nobody = check(None, &password("correct horse battery"));
        assert_eq!(nobody, Checked { matches: false, against: Against::Dummy });
    }

    #[test]
    fn a_damaged_hash_matches_nothing() {
        for text in ["", " ", "$argon2id$", "correct horse battery"] {
            assert!(!check(Some(&StoredHash(text.to_owned())), &password(text)).matches);
        }
    }

    #[test]
    fn the_same_password_typed_on_another_keyboard_matches() {
        let stored = hash(&password("caf\u{e9} cr\u{e8}me du matin")).unwrap();
        assert!(check(Some(&stored), &password("cafe\u{301} cre\u{300}me du matin")).matches);
    }

    #[test]
    fn short_long_and_common_passwords_are_refused() {
        for bad in [
            "",
            "Abc123!",
            "password",
            "Password1",
            "P@ssw0rd!",
            "motdepasse",
            "MotDePasse2026!",
            "azertyuiop",
            "Soleil123",
            "12345678",
            "87654321",
            "aaaaaaaaaaaa",
            "abababababab",
            "claire.lefevre@exemple.fr",
            "Lefèvre2026",
        ] {
            assert!(is_refused(bad), "{bad}");
        }
        assert!(is_refused(&"x1y2z3".repeat(50)));
        for good in ["correct horse battery", "le chat dort sur le toit", "kX9#vb2Lq", &"phrase longue ".repeat(9)] {
            assert!(!is_refused(good), "{good}");
        }
    }
}
