//! How mail clients announce history, in English, French, German, Spanish, Italian, Portuguese and Dutch: the words of
//! Outlook, Gmail, Apple Mail, Thunderbird, Yahoo, Proton, Zimbra and GMX, in lower case, with plain apostrophes and spaces.

/// What stands between drawn lines above an answered mail.
pub(super) const SEPARATORS: &[&str] = &[
    "original message",
    "original appointment",
    "reply message",
    "message d'origine",
    "message original",
    "message initial",
    "mail original",
    "courriel original",
    "rendez-vous d'origine",
    "ursprüngliche nachricht",
    "originalnachricht",
    "original-nachricht",
    "ursprünglicher termin",
    "mensaje original",
    "cita original",
    "messaggio originale",
    "messaggio original",
    "appuntamento originale",
    "mensagem original",
    "compromisso original",
    "oorspronkelijk bericht",
    "origineel bericht",
    "oorspronkelijke afspraak",
];

/// What stands between drawn lines above a forwarded mail.
pub(super) const FORWARDS: &[&str] = &[
    "forwarded message",
    "message transféré",
    "message transmis",
    "message réexpédié",
    "mail transféré",
    "weitergeleitete nachricht",
    "mensaje reenviado",
    "messaggio inoltrato",
    "mensagem encaminhada",
    "mensagem reencaminhada",
    "doorgestuurd bericht",
];

/// The line of Apple Mail above a forwarded mail.
pub(super) const FORWARDS_OF_APPLE: &[&str] = &[
    "begin forwarded message:",
    "début du message réexpédié:",
    "début du message transféré:",
    "anfang der weitergeleiteten nachricht:",
    "inicio del mensaje reenviado:",
    "inizio messaggio inoltrato:",
    "início da mensagem encaminhada:",
    "início da mensagem reencaminhada:",
    "begin doorgestuurd bericht:",
];

/// How a client advertises itself below a text.
pub(super) const ADVERTISEMENTS: &[&str] = &[
    "sent from my ",
    "sent from outlook",
    "sent from mail for windows",
    "sent from yahoo mail",
    "sent from proton mail",
    "sent with proton mail",
    "get outlook for ",
    "envoyé de mon ",
    "envoyé depuis mon ",
    "envoyé depuis ma ",
    "envoyé depuis outlook",
    "envoyé depuis yahoo",
    "envoyé depuis l'application",
    "envoyé depuis proton mail",
    "envoyé à partir de ",
    "envoyé avec proton mail",
    "envoyé avec la messagerie ",
    "obtenez outlook pour ",
    "télécharger outlook pour ",
    "provenance : courrier pour ",
    "von meinem iphone gesendet",
    "von meinem ipad gesendet",
    "von meinem smartphone gesendet",
    "diese nachricht wurde von meinem ",
    "gesendet von mail für windows",
    "gesendet von outlook",
    "gesendet mit proton mail",
    "gesendet mit der gmx ",
    "gesendet mit der web.de ",
    "holen sie sich outlook für ",
    "outlook für android beziehen",
    "outlook für ios beziehen",
    "enviado desde mi ",
    "enviado desde outlook",
    "enviado desde correo para windows",
    "obtener outlook para ",
    "obtenga outlook para ",
    "inviato da iphone",
    "inviato da ipad",
    "inviato dal mio ",
    "inviato da outlook",
    "inviato da posta per windows",
    "ottieni outlook per ",
    "scarica outlook per ",
    "enviado do meu ",
    "enviado a partir do meu ",
    "enviado do correio para windows",
    "enviado do email para windows",
    "obter o outlook para ",
    "obtenha o outlook para ",
    "verzonden vanaf mijn ",
    "verstuurd vanaf mijn ",
    "verzonden vanuit mail voor windows",
    "outlook voor android downloaden",
    "outlook voor ios downloaden",
    "download outlook voor ",
];

