use proptest::prelude::*;

use super::*;

/// Asserts that `written` is kept and everything after it folded, and what holds for every text.
#[track_caller]
fn assert_written(text: &str, written: &str) {
    let reply = split(text);
    assert_eq!(reply.written.trim_end(), written.trim_end(), "in {text:?}");
    assert_laws(text);
}

#[track_caller]
fn assert_laws(text: &str) {
    let reply = split(text);
    assert_eq!(format!("{}{}", reply.written, reply.quoted), text, "something was lost");
    assert_eq!(split(reply.written), ReplyText { written: reply.written, quoted: "" }, "not stable: {text:?}");
}

#[test]
fn th_09_english_clients() {
    for below in [
        // Gmail, also wrapped
        "On Mon, Nov 16, 2026 at 10:32 AM Support <support@vendor.example> wrote:\n\n> Try this.\n> Bye\n",
        "On Mon, Nov 16, 2026 at 10:32 AM A Name That Is Rather Long\n<support@vendor.example> wrote:\n\n> Try this.\n",
        "On Mon, Nov 16, 2026 at 10:32 AM Support\n<support+very-long-address@vendor.example>\nwrote:\n> Try this.\n",
        // Apple Mail
        "On 16 Nov 2026, at 10:32, Support <support@vendor.example> wrote:\n> \n> Try this.\n",
        // Thunderbird
        "On 11/16/26 10:32, Support wrote:\n> Try this.\n",
        // Quoted without signs, as Yahoo and mobile clients do
        "On Monday, November 16, 2026 at 10:32:01 AM GMT+1, Support <support@vendor.example> wrote:\n\n  Try this.\n\n  Bye\n",
        // Outlook
        "-----Original Message-----\nFrom: Support\nSent: Monday\nTo: Anne\nSubject: RE: x\n\nTry this.\n",
        "________________________________\nFrom: Support <support@vendor.example>\nSent: Monday, November 16, 2026 10:32\n\
         To: Anne <anne@acme.example>\nSubject: RE: Screen\n\nTry this.\n",
        "From: Support <support@vendor.example>\nDate: Monday, 16 November 2026\nTo: Anne\nSubject: Screen\n\nTry this.\n",
        "*From:* Support <support@vendor.example>\n*Sent:* Monday\n*To:* Anne\n*Subject:* Screen\n\nTry this.\n",
        // Bare quotes, and an attribution of few words
        "> Try this.\n>> Screen is black\n",
        "Support wrote:\n> Try this.\n",
        "Sent from my iPhone\n\nOn 16 Nov 2026, at 10:32, Support <support@vendor.example> wrote:\n\n> Try this.\n",
        "Get Outlook for Android\n________________________________\nFrom: Support\nSent: Monday\nTo: A\n\nTry this.\n",
    ] {
        assert_written(&format!("It works now.\nThank you!\n\n{below}"), "It works now.\nThank you!");
    }
}

#[test]
fn th_09_french_clients() {
    for below in [
        "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a écrit :\n\n> Essayez ceci.\n",
        "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a\nécrit :\n\n> Essayez ceci.\n",
        "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a écrit\u{a0}:\n\n> Essayez ceci.\n",
        "Le lun. 16 nov. 2026 à 10:32, Support <support@vendor.example> a écrit\u{202f}:\n> Essayez ceci.\n",
        "Le 16/11/2026 à 10:32, Support a écrit :\n> Essayez ceci.\n",
        "Le 16 nov. 2026 à 10 h 32, Support a écrit :\n\nEssayez ceci.\n",
        "-----Message d'origine-----\nDe : Support\nEnvoyé : lundi\nÀ : Anne\nObjet : RE: x\n\nEssayez ceci.\n",
        "-----Message d\u{2019}origine-----\nDe\u{a0}: Support\n\nEssayez ceci.\n",
        "-------- Message original --------\nDe : Support\nDate : 16/11/2026 10:32\n\nEssayez ceci.\n",
        "De : Support <support@vendor.example>\nEnvoyé : lundi 16 novembre 2026 10:32\nÀ : Anne <anne@acme.example>\n\
         Objet : RE: Écran\n\nEssayez ceci.\n",
        "De\u{a0}: Support\nEnvoyé\u{a0}: lundi 16 novembre 2026\nÀ\u{a0}: Anne\nObjet\u{a0}: Écran\n\nEssayez ceci.\n",
        "Envoyé de mon iPhone\n\n> Le 16 nov. 2026 à 10:32, Support a écrit :\n> \n> Essayez ceci.\n",
        "Support a écrit :\n> Essayez ceci.\n",
    ] {
        assert_written(&format!("Cela marche.\nMerci !\n\n{below}"), "Cela marche.\nMerci !");
    }
}

