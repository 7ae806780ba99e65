//! Imports that were begun and did not come to their end, in a file of the data folder: the next one tells by it whether a
//! file of many mails is still as it was. What changed in it would come as another mail where nothing tells it from a new one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::{Plan, Stamp};

/// A file of many mails that was being imported.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    mailbox: String,
    path: String,
    stamp: Stamp,
}

/// The files of the plan that an interrupted import into the mailbox knew otherwise.
pub fn changed_since_interrupted(data: &Path, mailbox: &str, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let begun = read(data)?;
    let is_changed = |(path, stamp): &(String, Stamp)| {
        begun.iter().any(|begun| begun.mailbox == mailbox && begun.path == *path && begun.stamp != *stamp)
    };
    Ok(plan.mboxes().filter(is_changed).map(|(path, _)| path).collect())
}

/// Notes that the files of the plan are being imported.
pub(super) fn begin(data: &Path, mailbox: &str, plan: &Plan) -> anyhow::Result<()> {
    let mut begun = others(data, mailbox, plan)?;
    begun.extend(plan.mboxes().map(|(path, stamp)| Begun { mailbox: mailbox.to_owned(), path, stamp }));
    write(data, &begun)
}

/// They are imported.
pub(super) fn end(data: &Path, mailbox: &str, plan: &Plan) -> anyhow::Result<()> {
    write(data, &others(data, mailbox, plan)?)
}

fn others(data: &Path, mailbox: &str, plan: &Plan) -> anyhow::Result<Vec<Begun>> {
    let paths: Vec<String> = plan.mboxes().map(|(path, _)| path).collect();
    let mut begun = read(data)?;
    begun.retain(|begun| begun.mailbox != mailbox || !paths.contains(&begun.path));
    Ok(begun)
}

fn read(data: &Path) -> anyhow::Result<Vec<Begun>> {
    let path = file(data);
    let unreadable = || format!("{} cannot be read", path.display());
    match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => serde_json::from_slice(&read.with_context(unreadable)?).with_context(unreadable),
    }
}

/// What stands there is there after a loss of power as well: an import goes on from what the journal kept.
fn write(data: &Path, begun: &[Begun]) -> anyhow::Result<()> {
    let path = file(data);
    let written = if begun.is_empty() {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    } else {
        let beside = path.with_extension("new");
        let text = serde_json::to_vec(begun)?;
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        };
        write()
    };
    let written = written.and_then(|()| File::open(data)?.sync_all());
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn file(data: &Path) -> PathBuf {
    data.join("import-unfinished.json")
}
