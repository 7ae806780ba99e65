//! When the last backup was made: a line in the data folder, which whoever makes one writes and whoever watches reads
//! (FT-30). Of a server's database only its own tools know, unless they tell.

use std::fs::File;
use std::io::{self, Write};
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
    let mut file = File::create(&beside)?;
    writeln!(file, "{}", now.rfc3339())?;
    file.sync_all()?;
    std::fs::rename(&beside, &path)
}

/// When the last backup was made, as far as anybody noted.
pub fn find(config: &Config, now: UtcTime) -> Option<UtcTime> {
    let text = std::fs::read_to_string(path(config)).ok()?;
    UtcTime::parse_rfc3339(text.trim()).filter(|made| now.since(*made) >= -AHEAD)
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
        assert_eq!(find(&config, now), None);
        note(&config, now).unwrap();
        assert_eq!(find(&config, now), Some(now));
        let later = now.plus(TimeDelta::days(400));
        assert_eq!(find(&config, later), Some(now), "an old one is known as such");
        note(&config, later).unwrap();
        assert_eq!(find(&config, now), None, "a clock that was wrong hides nothing");
        std::fs::write(path(&config), "yesterday").unwrap();
        assert_eq!(find(&config, now), None);
    }
}
