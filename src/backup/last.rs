//! When the last backup was made: a line in the data folder, which whoever makes one writes and whoever watches reads
//! (FT-30). Of a server's database only its own tools know, unless they tell.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::PathBuf;

use chrono::TimeDelta;

use crate::clock::UtcTime;
use crate::config::Config;

/// A backup that is older was not made last night.
pub const OLDEST: TimeDelta = TimeDelta::hours(26);
/// How far ahead of ours the clock of whoever made one may be. A time beyond that would hide that none is made any more.
const AHEAD: TimeDelta = TimeDelta::hours(1);

/// Notes that a backup was made `now`.
pub fn note(config: &Config, now: UtcTime) -> io::Result<()> {
    let path = path(config);
    let beside = path.with_added_extension("new");
    // What is there is removed and not written into: it may be a link to somebody's file.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().create_new(true).write(true).open(&beside)?;
    // Whoever makes backups may be another user than the one who serves and reads this.
    let folder = std::fs::metadata(&config.data)?;
    if file.metadata()?.uid() != folder.uid() {
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    writeln!(file, "{}", now.rfc3339())?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)
}

/// When the last backup was made, if anybody noted one. What is no time, or one that is yet to come, is an error.
pub fn find(config: &Config, now: UtcTime) -> io::Result<Option<UtcTime>> {
    let text = match std::fs::read_to_string(path(config)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let made = UtcTime::parse_rfc3339(text.trim()).filter(|made| now.since(*made) >= -AHEAD);
    made.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn path(config: &Config) -> PathBuf {
    config.data.join("last-backup")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Overrides, parse};

    #[test]
    fn ft_30_the_last_backup_is_known_and_one_of_another_time_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data: Some(folder.path().to_owned()), ..Overrides::default() };
        let config = parse("", BTreeMap::new(), &overrides).unwrap();
        let now = UtcTime::from_seconds(1_800_000_000);
        assert_eq!(find(&config, now).unwrap(), None);
        note(&config, now).unwrap();
        assert_eq!(find(&config, now).unwrap(), Some(now));
        let later = now.plus(TimeDelta::days(400));
        assert_eq!(find(&config, later).unwrap(), Some(now), "an old one is known as such");
        note(&config, later).unwrap();
        assert!(find(&config, now).is_err(), "a clock that was wrong hides nothing");
        std::fs::write(path(&config), "yesterday").unwrap();
        assert!(find(&config, now).is_err());
    }

    #[test]
    fn what_stands_where_it_is_written_first_is_not_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data: Some(folder.path().to_owned()), ..Overrides::default() };
        let config = parse("", BTreeMap::new(), &overrides).unwrap();
        let somebodys = folder.path().join("somebody's");
        std::fs::write(&somebodys, "theirs").unwrap();
        std::os::unix::fs::symlink(&somebodys, path(&config).with_added_extension("new")).unwrap();
        let now = UtcTime::from_seconds(1_800_000_000);
        note(&config, now).unwrap();
        assert_eq!(find(&config, now).unwrap(), Some(now));
        assert_eq!(std::fs::read_to_string(&somebodys).unwrap(), "theirs");
    }
}