/// What each client puts below an answer, in German, Spanish, Italian, Portuguese and Dutch.
#[test]
fn th_09_clients_in_other_languages() {
    for below in [
        // Gmail, Apple Mail, Thunderbird, Outlook, its forerunners, Yahoo, GMX
        "Am Mo., 16. Nov. 2026 um 10:32 Uhr schrieb Support <support@vendor.example>:\n\n> Versuchen Sie dies.\n",
        "Am Mo., 16. Nov. 2026 um 10:32 Uhr schrieb Support\n<support@vendor.example>:\n\n> Versuchen Sie dies.\n",
        "Am 16.11.2026 um 10:32 schrieb Support <support@vendor.example>:\n\nVersuchen Sie dies.\n",
        "Am 16.11.26 um 10:32 schrieb Support:\n> Versuchen Sie dies.\n",
        "________________________________\nVon: Support <support@vendor.example>\nGesendet: Montag, 16. November 2026 10:32\n\
         An: Anne\nBetreff: AW: x\n\nVersuchen Sie dies.\n",
        "-----Ursprüngliche Nachricht-----\nVon: Support\n\nVersuchen Sie dies.\n",
        "Am Montag, 16. November 2026 um 10:32:01 MEZ hat Support <s@v.example> Folgendes geschrieben:\n\nVersuchen Sie dies.\n",
        "Gesendet: Montag, 16. November 2026 um 10:32 Uhr\nVon: \"Support\" <s@v.example>\nAn: anne@acme.example\nBetreff: Re: x\nVersuch\n",
        "Von meinem iPhone gesendet\n\n> Am 16.11.2026 um 10:32 schrieb Support <s@v.example>:\n> \n> Versuchen Sie dies.\n",
        // Spanish
        "El lun, 16 nov 2026 a las 10:32, Support (<support@vendor.example>) escribió:\n\n> Pruebe esto.\n",
        "El 16 nov 2026, a las 10:32, Support <support@vendor.example> escribió:\n\nPruebe esto.\n",
        "De: Support <support@vendor.example>\nEnviado: lunes, 16 de noviembre de 2026 10:32\nPara: Anne\nAsunto: RE: x\n\nPruebe esto.\n",
        "De: Support\nEnviado el: lunes, 16 de noviembre de 2026\nPara: Anne\nAsunto: x\n\nPruebe esto.\n",
        "-----Mensaje original-----\nDe: Support\n\nPruebe esto.\n",
        "Enviado desde mi iPhone\n\n> El 16 nov 2026, a las 10:32, Support escribió:\n> Pruebe esto.\n",
        // Italian
        "Il giorno lun 16 nov 2026 alle ore 10:32 Support <support@vendor.example> ha scritto:\n\n> Provi questo.\n",
        "Il 16/11/2026 10:32, Support ha scritto:\n> Provi questo.\n",
        "Il giorno 16 nov 2026, alle ore 10:32, Support <s@v.example> ha scritto:\n\nProvi questo.\n",
        "Da: Support <s@v.example>\nInviato: lunedì 16 novembre 2026 10:32\nA: Anne\nOggetto: R: x\n\nProvi questo.\n",
        "-----Messaggio originale-----\nDa: Support\n\nProvi questo.\n",
        "Inviato da iPhone\n\n> Il giorno 16 nov 2026, Support ha scritto:\n> Provi questo.\n",
        // Portuguese
        "Em seg., 16 de nov. de 2026 às 10:32, Support <s@v.example> escreveu:\n\n> Tente isto.\n",
        "No dia 16/11/2026, às 10:32, Support <s@v.example> escreveu:\n\nTente isto.\n",
        "Support <s@v.example> escreveu (segunda, 16/11/2026 à(s) 10:32):\n\n> Tente isto.\n",
        "De: Support <s@v.example>\nEnviado: 16 de novembro de 2026 10:32\nPara: Anne\nAssunto: RE: x\n\nTente isto.\n",
        "De: Support\nEnviada em: segunda-feira, 16 de novembro de 2026\nPara: Anne\nAssunto: x\n\nTente isto.\n",
        "-----Mensagem original-----\nDe: Support\n\nTente isto.\n",
        "Enviado do meu iPhone\n\n> Em 16 de nov. de 2026, Support escreveu:\n> Tente isto.\n",
        // Dutch
        "Op ma 16 nov 2026 om 10:32 schreef Support <support@vendor.example>:\n\n> Probeer dit.\n",
        "Op 16 nov 2026 om 10:32 heeft Support <s@v.example> het volgende geschreven:\n\nProbeer dit.\n",
        "Op 16-11-2026 om 10:32 schreef Support:\n> Probeer dit.\n",
        "Van: Support <s@v.example>\nVerzonden: maandag 16 november 2026 10:32\nAan: Anne\nOnderwerp: RE: x\n\nProbeer dit.\n",
        "-----Oorspronkelijk bericht-----\nVan: Support\n\nProbeer dit.\n",
        "Verstuurd vanaf mijn iPhone\n\n> Op 16 nov 2026 om 10:32 heeft Support het volgende geschreven:\n> Probeer dit.\n",
    ] {
        assert_written(&format!("Merci, c’est bon.\nAnne\n\n{below}"), "Merci, c’est bon.\nAnne");
    }
}

