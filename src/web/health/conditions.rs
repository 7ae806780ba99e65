//! On what somebody should look (FT-30), decided from what was found. Pure.

use chrono::TimeDelta;

use crate::backup::last;
use crate::db::LOG_CRITICAL_BYTES;
use crate::db::disk::Room;
use crate::diagnostics::scrubbing;

/// How long something may wait for its turn.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(10);

/// What was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// How long what is due has waited: a job, a mail that came, a mail to be sent.
    pub queue_age: TimeDelta,
    /// Mail that came and could not be processed, and mail that did not arrive.
    pub failed_mail: i64,
    /// Accounts from which no mail can be fetched, and mails there that cannot.
    pub accounts_in_trouble: i64,
    pub mail_not_fetched: i64,
    pub room: Option<Room>,
    /// The write-ahead log of an embedded database.
    pub log_bytes: Option<u64>,
    pub backup: Backup,
    /// How long what was destroyed of captures has stood in the files nevertheless, if it may.
    pub owed: Option<TimeDelta>,
    /// How far the clock is ahead of when work last ran, where somebody has to confirm it.
    pub clock_ahead: Option<TimeDelta>,
    /// Stored files that could not be read when they were wanted.
    pub damaged_files: usize,
}

/// What is known of backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// The last one is this old.
    Made(TimeDelta),
    Never,
    /// The database is a server's, whose tools never told of one.
    LeftToTheServer,
    /// Somebody told of one, and what they noted cannot be read.
    Unclear,
}

impl Backup {
    /// How old the last one is, if anybody knows.
    pub fn age(self) -> Option<TimeDelta> {
        match self {
            Backup::Made(age) => Some(age.max(TimeDelta::zero())),
            Backup::Never | Backup::LeftToTheServer | Backup::Unclear => None,
        }
    }
}

/// One of the things to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub name: &'static str,
    pub is_well: bool,
    pub detail: String,
}

/// How things stand.
pub fn conditions(found: &Found) -> [Condition; 9] {
    let condition = |name, is_well, detail: String| Condition { name, is_well, detail };
    let waits = found.queue_age.num_seconds();
    let (has_room, room) = match found.room {
        Some(room) => (!room.is_low(), format!("{} of {} MiB free", room.free >> 20, room.whole >> 20)),
        None => (false, "its room cannot be read".to_owned()),
    };
    let (is_log_small, log) = match found.log_bytes {
        Some(bytes) => (bytes <= LOG_CRITICAL_BYTES, format!("{} MiB", bytes >> 20)),
        None => (true, "the server's own".to_owned()),
    };
    let (is_backed_up, backup) = match found.backup {
        Backup::Made(age) => (age <= last::OLDEST, format!("made {} hours ago", age.num_hours().max(0))),
        Backup::Never => (false, "none was made".to_owned()),
        Backup::Unclear => (false, "what was noted of the last one cannot be read".to_owned()),
        Backup::LeftToTheServer => (true, "left to the server's own tools, which never told of one".to_owned()),
    };
    let destroyed = match found.owed {
        Some(since) => format!("what was may stand in the files since {} minutes ago", since.num_minutes()),
        None => "nothing of it is left".to_owned(),
    };
    [
        condition("queue", found.queue_age <= LONGEST_WAIT, format!("the oldest has waited {waits} s")),
        condition("mail", found.failed_mail == 0, format!("{} failed", found.failed_mail)),
        condition(
            "fetching",
            found.accounts_in_trouble == 0 && found.mail_not_fetched == 0,
            format!(
                "{} accounts in trouble, {} mails not to be had",
                found.accounts_in_trouble, found.mail_not_fetched
            ),
        ),
        condition("disk", has_room, room),
        condition("log", is_log_small, log),
        condition("backup", is_backed_up, backup),
        condition("destroyed", found.owed.is_none_or(|since| since < scrubbing::LATE), destroyed),
        condition("files", found.damaged_files == 0, format!("{} missing or damaged", found.damaged_files)),
        condition(
            "clock",
            found.clock_ahead.is_none(),
            match found.clock_ahead {
                Some(ahead) => format!("{} hours ahead, nothing is removed until that is confirmed", ahead.num_hours()),
                None => "goes on as it did".to_owned(),
            },
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Found = Found {
        queue_age: TimeDelta::minutes(10),
        failed_mail: 0,
        accounts_in_trouble: 0,
        mail_not_fetched: 0,
        room: Some(Room { free: 10, whole: 100 }),
        log_bytes: Some(256 << 20),
        backup: Backup::Made(TimeDelta::hours(26)),
        owed: Some(TimeDelta::minutes(59)),
        clock_ahead: None,
        damaged_files: 0,
    };

    fn unwell(found: Found) -> Vec<&'static str> {
        conditions(&found).into_iter().filter(|condition| !condition.is_well).map(|condition| condition.name).collect()
    }

    #[test]
    fn ft_30_each_condition_flips_by_itself_just_past_its_limit() {
        assert!(unwell(WELL).is_empty());
        assert_eq!(unwell(Found { queue_age: TimeDelta::seconds(601), ..WELL }), ["queue"]);
        assert_eq!(unwell(Found { failed_mail: 1, ..WELL }), ["mail"]);
        assert_eq!(unwell(Found { accounts_in_trouble: 1, ..WELL }), ["fetching"]);
        assert_eq!(unwell(Found { mail_not_fetched: 1, ..WELL }), ["fetching"]);
        assert_eq!(unwell(Found { room: Some(Room { free: 9, whole: 100 }), ..WELL }), ["disk"]);
        assert_eq!(unwell(Found { room: None, ..WELL }), ["disk"]);
        assert_eq!(unwell(Found { log_bytes: Some((256 << 20) + 1), ..WELL }), ["log"]);
        let old = Backup::Made(TimeDelta::hours(26) + TimeDelta::seconds(1));
        assert_eq!(unwell(Found { backup: old, ..WELL }), ["backup"]);
        assert_eq!(unwell(Found { backup: Backup::Never, ..WELL }), ["backup"]);
        assert_eq!(unwell(Found { backup: Backup::Unclear, ..WELL }), ["backup"]);
        assert_eq!(unwell(Found { owed: Some(TimeDelta::hours(1)), ..WELL }), ["destroyed"]);
    }

    #[test]
    fn ft_30_of_a_server_nothing_is_claimed_that_only_its_own_tools_know() {
        let server = Found { log_bytes: None, backup: Backup::LeftToTheServer, ..WELL };
        assert!(unwell(server).is_empty());
        assert_eq!(server.backup.age(), None);
        let said: Vec<String> = conditions(&server).map(|condition| condition.detail).into();
        assert!(said[5].contains("never told"), "{said:?}");
    }
}