/// How the line above a quote begins.
pub(super) const ATTRIBUTION_STARTS: &[&str] = &["on ", "le ", "am ", "el ", "il ", "em ", "no dia ", "op "];

/// How the line above a quote ends, before its colon.
pub(super) const VERBS: &[&str] = &[
    "wrote",
    "writes",
    "a écrit",
    "a ecrit",
    "écrivait",
    "écrit",
    "schrieb",
    "schreibt",
    "folgendes geschrieben",
    "escribió",
    "ha scritto",
    "escreveu",
    "schreef",
    "het volgende geschreven",
];

/// The same where the name, or the date, comes after.
pub(super) const VERBS_AMIDST: &[&str] = &[" schrieb ", " schreef ", " escreveu ("];

/// How somebody speaks in a sentence of their own, by how that begins. No client names anybody so.
pub(super) const PRONOUNS: &[(&str, &[&str])] = &[
    ("on ", &["i", "me", "we", "us", "you", "he", "she", "they"]),
    ("le ", &["je", "moi", "nous", "vous", "tu", "il", "elle", "on", "ils", "elles"]),
    ("am ", &["ich", "mir", "mich", "wir", "uns", "er", "sie", "ihr", "man"]),
    ("el ", &["yo", "me", "nos", "nosotros", "usted", "ella"]),
    ("il ", &["io", "mi", "ci", "noi", "lei", "lui"]),
    ("em ", &["eu", "me", "nos", "nós", "ele", "ela"]),
    ("no dia ", &["eu", "me", "nos", "nós", "ele", "ela"]),
    ("op ", &["ik", "mij", "me", "wij", "we", "ons", "hij", "zij", "ze"]),
];

/// The same in French before a vowel: "j'ai écrit", "m'a écrit".
pub(super) const ELIDED: &[&str] = &["j'", "m'", "t'"];

/// What stands between the time and the name.
pub(super) const BESIDE_A_TIME: &[&str] =
    &["am", "pm", "h", "uhr", "mez", "mesz", "cet", "cest", "utc", "gmt", "schrieb", "hat", "schreef", "heeft", "ha"];

/// The names of the fields in a header block.
pub(super) struct FieldNames;

impl FieldNames {
    pub(super) const FROM: &[&str] = &["from", "de", "von", "da", "van"];
    /// Names of a date that begin a block in some web mails; nobody begins a sentence with them.
    pub(super) const SENT: &[&str] = &[
        "sent",
        "envoyé",
        "envoyé le",
        "gesendet",
        "gesendet am",
        "enviado",
        "enviado el",
        "enviado em",
        "enviada em",
        "inviato",
        "inviato il",
        "verzonden",
        "verzonden op",
    ];
    pub(super) const DATE: &[&str] = &["date", "date d'envoi", "datum", "fecha", "data"];
    pub(super) const TO: &[&str] = &["to", "à", "a", "pour", "an", "para", "aan"];
    pub(super) const SUBJECT: &[&str] =
        &["subject", "objet", "sujet", "betreff", "asunto", "oggetto", "assunto", "onderwerp"];
}

/// Whether a line names a day of some year: `16 nov. 2026`, `16.11.26`, `11/16/26`, `2026-11-16`. Whoever writes "on Monday at
/// ten" by hand does not.
pub(super) fn has_date(line: &str) -> bool {
    let numbers = line.split(|c: char| !c.is_ascii_digit());
    if numbers.into_iter().any(|number| number.len() == 4 && (number.starts_with("19") || number.starts_with("20"))) {
        return true;
    }
    let is_of_date = |c: char| c.is_ascii_digit() || matches!(c, '.' | '/' | '-');
    line.split(|c: char| !is_of_date(c)).any(|word| {
        let parts: Vec<&str> = word.split(['.', '/', '-']).filter(|part| !part.is_empty()).collect();
        parts.len() == 3 && parts.iter().all(|part| part.len() <= 2)
    })
}