/// The web mails of Proton, Orange, Free and La Poste.
#[test]
fn th_09_web_mails() {
    for below in [
        "Sent with Proton Mail secure email.\n\nOn Monday, November 16th, 2026 at 10:32 AM, Support <s@v.example> wrote:\n\n> Try this.\n",
        "-------- Original Message --------\nOn 11/16/26 10:32, Support <s@v.example> wrote:\n\n> Try this.\n",
        "Envoyé avec Proton Mail.\n\nLe lundi 16 novembre 2026 à 10:32, Support <s@v.example> a écrit :\n\n> Essayez.\n",
        "> Message du 16/11/26 10:32\n> De : \"Support\" <s@v.example>\n> A : anne@orange.example\n> Copie à : \n> Objet : x\n> \n> Essayez.\n",
        "envoyé : 16 novembre 2026 à 10:32\nde : Support <s@v.example>\nà : anne@orange.example\nobjet : x\n\nEssayez.\n",
        "----- Mail original -----\nDe: \"Support\" <s@v.example>\nÀ: \"Anne\" <anne@free.example>\n\
         Envoyé: Lundi 16 Novembre 2026 10:32:00\nObjet: x\n\nEssayez.\n",
        "De: \"Support\" <s@v.example>\nÀ: \"Anne\" <anne@free.example>\nEnvoyé: Lundi 16 Novembre 2026 10:32:00\nObjet: x\n\nEssayez.\n",
        "De : \"Support\"\nA : anne@laposte.example\nEnvoyé: lundi 16 novembre 2026 10:32\nObjet : x\n\nEssayez.\n",
        "Le lundi 16 novembre 2026 à 10:32:01 UTC+1, Support <s@v.example> a écrit :\n\nEssayez.\n",
    ] {
        assert_written(&format!("Merci, c’est bon.\n\n{below}"), "Merci, c’est bon.");
    }
}

#[test]
fn b_20_the_armour_of_a_signature_is_folded() {
    let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nIt works.\n";
    let armour = "-----BEGIN PGP SIGNATURE-----\n\niQIzBAEB\n=abcd\n-----END PGP SIGNATURE-----\n";
    assert_written(&format!("{signed}{armour}"), signed);
    assert_written(&format!("{signed}\nOn 16 Nov 2026, at 10:32, S <s@v.example> wrote:\n> x\n{armour}"), signed);
    assert!(is_signed(&format!("{signed}{armour}")) && !is_signed(armour));
    let request = format!("{signed}\n> quoted words\n{armour}");
    assert_eq!(split_signature(&request).written, format!("{signed}\n> quoted words\n"));
    let encrypted = "Hello\n-----BEGIN PGP MESSAGE-----\n\nhQIMA\n-----END PGP MESSAGE-----\n";
    assert!(is_encrypted(encrypted) && !is_encrypted(&format!("> {encrypted}").replace("\n", "\n> ")));
    assert!(is_written_encrypted(encrypted));
    assert!(!is_written_encrypted(&format!("Yes.\n\n-----Original Message-----\nFrom: S\n\n{encrypted}")));
    assert_eq!(split_encrypted(encrypted).written, "Hello\n");
}

