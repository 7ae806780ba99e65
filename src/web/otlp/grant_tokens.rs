//! Tokens of a grant (U-07): what a product sends its traces with. A token is made when somebody who holds the grant asks
//! for it, is shown once, is kept nowhere, and ends with its grant: how it stands with that is looked up at each request,
//! so the token itself can last as long as the grant was given for. It opens nothing else, and reads nothing.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::clock::UtcTime;
use crate::consent::Grant;
use crate::error::Result;
use crate::keys::{Keys, Purpose};
use crate::web::jwt::Signer;

const AUDIENCE: &str = "accord-otlp";
const KIND: &str = "otlp";
/// No grant lasts longer, so no token does.
const LONGEST_LIFE: TimeDelta = TimeDelta::hours(24);

/// What a token says. Every claim must be there, with its type, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    typ: String,
    iss: String,
    aud: String,
    /// The public name of the organisation.
    sub: String,
    /// The public name of the grant.
    jti: String,
    /// The version of the grant: whatever happens to it makes another.
    gv: i64,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// What a genuine token of this moment is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub organisation: String,
    pub grant: String,
    pub version: i64,
}

/// The keys by which tokens of grants are signed and verified.
pub struct GrantTokens {
    signer: Signer,
    issuer: String,
}

impl GrantTokens {
    /// The keys of this installation, which is reached at `base_url`.
    pub fn new(keys: &Keys, base_url: &str) -> GrantTokens {
        GrantTokens { signer: Signer::new(keys, Purpose::Otlp), issuer: base_url.to_owned() }
    }

    /// A token with which products of the organisation of that public name send under `grant`, from `now` until the grant
    /// expires.
    pub fn sign(&self, grant: &Grant, organisation: &str, now: UtcTime) -> Result<String> {
        self.signer.sign(&Claims {
            typ: KIND.to_owned(),
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: organisation.to_owned(),
            jti: grant.handle.clone(),
            gv: grant.version,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: grant.expires_at.seconds(),
        })
    }

    /// What the token is for, if it is genuine and of this moment, to the second: a clock that is apart from ours is no
    /// reason to take anything.
    pub fn verify(&self, token: &str, now: UtcTime) -> Option<Claimed> {
        let claims: Claims = self.signer.claims(token)?;
        let is_ours = claims.typ == KIND && claims.aud == AUDIENCE && claims.iss == self.issuer;
        let lasts = claims.exp.checked_sub(claims.iat)?;
        let is_of_now = claims.iat <= now.seconds()
            && claims.nbf <= now.seconds()
            && now.seconds() < claims.exp
            && (0..=LONGEST_LIFE.num_seconds()).contains(&lasts);
        let names_both = !claims.sub.is_empty() && !claims.jti.is_empty();
        (is_ours && is_of_now && names_both).then_some(Claimed {
            organisation: claims.sub,
            grant: claims.jti,
            version: claims.gv,
        })
    }

    /// The public halves of the keys by their names.
    pub fn public_keys(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.signer.public_keys()
    }
}

#[cfg(test)]
mod tests;
