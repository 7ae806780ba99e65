//! What a mail server says of a mail which it pipes into a program: the variables `RECIPIENT`, `SENDER` and `EXTENSION`.
//! They come from outside, so they are read strictly: anything odd is no value at all, or a refusal where it matters.

/// The longest value that a mail server sets.
const LONGEST: usize = 320;

/// The variables that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailEnvironment {
    /// What the mail is for, one word with an `@`; whether it is an address is seen by who uses it.
    pub recipient: Option<String>,
    /// The envelope's sender; `<>` for the null sender.
    pub sender: Option<String>,
    /// What stood after the `+` of the recipient.
    pub extension: Option<String>,
}

impl MailEnvironment {
    /// Reads the environment of the process.
    pub fn read() -> Result<MailEnvironment, String> {
        #[expect(clippy::disallowed_methods, reason = "settings and their like are read in config only")]
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        #[expect(clippy::disallowed_methods, reason = "settings and their like are read in config only")]
        let is_set = std::env::var("SENDER").is_ok();
        let sender = variable("SENDER").or_else(|| is_set.then(|| "<>".to_owned()));
        MailEnvironment::parse(variable("RECIPIENT"), sender, variable("EXTENSION"))
    }

    /// The same from values.
    pub fn parse(
        recipient: Option<String>,
        sender: Option<String>,
        extension: Option<String>,
    ) -> Result<MailEnvironment, String> {
        if let Some(recipient) = &recipient
            && !(is_plain(recipient) && recipient.contains('@'))
        {
            return Err("the variable RECIPIENT is not an address".to_owned());
        }
        let sender = sender.and_then(|sender| MailEnvironment::sender_of(&sender));
        let is_word = |text: &String| {
            is_plain(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_=".contains(&byte))
        };
        Ok(MailEnvironment { recipient, sender, extension: extension.filter(is_word) })
    }

    /// The sender as it is kept; one that is odd is not known. Only whether a machine wrote the mail matters;
    /// `MAILER-DAEMON` is how some say the null sender.
    pub fn sender_of(said: &str) -> Option<String> {
        let is_null = said.eq_ignore_ascii_case("mailer-daemon");
        is_plain(said).then(|| if is_null { "<>".to_owned() } else { said.to_owned() })
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn s_07_the_environment_is_read_strictly() {
        let read = MailEnvironment::parse(owned("r@reply.example"), owned("a@b.example"), owned("token")).unwrap();
        assert_eq!(read.recipient.as_deref(), Some("r@reply.example"));
        assert_eq!((read.sender.as_deref(), read.extension.as_deref()), (Some("a@b.example"), Some("token")));
        assert!(MailEnvironment::parse(owned("no address"), None, None).is_err());
        assert!(MailEnvironment::parse(owned("a@b.example\n"), None, None).is_err());
        let odd = MailEnvironment::parse(None, owned("a b\r\n"), owned("../x")).unwrap();
        assert_eq!(odd, MailEnvironment::default());
        let null = MailEnvironment::parse(None, owned("MAILER-DAEMON"), None).unwrap();
        assert_eq!(null.sender.as_deref(), Some("<>"));
    }
}
