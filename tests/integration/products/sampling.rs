//! Keys of remote sampling, and what samplers are told.

use serde_json::{Value, json};

use super::*;

impl Desk {
    async fn rate(&self, path: &str) -> i64 {
        let answer = self.wire.get(path).await;
        answer.assert_status(200);
        let strategy: Value = serde_json::from_slice(&answer.bytes).unwrap();
        let rate = strategy["probabilisticSampling"]["samplingRate"].as_i64().unwrap();
        let expected = json!({ "strategyType": "PROBABILISTIC", "probabilisticSampling": { "samplingRate": rate } });
        assert_eq!(strategy, expected);
        rate
    }

    /// Claire makes a key; gives the path that samplers ask.
    async fn sampling_path(&self, claire: &Browser) -> String {
        let page = format!("/organisations/{}/sampling", self.cast.arnaud_handle);
        let made = claire.post(&page, &[]).await;
        made.assert_status(200).assert_says("JaegerRemoteSampler");
        let text = made.text();
        let at = text.find("/sampling/smp_").unwrap();
        text[at..].split(['<', '\'', '"', '&']).next().unwrap().to_owned()
    }
}

#[actix_web::test]
async fn samplers_are_told_to_produce_while_there_is_a_grant_of_products_and_at_no_other_time() {
    let desk = Desk::begin().await;
    let claire = desk.test.signed_in(desk.cast.claire).await;
    let path = desk.sampling_path(&claire).await + "?service=billing";
    assert_eq!(desk.rate(&path).await, 0, "nothing is granted");
    let of_pages = desk.grant_parts(desk.cast.claire, Subject::Organisation, &[Component::Pages], "");
    assert_eq!(desk.rate(&path).await, 0, "not of products");
    desk.withdraw(&of_pages, Kept::No);
    desk.grant_of(desk.cast.zoe, Subject::Organisation, "");
    assert_eq!(desk.rate(&path).await, 0, "not of this organisation");
    let grant = desk.grant();
    assert_eq!(desk.rate(&path).await, 1);
    assert_eq!(desk.rate(&path.replace('?', "/sampling?")).await, 1, "as the sampler for JavaScript asks");
    desk.withdraw(&grant, Kept::No);
    assert_eq!(desk.rate(&path).await, 0, "withdrawn");
    let own = desk.grant_of(desk.cast.paul, Subject::Person(desk.cast.paul), "");
    assert_eq!(desk.rate(&path).await, 1, "somebody's own use");
    desk.test.clock.advance(TimeDelta::minutes(60));
    assert!(own.expires_at <= desk.test.now());
    assert_eq!(desk.rate(&path).await, 0, "expired, noticed or not");
}

#[actix_web::test]
async fn u_03b_a_sampling_key_is_shown_once_kept_as_its_hash_and_revoked() {
    let desk = Desk::begin().await;
    desk.grant();
    let claire = desk.test.signed_in(desk.cast.claire).await;
    let path = desk.sampling_path(&claire).await;
    assert_eq!(desk.rate(&path).await, 1);
    for wrong in ["smp_", "smp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x", "%20"] {
        assert_eq!(desk.rate(&format!("/sampling/{wrong}")).await, 0, "{wrong}");
    }
    assert_eq!(desk.rate(&path.to_uppercase().replace("/SAMPLING/SMP_", "/sampling/smp_")).await, 0);
    let key = path.rsplit('/').next().unwrap();
    let (hash, count) = desk.test.read(|db| {
        use accord::db::schema::sampling_keys;
        use diesel::prelude::*;
        let hashes: Vec<Vec<u8>> = sampling_keys::table.select(sampling_keys::key_hash).load(db)?;
        Ok((hashes[0].clone(), hashes.len()))
    });
    assert_eq!((hash, count), (accord::secret::hash_token(key), 1));
    let page = format!("/organisations/{}/sampling", desk.cast.arnaud_handle);
    let list = claire.get(&page).await;
    list.assert_status(200).assert_silent_about(key);
    let text = list.text();
    let at = text.find("/revocation").unwrap();
    let revocation = text[..at].rsplit('"').next().unwrap().to_owned() + "/revocation";
    claire.post(&revocation, &[]).await.assert_status(303);
    assert_eq!(desk.rate(&path).await, 0, "whatever was set up with it stops");
    claire.post(&revocation, &[]).await.assert_status(404);
    // Who may not grant for the organisation sees none of it.
    let paul = desk.test.signed_in(desk.cast.paul).await;
    paul.get(&page).await.assert_status(403);
    paul.get(&format!("/organisations/{}", desk.cast.arnaud_handle)).await.assert_silent_about(&page);
}

#[actix_web::test]
async fn an_organisation_has_so_many_keys() {
    let desk = Desk::begin().await;
    let claire = desk.test.signed_in(desk.cast.claire).await;
    let page = format!("/organisations/{}/sampling", desk.cast.arnaud_handle);
    for _ in 0..accord::diagnostics::sampling::MOST {
        claire.post(&page, &[]).await.assert_status(200);
    }
    claire.post(&page, &[]).await.assert_status(409).assert_says("20 clés");
}
