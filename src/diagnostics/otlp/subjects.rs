//! Whose use a span is about. A grant for one person's own use takes only spans which say that they are theirs, or whose
//! ancestors in the same request do; one that says it of somebody else takes everything below it out. What cannot be
//! attributed is not taken (CN-03).

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use sha2::{Digest, Sha256};

use crate::config::UserAttributes;

/// A trace, and a span of it.
pub type Place = (u128, u64);

/// The names by which products may know one person: their public name here and their addresses, or the SHA-256 of
/// either in hexadecimal.
pub struct Person {
    names: HashSet<String>,
    attributes: UserAttributes,
}

/// What a span says of whose it is, or what follows from it and its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Nothing,
    Theirs,
    AnotherS,
}

/// What the spans of one request say, and what follows.
#[derive(Default)]
pub struct Attribution {
    spans: HashMap<Place, (Option<u64>, Said)>,
    known: HashMap<Place, Said>,
}

impl Person {
    /// Whoever is called any of `names` in one of `attributes`.
    pub fn called(names: impl IntoIterator<Item = String>, attributes: &UserAttributes) -> Person {
        let mut all = HashSet::new();
        for name in names {
            let name = name.to_lowercase();
            all.insert(HEXLOWER.encode(&Sha256::digest(name.as_bytes())));
            all.insert(name);
        }
        Person { names: all, attributes: attributes.clone() }
    }

    /// What these attributes of a span of `product` say.
    pub fn said_by(&self, product: &str, attributes: &[KeyValue]) -> Said {
        let is_there = |name: &&String| attributes.iter().any(|attribute| attribute.key == **name);
        let Some(name) = self.attributes.of(product).iter().find(is_there) else { return Said::Nothing };
        // A key that stands there twice says both.
        let all_theirs = attributes.iter().filter(|attribute| attribute.key == *name).all(|named| {
            let value = named.value.as_ref().and_then(|value| value.value.as_ref());
            matches!(value, Some(Value::StringValue(text)) if self.names.contains(&text.to_lowercase()))
        });
        if all_theirs { Said::Theirs } else { Said::AnotherS }
    }
}

impl Said {
    /// What a span is when one thing is said of it and another of what it belongs to.
    fn and(self, other: Said) -> Said {
        match (self, other) {
            (Said::AnotherS, _) | (_, Said::AnotherS) => Said::AnotherS,
            (Said::Theirs, _) | (_, Said::Theirs) => Said::Theirs,
            (Said::Nothing, Said::Nothing) => Said::Nothing,
        }
    }
}

impl Attribution {
    /// Notes what a span says.
    pub fn note(&mut self, place: Place, parent: Option<u64>, said: Said) {
        let known = self.spans.entry(place).or_insert((parent, said));
        // Two spans of one name: what either says holds for both.
        known.1 = known.1.and(said);
    }

    /// Whether the span is known to be the person's.
    pub fn is_theirs(&mut self, place: Place) -> bool {
        let mut path = Vec::new();
        let mut at = Some(place);
        let mut said = Said::Nothing;
        while let Some(here) = at {
            if let Some(known) = self.known.get(&here) {
                said = *known;
                break;
            }
            let Some((parent, _)) = self.spans.get(&here) else { break };
            // Noted at once, so that a span which is its own ancestor ends the walk, and is nobody's.
            self.known.insert(here, Said::AnotherS);
            path.push(here);
            at = parent.map(|parent| (here.0, parent));
        }
        for here in path.into_iter().rev() {
            said = said.and(self.spans.get(&here).map_or(Said::Nothing, |(_, own)| *own));
            self.known.insert(here, said);
        }
        said == Said::Theirs
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::AnyValue;

    use super::*;

    fn attribute(key: &str, text: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    #[test]
    fn a_product_that_goes_by_an_attribute_of_its_own_goes_by_no_other() {
        let attributes = UserAttributes {
            usual: vec!["user.id".to_owned()],
            of_products: [("desktop".to_owned(), vec!["app.user".to_owned()])].into(),
        };
        let paul = Person::called(["paul".to_owned()], &attributes);
        let said = |product: &str, key: &str| paul.said_by(product, &[attribute(key, "paul")]);
        assert_eq!((said("desktop", "app.user"), said("desktop", "user.id")), (Said::Theirs, Said::Nothing));
        assert_eq!((said("server", "app.user"), said("server", "user.id")), (Said::Nothing, Said::Theirs));
    }

    #[test]
    fn a_person_is_known_by_name_address_or_hash_in_the_first_attribute_there_is() {
        let usual = ["user.id", "user.hash", "enduser.id"].map(str::to_owned).to_vec();
        let attributes = UserAttributes { usual, ..UserAttributes::default() };
        let paul = Person::called(["pauls-handle".to_owned(), "Paul@arnaud.example".to_owned()], &attributes);
        let hash = HEXLOWER.encode(&Sha256::digest(b"paul@arnaud.example"));
        for (key, text) in
            [("user.id", "pauls-handle"), ("enduser.id", "paul@ARNAUD.example"), ("user.hash", hash.as_str())]
        {
            assert_eq!(paul.said_by("desktop", &[attribute("a", "b"), attribute(key, text)]), Said::Theirs, "{key}");
            assert_eq!(paul.said_by("desktop", &[attribute(key, "zoe")]), Said::AnotherS, "{key}");
        }
        let both = [attribute("enduser.id", "pauls-handle"), attribute("user.id", "zoe")];
        assert_eq!(paul.said_by("desktop", &both), Said::AnotherS);
        let twice = [attribute("user.id", "pauls-handle"), attribute("user.id", "zoe")];
        assert_eq!(paul.said_by("desktop", &twice), Said::AnotherS);
        assert_eq!(
            paul.said_by("desktop", &[KeyValue { key: "user.id".to_owned(), ..KeyValue::default() }]),
            Said::AnotherS
        );
        assert_eq!(paul.said_by("desktop", &[attribute("user.name", "pauls-handle")]), Said::Nothing);
    }

    #[test]
    fn a_span_is_theirs_when_it_or_an_ancestor_says_so_and_none_says_otherwise() {
        let mut spans = Attribution::default();
        for (id, parent, said) in [
            (1, None, Said::Theirs),
            (2, Some(1), Said::Nothing),
            (3, Some(2), Said::AnotherS),
            (4, Some(3), Said::Theirs),
            (5, None, Said::Nothing),
            (6, Some(99), Said::Nothing),
            (7, Some(99), Said::Theirs),
            (8, Some(9), Said::Nothing),
            (9, Some(8), Said::Theirs),
        ] {
            spans.note((1, id), parent, said);
        }
        spans.note((2, 2), Some(1), Said::Nothing);
        let theirs: Vec<u64> = (1..=9).filter(|id| spans.is_theirs((1, *id))).collect();
        assert_eq!(theirs, [1, 2, 7], "and none of two which are each other's ancestors");
        assert!(!spans.is_theirs((2, 2)), "a parent of the same number in another trace");
        assert!(!spans.is_theirs((1, 100)), "what nobody sent");
    }

    #[test]
    fn a_chain_of_any_length_is_walked_once() {
        let mut spans = Attribution::default();
        spans.note((1, 1), None, Said::Theirs);
        for id in 2..200_000 {
            spans.note((1, id), Some(id - 1), Said::Nothing);
        }
        assert!((1..200_000).rev().all(|id| spans.is_theirs((1, id))));
    }
}