#[test]
fn of_a_first_request_only_the_signature_is_folded() {
    let request = "Hello\n\nOn 16 Nov 2026, at 10:32, S <s@v.example> wrote:\n> x\n";
    assert_eq!(split_signature(request).written, request);
    assert_eq!(split_signature("Hello\n\n-- \nAnne\n\nSent from my iPhone\n").written, "Hello\n");
    assert_eq!(split_signature("-- \nAnne\n").written, "-- \nAnne\n");
}

#[test]
fn our_own_marker_line_begins_the_history() {
    let marker = marker_line("Répondez au-dessus de cette ligne");
    assert_eq!(marker, "##- Répondez au-dessus de cette ligne -##");
    assert_written(&format!("Merci !\n\n{marker}\n\nBonjour,\nessayez ceci.\n"), "Merci !");
    // Quoted with signs, there may be answers below it.
    let inline = format!("> {marker}\n> Does it work?\nYes.\n");
    assert_written(&inline, &inline);
}

#[test]
fn answers_between_quotes_stay_written() {
    let inline = "On 16 Nov 2026, at 10:32, Support <support@vendor.example> wrote:\n> Which version?\n\n2.4\n\n> Which system?\n\nLinux\n";
    assert_written(inline, inline);
    assert_written(&format!("{inline}\n> Bye\n> Support\n"), inline);
}

#[test]
fn an_answer_below_the_quote_stays_written() {
    let below = "Le 16/11/2026 à 10:32, Support a écrit :\n> Quelle version ?\n\nLa 2.4.\n";
    assert_written(below, below);
}

#[test]
fn signatures_are_folded_and_dashes_in_a_text_are_not() {
    assert_written("Hello\n\n-- \nAnne\nAcme\n", "Hello");
    assert_written("Hello\r\n\r\n-- \r\nAnne\r\n", "Hello");
    assert_written("Hello\n-- \nAnne\n\nOn 16 Nov 2026, at 10:32, S <s@v.example> wrote:\n> x\n", "Hello");
    assert_written("Hello\n\nEnvoyé de mon iPhone\n", "Hello");
    let list = format!("First\n--\n{}", "a line\n".repeat(20));
    assert_written(&list, &list);
}

#[test]
fn what_only_resembles_history_stays_written() {
    for text in [
        "On Monday he wrote:\nnothing at all.\n",
        "On Monday at 10:30 he wrote:\nnothing at all.\n",
        "Am Montag um 10:30 schrieb er mir:\nalles steht.\n",
        "Op 16 november om 10:30 schreef de klant:\nniets.\n",
        "De : Paris\nÀ : Lyon\nle train est en retard.\n",
        "Le trajet :\nDe : Paris\nÀ : Lyon\nDate : lundi 16 novembre 2026\nIl manque sur la facture.\n",
        "From: Paris\nTo: Lyon\nDate: 16 November 2026\nis missing from the list.\n",
        "Bonjour,\n\nLe 16/11/2026 à 10h32, j'ai écrit :\nl'écran est noir.\n",
        "Le 16/11/2026 à 10h32, le client m'a écrit :\nl'écran est noir.\n",
        "Le 16/11/2026 à 10h32, le client a écrit :\nl'écran est noir.\n",
        "Le 16/11/2026 à 10:32, Bob <bob@acme.example> m\u{2019}a écrit :\nl'écran est noir.\n",
        "On 16 Nov 2026 at 10:32 I wrote:\nthe screen is black.\n",
        "On 16 Nov 2026 at 10:32, the customer wrote:\nthe screen is black.\n",
        "Am 16.11.2026 um 10:32 schrieb ich:\nder Schirm ist schwarz.\n",
        "Am 16.11.2026 um 10:32 schrieb der Kunde:\nder Schirm ist schwarz.\n",
        "El 16/11/2026 a las 10:32, el cliente me escribió:\nla pantalla está negra.\n",
        "Il 16/11/2026 alle 10:32 il cliente mi ha scritto:\nlo schermo è nero.\n",
        "Op 16-11-2026 om 10:32 schreef de klant:\nhet scherm is zwart.\n",
        "From: here\nnothing follows\n",
        "Le client a écrit :\nbonjour\n",
        "The log says\n-----\nerror 5\n-----\nand stops.\n",
        "The log ends with\n-----\n\n",
        "a > b\n",
        "Original message was lost.\n",
    ] {
        assert_written(text, text);
    }
}

