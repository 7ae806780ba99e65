//! What is said beside somebody's name and address where one of them deceives the eye (I-04), in words of the catalogue. The real
//! address stands beside it in any case.

use crate::mail::address::{Warning, warnings};

/// The keys of what agents are told of somebody who goes by `name` at `address`, both as they were written.
pub fn name_marks(name: &str, address: &str) -> Vec<&'static str> {
    warnings(name, address).into_iter().map(key).collect()
}

fn key(warning: Warning) -> &'static str {
    match warning {
        Warning::NameContainsAddress => "name-mark-address",
        Warning::InvisibleCharacters => "name-mark-invisible",
        Warning::LookAlikeLetters => "name-mark-letters",
    }
}
