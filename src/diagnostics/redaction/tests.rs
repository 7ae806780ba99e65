use proptest::prelude::*;

use super::*;
use crate::consent::scope::Level as ScopeLevel;
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::record::{Event, Gap, Reason, Span};

/// A redactor for everything the manifest of all components lists, and `note` of products.
fn redactor() -> Redactor {
    let scope = Scope::of(Component::ALL, ScopeLevel::Debug, vec!["note".to_owned(), "auth.token".to_owned()]);
    Redactor::new(&scope, &Manifest::of(&scope), LockedKey::filled(|key| key.fill(7)))
}

fn body(target: &str, fields: Vec<Field>) -> Body {
    Body {
        trace: 1,
        parent: None,
        target: target.to_owned(),
        level: Level::Debug,
        name: String::new(),
        file: "src/web.rs".to_owned(),
        rule: 0,
        fields,
        is_cut: false,
    }
}

fn field(name: &str, value: Value) -> Field {
    Field { name: name.to_owned(), value, is_cut: false }
}

fn event(target: &str, name: &str, value: Value) -> Record {
    Record::Event(Event { at_nanos: 5, body: body(target, vec![field(name, value)]) })
}

fn fields(record: &Record) -> &[Field] {
    match record {
        Record::Event(event) => &event.body.fields,
        Record::Span(span) => &span.body.fields,
        Record::Gap(_) => &[],
    }
}

/// What a text in a message of Accord's own becomes, and the rules that acted.
fn message(text: &str) -> (String, Vec<Rule>) {
    shown(Channel::Server, "accord::web", "message", Value::Text(text.to_owned()))
}

fn shown(channel: Channel, target: &str, name: &str, value: Value) -> (String, Vec<Rule>) {
    let mut hits = Hits::default();
    let redacted = redactor().redact(channel, event(target, name, value), &mut hits).unwrap();
    let rules: Vec<Rule> = redacted.masked.iter().map(|mark| mark.rule).collect();
    for rule in &rules {
        assert!(hits.of(*rule) > 0, "{rule} is marked and not counted");
    }
    match fields(&redacted.record) {
        [Field { value: Value::Text(text), .. }] => (text.clone(), rules),
        [Field { value, .. }] => (format!("{value:?}"), rules),
        _ => panic!("{redacted:?}"),
    }
}

#[test]
fn cn_09_what_the_manifest_does_not_list_is_left_out_name_and_all() {
    let mut hits = Hits::default();
    let fields_given = vec![
        field("message", Value::Text("ok".to_owned())),
        field("mail.body", Value::Text("canary".to_owned())),
        field("canary", Value::Bool(true)),
    ];
    let record = Record::Event(Event { at_nanos: 5, body: body("accord::web", fields_given) });
    let redacted = redactor().redact(Channel::Server, record, &mut hits).unwrap();
    assert_eq!(fields(&redacted.record), [field("message", Value::Text("ok".to_owned()))]);
    assert_eq!((redacted.left_out, hits.of(Rule::Unlisted)), (2, 2));
    assert!(!format!("{redacted:?}").contains("canary"));
}

#[test]
fn cn_09_what_the_scope_does_not_cover_is_not_kept_at_all() {
    let scope = Scope::of(&[Component::Pages], ScopeLevel::Info, Vec::new());
    let redactor = Redactor::new(&scope, &Manifest::of(&scope), LockedKey::filled(|key| key.fill(7)));
    let mut hits = Hits::default();
    let kept = |channel, target: &str, level| {
        let body = Body { level, ..body(target, Vec::new()) };
        redactor.redact(channel, Record::Event(Event { at_nanos: 5, body }), &mut Hits::default()).is_some()
    };
    assert!(kept(Channel::Server, "accord::web::portal", Level::Info));
    assert!(!kept(Channel::Server, "accord::web", Level::Debug));
    assert!(!kept(Channel::Server, "accord::webinar", Level::Error));
    assert!(!kept(Channel::Server, "accord::mail", Level::Error));
    assert!(!kept(Channel::Otlp, "accord::web", Level::Error));
    let gap = Record::Gap(Gap { reason: Reason::Full, records: 3, from_micros: 1, to_micros: 2 });
    assert_eq!(redactor.redact(Channel::Server, gap.clone(), &mut hits).unwrap().record, gap);
    assert_eq!(hits, Hits::default());
}

