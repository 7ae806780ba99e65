//! Local parts under which programs write. Nobody reads what is sent there, so nothing is acknowledged; what comes from there may
//! still be a person's, and threads like any other mail.

use std::sync::LazyLock;

use regex::Regex;

/// Local parts behind which nobody reads.
pub(super) fn is_unattended(local_part: &str) -> bool {
    /// Accounts under which programs of a machine run, what watches it, and what sends by itself.
    const PROGRAMS: [&str; 33] = [
        "root",
        "daemon",
        "nobody",
        "www-data",
        "apache",
        "nginx",
        "cron",
        "anacron",
        "logwatch",
        "logcheck",
        "fail2ban",
        "smartd",
        "mdadm",
        "monit",
        "munin",
        "nagios",
        "icinga",
        "icinga2",
        "centreon",
        "zabbix",
        "cacti",
        "grafana",
        "prometheus",
        "alertmanager",
        "mailman",
        "majordomo",
        "sympa",
        "listserv",
        "mailer-daemon",
        "autoreply",
        "auto-reply",
        "autoresponder",
        "autorespond",
    ];
    asks_for_no_reply(local_part)
        || local_part.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("bounce"))
        || is_among(&PROGRAMS, local_part)
}

/// Local parts of devices and of notices, which some people have as their address too: there has to be more that speaks for one
/// or the other.
pub(super) fn is_of_a_device(local_part: &str) -> bool {
    const DEVICES: [&str; 14] = [
        "postmaster",
        "alert",
        "alerts",
        "notification",
        "notifications",
        "notify",
        "newsletter",
        "quarantine",
        "fax",
        "voicemail",
        "scan",
        "scanner",
        "copier",
        "printer",
    ];
    is_among(&DEVICES, local_part)
}

/// Whether a Sender field is the one of Google Calendar, which writes in the name of its users: that somebody invites, moves a
/// meeting, accepts or declines, whether the calendar itself is in the mail or not.
pub(super) fn is_of_a_calendar(sender: &str) -> bool {
    let address = sender.rsplit_once('<').map_or(sender, |(_, address)| address);
    address
        .trim()
        .split_once('@')
        .is_some_and(|(local_part, _)| local_part.eq_ignore_ascii_case("calendar-notification"))
}

fn is_among(names: &[&str], local_part: &str) -> bool {
    names.iter().any(|name| local_part.eq_ignore_ascii_case(name))
}

/// Whether a local part says "do not answer", in the languages of the large mail systems as they are written in addresses. In
/// other languages than English it has to end there, or a name could begin so.
pub fn asks_for_no_reply(local_part: &str) -> bool {
    static NO_REPLY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?ix)
            (^|[^a-z])(
                (no|do.?not|ne.?pas).?(reply|repondre)
              | (
                    (pas.?de|sans).?reponse                                                 # French
                  | nicht.?antworten | keine.?antwort | ohne.?antwort                       # German
                  | no.?(responder|responda[ns]?|respuesta|contestar|conteste) | sin.?respuesta # Spanish
                  | non?.?(rispondere|rispondete) | senza.?risposta                         # Italian
                  | n(a|ã)o.?respond(er|a|am) | sem.?resposta                               # Portuguese
                  | niet.?(be)?antwoorden | geen.?antwoord                                  # Dutch
                  | nie.?odpowiada(c|j|jcie) | bez.?odpowiedzi                              # Polish
                  | svara.?(inte|ej|icke) | inget.?svar                                     # Swedish
                  | svar.?ikke | ikke.?svar | intet.?svar | ingen.?svar                     # Danish, Norwegian
                  | (ala|ei).?vasta(a|usta|ta)                                              # Finnish
                  | neodpovid(at|ejte) | neodpoved(at|ajte)                                 # Czech, Slovak
                  | ne.?valaszol(j|jon|ni)                                                  # Hungarian
                  | nu.?raspund(e|eti|ere)                                                  # Romanian
                  | ne.?odgovar(jat|jaj|jajte|aj|ajte)                                      # Croatian, Slovenian
                  | (yanitlama|cevaplama)(yin|yiniz)?                                       # Turkish
                  | (mi|min).?apantate                                                      # Greek
                  | ne.?(otvechat|otvechaj|otvechajte|vidpovidaty|vidpovidajte)              # Russian, Ukrainian
                )($|[^a-z])
            )",
        )
        .expect("the pattern is well formed")
    });
    NO_REPLY.is_match(local_part)
}
