//! Which name servers are asked: those of this machine, as it names them by now. A desk may be up before the network is, and
//! a network may change.

use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use mail_auth::hickory_resolver::config::{ResolverConfig, ResolverOpts};
use mail_auth::hickory_resolver::system_conf::read_system_conf;

use super::QUESTION;
use crate::clock::UtcTime;

/// How long what the machine said is believed.
const BELIEVED: TimeDelta = TimeDelta::seconds(30);

/// What is asked, and how.
pub(super) type Asked = (ResolverConfig, ResolverOpts);

/// See the module.
pub(super) struct NameServers {
    read: Box<dyn Fn() -> Result<Asked, String> + Send + Sync>,
    known: Mutex<Option<(Asked, UtcTime)>>,
}

impl NameServers {
    /// Those which `read` gives.
    pub(super) fn new(read: impl Fn() -> Result<Asked, String> + Send + Sync + 'static) -> NameServers {
        NameServers { read: Box::new(read), known: Mutex::default() }
    }

    /// Those to be asked now; the last ones known where the machine names none, and nothing as long as it never did.
    pub(super) fn at(&self, now: UtcTime) -> Option<Asked> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went back must not make them be believed for long.
        let is_believed = |read_at: UtcTime| (TimeDelta::zero()..BELIEVED).contains(&now.since(read_at));
        if !known.as_ref().is_some_and(|(_, read_at)| is_believed(*read_at))
            && let Ok(asked) = (self.read)()
        {
            *known = Some((asked, now));
        }
        known.as_ref().map(|(asked, _)| asked.clone())
    }
}

/// Those of the machine. DNSSEC stays off, whatever the machine says: see deny.toml.
pub(in crate::mail) fn of_this_machine() -> Result<Asked, String> {
    let (config, mut options) = read_system_conf().map_err(|error| error.to_string())?;
    (options.validate, options.trust_anchor) = (false, None);
    (options.timeout, options.attempts) = (QUESTION, 1);
    // Names in mail are whole.
    let (_, _, servers) = config.into_parts();
    Ok((ResolverConfig::from_parts(None, Vec::new(), servers), options))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mail::sender_check::tests::asking_options;

    #[test]
    fn au_04_a_network_that_comes_later_or_changes_is_noticed() {
        let port = Arc::new(Mutex::new(None));
        let named = port.clone();
        let servers = NameServers::new(move || {
            let port: Option<u16> = *named.lock().unwrap();
            port.map(|port| asking_options(([127, 0, 0, 1], port).into())).ok_or_else(|| "none".to_owned())
        });
        let now = UtcTime::from_seconds(1_800_000_000);
        let asked = |seconds: i64| {
            let (config, _) = servers.at(now.plus(TimeDelta::seconds(seconds)))?;
            Some(config.name_servers()[0].connections[0].port)
        };
        assert_eq!(asked(0), None);
        *port.lock().unwrap() = Some(5_301);
        assert_eq!(asked(1), Some(5_301));
        *port.lock().unwrap() = Some(5_302);
        assert_eq!((asked(2), asked(31), asked(-3_600)), (Some(5_301), Some(5_302), Some(5_302)));
        *port.lock().unwrap() = None;
        assert_eq!(asked(3_600), Some(5_302), "it may be written anew at this moment");
    }
}