#[test]
fn cn_09_a_field_whose_name_says_secret_is_masked_although_it_was_listed() {
    let value = Value::Text("canary".to_owned());
    let (text, rules) = shown(Channel::Otlp, "billing", "auth.token", value);
    assert_eq!((text.as_str(), rules), ("[name]", vec![Rule::Name]));
    let (text, _) = shown(Channel::Otlp, "billing", "auth.token", Value::Integer(1234));
    assert_eq!(text, "[name]");
}

#[test]
fn cn_09_secrets_within_texts_are_masked_by_their_rules() {
    let cases = [
        (
            "Opened postgres://accord:hun%ter2@db.example/accord",
            "Opened postgres://[login]@db.example/accord",
            Rule::Login,
        ),
        ("at https://ghost@db.example/x", "at https://[login]@db.example/x", Rule::Login),
        ("redis://:p@ss@cache:6379", "redis://[login]@cache:6379", Rule::Login),
        ("password=hunter2 and more, then", "password=[secret], then", Rule::Assigned),
        ("{\"password\":\"hun\\\"ter2\",\"id\":4}", "{\"password\":[secret],\"id\":4}", Rule::Assigned),
        ("Form { new_password: Some(\"hun ter2\") }", "Form { new_password: [secret]) }", Rule::Assigned),
        ("mot de passe\u{a0}: hunter2", "mot de passe\u{a0}: [secret]", Rule::Assigned),
        ("session_id=abcdef next", "session_id=[secret] next", Rule::Assigned),
        ("Cookie: a=b; c=d\r\nAccept: */*", "Cookie: [secret]\r\nAccept: */*", Rule::Assigned),
        ("-> Authorization: Basic anNtaXRoOnB3", "-> Authorization: [secret]", Rule::Assigned),
        ("x-api-key: 12345", "x-api-key: [secret]", Rule::Assigned),
        (
            "key -----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY----- end",
            "key [private_key] end",
            Rule::PrivateKey,
        ),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb", "[private_key]", Rule::PrivateKey),
        ("used basic anNtaXRoOnB3MTIz", "used basic [bearer:", Rule::Bearer),
        ("used Bearer abcdefgh12", "used Bearer [bearer:", Rule::Bearer),
        ("got eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln", "got [jwt:", Rule::Jwt),
        ("got eyJhbGciOiJFZERTQSJ9", "got [jwt:", Rule::Jwt),
        ("AKIAIOSFODNN7EXAMPLE", "[token:", Rule::Token),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[token:", Rule::Token),
        ("glpat-x9_Ab3dEf6hIj0kLmNoP", "[token:", Rule::Token),
        ("see xoxb-17653672481-19874698323", "see [token:", Rule::Token),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "[token:", Rule::Token),
        ("acc_mfrggzdfmztwq2lknnwg23tpob2ht6tz4fpq", "[token:", Rule::Token),
        (
            "https://hooks.slack.com/services/T000/B000/XXXXXXXX",
            "https://hooks.slack.com/services/[token:",
            Rule::Token,
        ),
        ("GET /search?q=dupont&page=2", "GET /search?q=[query]&page=[query]", Rule::Query),
        ("https://a.example/x?dupont#frag", "https://a.example/x?[query]#[query]", Rule::Query),
        ("posted name=Jean&town=Nantes", "posted name=[query]&town=[query]", Rule::Query),
        ("to Jean.Dupont+x@client.example now", "to [email:", Rule::Email),
        ("to <éloïse@hôtel.example>", "to <[email:", Rule::Email),
        ("to jean%40client.example", "to [email:", Rule::Email),
        ("to root@localhost", "to [email:", Rule::Email),
        ("from FR76 3000 6000 0112 3456 7890 189 merci", "from [iban] merci", Rule::Iban),
        ("de89370400440532013000", "[iban]", Rule::Iban),
        ("MT84MALT011000012345MTLCAST001S.", "[iban].", Rule::Iban),
        ("card 4111 1111 1111 1111 exp", "card [card] exp", Rule::Card),
        ("n=5500000000000004", "n=[card]", Rule::Card),
        ("4111-1111-1111-1111", "[card]", Rule::Card),
        ("４１１１ １１１１ １１１１ １１１１", "[card]", Rule::Card),
        ("/link/k3jx7qm2wz5tn4hvb6cyr8sdl9fpg2ae4ou7iy3mk5wq2zt6nhb", "/link/[random]", Rule::Random),
        (
            "failed: SELECT * FROM people WHERE name = 'O''Brien' AND age > 42",
            "failed: SELECT * FROM people WHERE name = ? AND age > ?",
            Rule::Sql,
        ),
    ];
    for (text, expected, rule) in cases {
        let (clean, rules) = message(text);
        assert!(rules.contains(&rule), "{text:?}: {rules:?} {clean:?}");
        if expected.ends_with(':') {
            assert!(clean.starts_with(expected), "{text:?}: {clean:?}");
        } else {
            assert_eq!(clean, expected, "{text:?}");
        }
    }
}

