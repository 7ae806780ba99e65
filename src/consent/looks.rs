//! The chain of looks at what a grant opened, as a bundle of evidence carries it: each look is hashed with the one before
//! it, so that none can be changed or left out unseen. Who may look, and the rows, are `diagnostics`' concern.

use serde_json::{Value, json};

use crate::consent::manifest::sha256_hex;
use crate::consent::register::{Broken, beginning};
use crate::consent::signing::canonical;

/// What a look's own hash is taken of does not hold it, nor the reader's name, which may change or be erased: the public
/// name of the person stands for them.
const BESIDE: [&str; 2] = ["hash", "name"];

/// The hash of a look, which names the grant it belongs to and the look before it.
pub fn hash_of(look: &Value) -> String {
    let mut hashed = look.clone();
    if let Some(object) = hashed.as_object_mut() {
        for name in BESIDE {
            object.remove(name);
        }
    }
    sha256_hex(&canonical(&hashed))
}

/// The looks at what a grant opened, as a bundle carries them.
pub fn to_json(grant: &str, looks: &[Value]) -> Value {
    let head = looks.last().and_then(|look| look["hash"].as_str().map(str::to_owned)).unwrap_or_else(beginning);
    json!({ "accord:grant": grant, "accord:length": looks.len(), "accord:head": head, "accord:looks": looks })
}

/// Checks what [`to_json`] made: every look is of that grant, follows the one before, and says what was hashed; none is
/// missing. Gives how many there are.
pub fn verify(bundled: &Value) -> Result<usize, Broken> {
    let grant = bundled["accord:grant"].as_str().unwrap_or_default();
    let looks = bundled["accord:looks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut previous = beginning();
    for (index, look) in looks.iter().enumerate() {
        let number = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1);
        let broken = |why| Broken { number, why };
        if look["grant"].as_str() != Some(grant) {
            return Err(broken("it is a look at something else"));
        }
        if look["number"].as_i64() != Some(number) {
            return Err(broken("another look stands in its place"));
        }
        if look["previous"].as_str() != Some(previous.as_str()) {
            return Err(broken("it does not follow the one before"));
        }
        let hash = hash_of(look);
        if look["hash"].as_str() != Some(hash.as_str()) {
            return Err(broken("it does not say what was hashed"));
        }
        previous = hash;
    }
    let is_whole = bundled["accord:length"].as_u64() == u64::try_from(looks.len()).ok()
        && bundled["accord:head"].as_str() == Some(previous.as_str());
    if is_whole {
        Ok(looks.len())
    } else {
        Err(Broken { number: i64::try_from(looks.len()).unwrap_or(i64::MAX), why: "looks are missing at its end" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Value {
        let mut looks = Vec::new();
        let mut previous = beginning();
        for number in 1..=3 {
            let mut look = json!({ "grant": "g", "number": number, "reader": "p", "reason": "why", "name": "Léa",
                "previous": previous });
            previous = hash_of(&look);
            look["hash"] = json!(previous);
            looks.push(look);
        }
        to_json("g", &looks)
    }

    #[test]
    fn looks_follow_one_another_and_a_changed_or_missing_one_is_found() {
        assert_eq!(verify(&chain()), Ok(3));
        assert_eq!(verify(&to_json("g", &[])), Ok(0));
        let changed = |change: fn(&mut Value)| {
            let mut bundled = chain();
            change(&mut bundled);
            verify(&bundled).map_err(|broken| broken.number)
        };
        assert_eq!(changed(|bundled| bundled["accord:looks"][1]["reason"] = json!("another")), Err(2));
        assert_eq!(changed(|bundled| bundled["accord:looks"][1]["reader"] = json!("q")), Err(2));
        assert_eq!(changed(|bundled| bundled["accord:grant"] = json!("h")), Err(1));
        assert_eq!(changed(|bundled| drop(bundled["accord:looks"].as_array_mut().unwrap().remove(0))), Err(1));
        assert_eq!(changed(|bundled| drop(bundled["accord:looks"].as_array_mut().unwrap().remove(1))), Err(2));
        assert_eq!(changed(|bundled| drop(bundled["accord:looks"].as_array_mut().unwrap().remove(2))), Err(2));
        // Somebody's name may be erased.
        assert_eq!(changed(|bundled| bundled["accord:looks"][0]["name"] = json!(null)), Ok(3));
    }
}