#[test]
fn a_forwarded_mail_is_left_whole() {
    for text in [
        "See below.\n\n---------- Forwarded message ---------\nDe : Bob\nDate : 16/11/2026\nSubject: x\nTo: Anne\n\nIt broke.\n",
        "Begin forwarded message:\n\n> From: Bob\n> Subject: x\n>\n> It broke.\n",
        "Voir ci-dessous\n-------- Message transféré --------\nDe : Bob\nDate : lundi\nObjet : x\n\nPanne.\n\n> encore\n",
    ] {
        assert_written(text, text);
    }
    // Unless it was part of the history.
    assert_written("Merci\n\n-----Original Message-----\nx\n---------- Forwarded message ---------\ny\n", "Merci");
}

#[test]
fn a_text_that_is_all_history_counts_as_written() {
    for text in
        ["> only\n> this\n", "-- \nAnne\n", "-----Original Message-----\nFrom: x\n", "\n\n> x\n", "", "\n", "   "]
    {
        assert_eq!(split(text), ReplyText { written: text, quoted: "" });
    }
}

#[test]
fn l_14_past_the_limit_nothing_is_searched() {
    let long = "text\n".repeat(LONGEST_SEARCHED / 5 + 10);
    let reply = format!("{long}> quote\n");
    assert_eq!(split(&reply).written, reply);
    let early = format!("Yes.\n\n-----Original Message-----\n{long}");
    assert_written(&early, "Yes.");
    let one_line = "é".repeat(LONGEST_SEARCHED);
    assert_eq!(split(&one_line).written, one_line);
}

#[test]
fn b_19_hostile_quotes_take_no_time() {
    // Each would take minutes if the work grew with the square of the length.
    for piece in [
        ">",
        "> \n",
        "On Mon, 1 Jan 2026 at 10:32, a <b@c.example>\n",
        "On wrote:\n",
        "-- \n",
        "From: x\n",
        "##-",
        "a\n\n",
    ] {
        let text = piece.repeat(LONGEST_SEARCHED / piece.len());
        let reply = split(&text);
        assert_eq!(reply.written.len() + reply.quoted.len(), text.len());
    }
}

/// Lines that matter here, in any order.
fn mail_text() -> impl Strategy<Value = String> {
    let line = proptest::sample::select(vec![
        "",
        "Hello",
        "> quote",
        ">> deeper",
        "-- ",
        "--",
        "Anne",
        "On 16 Nov 2026, at 10:32, S <s@v.example> wrote:",
        "On Monday 16 November 2026 at 10:32 somebody with a name",
        "<s@v.example> wrote:",
        "wrote:",
        "Le 16/11/2026 à 10:32, S a écrit :",
        "S a écrit :",
        "-----Original Message-----",
        "From: S",
        "Sent: Monday",
        "To: A",
        "Subject: x",
        "De : S",
        "Envoyé : lundi",
        "________________________",
        "-----",
        "Sent from my iPhone",
        "---------- Forwarded message ---------",
        "##- x -##",
        "\u{a0}",
        "é",
    ]);
    let ending = proptest::sample::select(vec!["\n", "\r\n"]);
    proptest::collection::vec((line, ending), 0..14)
        .prop_map(|lines| lines.into_iter().flat_map(|(line, ending)| [line, ending]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_and_splitting_again_changes_nothing(text in mail_text()) {
        let reply = split(&text);
        prop_assert_eq!(format!("{}{}", reply.written, reply.quoted), text.clone());
        prop_assert_eq!(split(reply.written), ReplyText { written: reply.written, quoted: "" });
    }

    #[test]
    fn nothing_is_lost_of_any_text(text in "(?s).{0,200}") {
        let reply = split(&text);
        prop_assert_eq!(format!("{}{}", reply.written, reply.quoted), text.clone());
        prop_assert_eq!(split(reply.written), ReplyText { written: reply.written, quoted: "" });
    }
}