#[test]
fn what_is_no_secret_stays_as_it_was() {
    for text in [
        "",
        "Sent reply 91 for ticket ACC-7Q4KD2WM9K",
        "Took up 3 jobs in 12 ms (attempt 2 of 5)",
        "2026-11-23T08:00:00.123456Z",
        "1795420800123456789",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "0af7651916cd43dd8448eb211c80319c",
        "Is it done? Yes & no; perhaps #4",
        "a basic information about bearers",
        "SIRET 380 129 866 46850",
        "GET /tickets/ACC-7Q4KD2WM9K 200",
        "Ça marche : 100 %",
    ] {
        assert_eq!(message(text), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn cn_09_statements_lose_their_literals() {
    let own = |text: &str| shown(Channel::Server, "accord::db", "db.statement", Value::Text(text.to_owned())).0;
    assert_eq!(
        own(r#"SELECT "a"."b2" FROM "a" WHERE "c" = $1 LIMIT 20"#),
        r#"SELECT "a"."b2" FROM "a" WHERE "c" = $1 LIMIT ?"#
    );
    assert_eq!(
        own("INSERT INTO t VALUES ('canary', x'00', 1.5e3) -- binds: [canary]"),
        "INSERT INTO t VALUES (?, x?, ?) "
    );
    assert_eq!(own("SELECT $q$canary$q$, /* canary */ 'cut off"), "SELECT ?,  ?");
    // Nobody knows where this literal ends.
    assert_eq!(own(r"SELECT 'it\'s canary', canary"), "SELECT ?");
    let product = |text: &str| shown(Channel::Otlp, "x", "note", Value::Text(text.to_owned())).0;
    assert_eq!(product("select * from t where a = \"canary\""), "select * from t where a = ?");
}

#[test]
fn cn_09_card_numbers_are_found_in_integers_and_fractions() {
    for value in [
        Value::Integer(4_111_111_111_111_111),
        Value::Integer(-4_111_111_111_111_111),
        Value::Unsigned(5_500_000_000_000_004),
        Value::Float(4_111_111_111_111_111.0),
        Value::Unsigned(6_304_000_000_000_000_000),
        Value::Integer(4_222_222_222_222),
    ] {
        assert_eq!(
            shown(Channel::Server, "accord::web", "count", value.clone()),
            ("[card]".to_owned(), vec![Rule::Card]),
            "{value:?}"
        );
    }
    for value in [Value::Integer(1_795_420_800_123_456), Value::Unsigned(4_111_111_111_111_112), Value::Float(0.5)] {
        assert_eq!(shown(Channel::Server, "accord::web", "count", value.clone()).1, [], "{value:?}");
    }
}

#[test]
fn a_text_that_was_cut_loses_its_broken_end() {
    let cut = |text: &str| {
        let given = Field { is_cut: true, ..field("message", Value::Text(text.to_owned())) };
        let record = Record::Event(Event { at_nanos: 5, body: body("accord::web", vec![given]) });
        let redacted = redactor().redact(Channel::Server, record, &mut Hits::default()).unwrap();
        let Value::Text(text) = fields(&redacted.record)[0].value.clone() else { panic!() };
        (text, redacted.masked.iter().map(|mark| mark.rule).collect::<Vec<_>>())
    };
    assert_eq!(cut("paid with 4111 1111 11"), ("paid with".to_owned(), vec![Rule::Length]));
    assert_eq!(cut("wrote to jean.dup"), ("wrote to".to_owned(), vec![Rule::Length]));
    assert_eq!(cut(&"é".repeat(200)).0, "é".repeat(136));
}

#[test]
fn a_long_text_is_searched_whole_and_then_cut() {
    let text = format!("{} jean@client.example {}", "x ".repeat(240), "y ".repeat(400));
    let given = Value::Text(text);
    let mut hits = Hits::default();
    let redacted = redactor().redact(Channel::Otlp, event("x", "note", given), &mut hits).unwrap();
    let Field { value: Value::Text(kept), is_cut, .. } = &fields(&redacted.record)[0] else { panic!() };
    assert!(*is_cut && kept.len() == VALUE_BYTES && kept.contains("[email:") && !kept.contains("jean"));
    assert_eq!((hits.of(Rule::Email), hits.of(Rule::Length)), (1, 1));
}

#[test]
fn the_same_value_has_the_same_tag_within_a_grant_only() {
    let other = Redactor { key: LockedKey::filled(|key| key.fill(8)), ..redactor() };
    let tag = |redactor: &Redactor, text: &str| redactor.mask_of(Rule::Email, text);
    assert_eq!(tag(&redactor(), "Jean@client.example"), tag(&redactor(), "jean%40client.example"));
    assert_ne!(tag(&redactor(), "jean@client.example"), tag(&redactor(), "jean@client.examples"));
    assert_ne!(tag(&redactor(), "jean@client.example"), tag(&other, "jean@client.example"));
    assert!(tag(&redactor(), "jean@client.example").len() <= "[email:12345678]".len());
}

#[test]
fn the_names_of_spans_and_targets_are_texts_too() {
    let span = Span {
        id: 1,
        start_nanos: 1,
        end_nanos: 2,
        body: Body { name: "GET /u/jean@client.example".to_owned(), ..body("of jean@client.example", Vec::new()) },
    };
    let redacted = redactor().redact(Channel::Otlp, Record::Span(span), &mut Hits::default()).unwrap();
    assert!(!format!("{redacted:?}").contains("jean"));
    assert_eq!(redacted.masked.len(), 2);
}

/// One secret of each kind, in the shapes it comes in.
fn canary() -> impl Strategy<Value = String> {
    let word = "[a-z0-9]{16}";
    prop_oneof![
        word.prop_map(|word| format!("password={word}")),
        word.prop_map(|word| format!("\"token\": \"{word}\"")),
        word.prop_map(|word| format!("Set-Cookie: sid={word}")),
        word.prop_map(|word| format!("Bearer {word}")),
        word.prop_map(|word| format!("ghp_{word}")),
        word.prop_map(|word| format!("sk_live_{word}")),
        word.prop_map(|word| format!("eyJ{word}.{word}.{word}")),
        word.prop_map(|word| format!("-----BEGIN PRIVATE KEY-----\n{word}\n-----END PRIVATE KEY-----")),
        word.prop_map(|word| format!("https://user:{word}@host.example/path")),
        word.prop_map(|word| format!("https://host.example/path?name={word}")),
        word.prop_map(|word| format!("/path?{word}#{word}")),
        word.prop_map(|word| format!("{word}@client.example")),
        word.prop_map(|word| format!("SELECT a FROM b WHERE c = '{word}'")),
        word.prop_map(|word| format!("INSERT INTO b VALUES ($${word}$$)")),
    ]
}

/// The part of a canary that nobody may read.
fn secret_of(canary: &str) -> String {
    let words = canary.split(|character: char| !character.is_ascii_alphanumeric());
    words.map(|word| word.trim_start_matches("eyJ")).find(|word| word.len() == 16).unwrap().to_owned()
}

/// A card with a right check digit.
fn card() -> impl Strategy<Value = u64> {
    (0_u64..100_000_000_000_000).prop_map(|account| {
        let number = 4_000_000_000_000_000 + account * 10;
        (0..10).map(|check| number + check).find(|number| numbers::is_card(*number)).unwrap()
    })
}

const SERVER_FIELDS: &[(&str, &str)] = &[
    ("accord::web", "message"),
    ("accord::web", "http.route"),
    ("accord::web", "form.fields"),
    ("accord::db", "db.statement"),
    ("accord::mail", "error"),
    ("accord::tickets", "words"),
    ("accord::worker", "job.name"),
];

proptest! {
    #[test]
    fn cn_09_no_canary_survives_in_any_field(
        canary in canary(),
        place in 0..SERVER_FIELDS.len() + 2,
        before in "[a-zé ,:]{0,20} ",
        after in " [a-zé ,:]{0,20}",
    ) {
        let text = Value::Text(format!("{before}{canary}{after}"));
        let (clean, rules) = match SERVER_FIELDS.get(place) {
            Some((target, name)) => shown(Channel::Server, target, name, text),
            None => shown(Channel::Otlp, "shop", if place % 2 == 0 { "note" } else { "exception.message" }, text),
        };
        prop_assert!(!clean.contains(&secret_of(&canary)), "{}", clean);
        prop_assert!(!rules.is_empty());
    }

    #[test]
    fn cn_09_no_card_survives_in_any_kind_of_value(card in card(), kind in 0..6) {
        let digits = card.to_string();
        let value = match kind {
            0 => Value::Integer(card.cast_signed()),
            1 => Value::Unsigned(card),
            2 => Value::Float(card as f64),
            3 => Value::Text(digits.clone()),
            4 => Value::Text(format!("carte {} {} {} {}", &digits[..4], &digits[4..8], &digits[8..12], &digits[12..])),
            _ => Value::Text(format!("id={digits};")),
        };
        let (clean, rules) = shown(Channel::Server, "accord::web", "message", value);
        prop_assert_eq!(rules, vec![Rule::Card]);
        prop_assert!(!clean.contains(&digits[4..8]) || digits[4..8] == *"0000", "{}", clean);
    }

    #[test]
    fn redacting_never_fails_and_never_lengthens_beyond_the_limit(text in ".{0,600}", is_cut: bool, statement: bool) {
        let name = if statement { "db.statement" } else { "message" };
        let target = if statement { "accord::db" } else { "accord::web" };
        let given = Field { is_cut, ..field(name, Value::Text(text)) };
        let record = Record::Event(Event { at_nanos: 5, body: body(target, vec![given]) });
        let redacted = redactor().redact(Channel::Server, record, &mut Hits::default()).unwrap();
        let Value::Text(kept) = &fields(&redacted.record)[0].value else { panic!() };
        prop_assert!(kept.len() <= VALUE_BYTES);
    }
}
