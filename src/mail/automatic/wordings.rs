//! The subjects under which machines write, in the languages that the large mail systems know. People write of the same
//! things, so a subject counts as it begins, not after a `Re:`, and `automatic` asks for more than it where that costs more than
//! an acknowledgement.

use std::sync::LazyLock;

use regex::Regex;

/// Characters of a subject that are looked at.
const LOOKED_AT: usize = 200;

fn start(subject: &str) -> String {
    subject.chars().take(LOOKED_AT).collect()
}

/// The subjects under which the large mail systems report failures, in the languages their administrators choose here.
pub(super) fn says_undelivered(subject: &str) -> bool {
    static WORDINGS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?ix)
            ^\s*(
                undeliver(ed|able) | non[\s-]?remis | non[\s-]?distribu | mail\ delivery\ (failed|failure|system)
              | delivery\ (status\ notification|failure|has\ failed|report|delayed|notification) | failure\ notice
              | returned\ (e-?)?mail | message\ (undeliverable|not\ delivered|delivery\ (failed|failure))
              | warning:\ (could\ not\ send|message.*delayed) | delayed\ mail | permanent\ delivery\ failure
              | nondeliverable | message\ status\ -\ undeliverable | mail\ system\ error | failed\ mail
              | unable\ to\ deliver | (e-?mail|mail|message)\ delivery\ (fail|problem|error) | rejected\ mail
              | (your\ )?(message|mail).*(could\ not\ be|was\ not)\ delivered
              | (échec|echec)\ de\ (la\ )?(remise|livraison|distribution) | notification\ d.état\ de\ (remise|distribution)
              | (courrier|message)\ non\ (remis|délivré|distribué) | rapport\ de\ non[\s-]remise
              | automatically\ rejected\ mail
              | unzustellbar | nicht\ zustellbar | onbestelbaar | no\ se\ puede\ entregar | mancato\ recapito
              | impossibile\ recapitare | non\ recapitabile | não\ foi\ possível\ entregar | message\ retardé
              | não\ entregue | nie\ można\ dostarczyć | niedostarczalne | недоставленное\ сообщение | не\ удается\ доставить
              | kan\ (inte|ikke)\ leveres | olevererbart | 配信不能 | 配信できません | 无法传递 | 未送达
            )",
        )
        .expect("the pattern is well formed")
    });
    WORDINGS.is_match(&start(subject))
}

/// Whether a subject begins as Exchange, Outlook and Domino begin that of an automatic answer, or is the one of vacation(1).
pub(super) fn says_absent(subject: &str) -> bool {
    static WORDINGS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?ix)
            ^\s*(
                (automatic|auto)[\ -]?(reply|response) | out\ of\ (the\ )?office(\ (auto[\ -]?)?reply)? | vacation\ reply
              | réponse\ automatique(\ d.absence(\ du\ bureau)?)? | (message|notification)\ d.absence | absente?\ du\ bureau
              | automatische\ antwort | (automatische\ )?abwesenheitsnotiz | abwesend
              | respuesta\ automática | fuera\ de\ la\ oficina | risposta\ automatica | fuori\ (sede|ufficio)
              | automatisch\ antwoord | afwezigheidsbericht | resposta\ automática | fora\ do\ escritório
              | odpowiedź\ automatyczna | automatyczna\ odpowiedź | autoodpowiedź | automatická\ odpověď
              | autosvar | automatisk(t)?\ svar | automaattinen\ vastaus | автоматический\ ответ | автоответ | otomatik\ yanıt
              | automatikus\ válasz | r[ăa]spuns\ automat | αυτόματη\ απάντηση | automatická\ odpoveď
              | 자동\ ?(회신|응답) | автоматична\ відповідь | automatski\ odgovor | аутоматски\ одговор
              | samodejni\ odgovor | автоматичен\ отговор | resposta\ automàtica | automātiska\ atbilde
              | automatinis\ atsakymas | automaatvastus | מענה\ אוטומטי | رد\ تلقائي
              | 自動応答 | 自動返信 | 自动(答复|回复) | 自動回覆
            )\s*[:：]",
        )
        .expect("the pattern is well formed")
    });
    let subject = start(subject);
    WORDINGS.is_match(&subject) || says_absent_by_name(&subject) || is_of_vacation(&subject)
}

/// Whether a subject is Domino's, which names who is absent: nobody but it writes the whole of it so.
pub(super) fn says_absent_by_name(subject: &str) -> bool {
    static NOTES: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^\s*auto: .{1,80} is out of the office\.?(\s*\(.{1,40}\))?\s*$").expect("well formed")
    });
    NOTES.is_match(&start(subject))
}

/// The subject that vacation(1) writes into the file of whoever sets none.
fn is_of_vacation(subject: &str) -> bool {
    subject.trim().eq_ignore_ascii_case("away from my mail")
}

/// The same where what follows is the subject of a mail of ours, which begins with a ticket's reference. People who answer an
/// old mail and ask of absences, under a subject of their own, write no such thing.
pub(super) fn says_absent_of_our_mail(subject: &str) -> bool {
    static OURS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^[^:：]*[:：]\s*\[[a-z0-9]{1,10}-[a-z0-9]{6,14}\]").expect("the pattern is well formed")
    });
    (says_absent(subject) || says_automatic(subject)) && OURS.is_match(&start(subject))
}

/// Whether a subject begins as Sieve and others after RFC 3834 (3.1.5) begin that of an automatic answer. So does one about
/// cars, so this counts only beside more.
pub(super) fn says_automatic(subject: &str) -> bool {
    let subject = subject.trim_start();
    let auto = subject.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("auto"));
    auto && subject[4..].trim_start().starts_with([':', '：'])
}

/// The subject that RFC 7489 (7.2.1.1) and RFC 8460 (5.3) give to their aggregate reports.
pub(super) fn is_aggregate_report(subject: &str) -> bool {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^\s*report[\s-]domain:\s*\S+\s+submitter:\s*\S+\s+report-id:\s*\S+").expect("well formed")
    });
    FORM.is_match(&start(subject))
}

/// Whether a subject begins as Outlook begins that of a message which takes another back. "Rappel :" is a reminder as well, so
/// there has to be Outlook's packing too.
pub(super) fn says_recalled(subject: &str) -> bool {
    static WORDINGS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)^\s*(recall|rappel|rückruf)\s*:").expect("well formed"));
    WORDINGS.is_match(&start(subject))
}
