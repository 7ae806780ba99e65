//! A disk that fails at any call that is wished, and one that loses power: what was written and not synchronised is gone
//! (`tests/faults/disk.c`).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::process::Installation;

/// Compiles a file of `tests/faults` into what `LD_PRELOAD` takes.
pub fn compiled(source: &str, folder: &Path) -> PathBuf {
    let shim = folder.join(source).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults").join(source);
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&shim).arg(source).status();
    assert!(compiled.expect("this test needs a C compiler").success());
    shim
}

/// The disk under an installation's folder, as the processes see it that are started on it.
pub struct Disk {
    shim: PathBuf,
    root: PathBuf,
    /// Beside the installation, for its own folder is thrown away and made again.
    own: TempDir,
}

/// What a disk does at one call.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The number of the call, from 1.
    pub at: usize,
    pub errno: i32,
}

impl Disk {
    pub fn under(installation: &Installation) -> Disk {
        let own = tempfile::tempdir().unwrap();
        let shim = compiled("disk.c", own.path());
        let disk = Disk { shim, root: installation.data(), own };
        disk.settle();
        disk
    }

    /// `command` on this disk.
    pub fn carry(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("DISK_ROOT", &self.root).env("DISK_STABLE", self.stable());
    }

    /// The same on a disk that says that it has written what it has not.
    pub fn carry_lying(&self, command: &mut Command) {
        self.carry(command);
        command.env("DISK_LIES", "1");
    }

    /// The same, where each call is noted down while [`Disk::arm`] holds, and one may fail.
    pub fn carry_failing(&self, command: &mut Command, fault: Option<Fault>) {
        self.carry(command);
        command.env("DISK_ARMED", self.armed()).env("DISK_CALLS", self.calls_path());
        if let Some(fault) = fault {
            command.env("DISK_FAIL_AT", fault.at.to_string()).env("DISK_ERRNO", fault.errno.to_string());
        }
    }

    /// From now on calls count.
    pub fn arm(&self) {
        fs::write(self.armed(), "").unwrap();
    }

    /// From now on they do not, and those that did are forgotten.
    pub fn disarm(&self) {
        for path in [self.armed(), self.calls_path()] {
            // There is none where nothing was called.
            drop(fs::remove_file(path));
        }
    }

    /// The calls that counted: a number, the call and the file of each.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.calls_path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// All that is there is there for good.
    pub fn settle(&self) {
        drop(fs::remove_dir_all(self.stable()));
        for folder in ["i", "d"] {
            fs::create_dir_all(self.stable().join(folder)).unwrap();
        }
        for folder in folders(&self.root) {
            let mut names = String::new();
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let found = entry.metadata().unwrap();
                if found.is_dir() {
                    continue;
                }
                let birth = found.created().expect("a file system that knows when files were made");
                let birth = birth.duration_since(UNIX_EPOCH).unwrap();
                let name = format!("{}-{}{:09}", found.ino(), birth.as_secs(), birth.subsec_nanos());
                let mode = found.mode() & 0o7777;
                names.push_str(&format!("{name} {mode:o} {}\n", entry.file_name().to_str().unwrap()));
                if found.is_file() {
                    fs::copy(entry.path(), self.stable().join("i").join(name)).unwrap();
                }
            }
            fs::write(self.names_of(&folder), names).unwrap();
        }
    }

    /// The power is lost, after every process on it was: the folder holds what was synchronised, and nothing else.
    pub fn lose_power(&self) {
        for folder in folders(&self.root) {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                if !entry.metadata().unwrap().is_dir() {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
            // A folder of which nothing was synchronised has no names.
            for line in fs::read_to_string(self.names_of(&folder)).unwrap_or_default().lines() {
                let [name, mode, file] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let content = fs::read(self.stable().join("i").join(name)).unwrap_or_default();
                let file = folder.join(file);
                fs::write(&file, content).unwrap();
                let mode = u32::from_str_radix(mode, 8).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        self.settle();
    }

    fn names_of(&self, folder: &Path) -> PathBuf {
        let inside = folder.strip_prefix(&self.root).unwrap().to_str().unwrap().replace('/', "%");
        self.stable().join("d").join(if inside.is_empty() { "%" } else { &inside })
    }

    fn stable(&self) -> PathBuf {
        self.own.path().join("stable")
    }

    fn armed(&self) -> PathBuf {
        self.own.path().join("armed")
    }

    fn calls_path(&self) -> PathBuf {
        self.own.path().join("calls")
    }
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        let inside = fs::read_dir(folder).unwrap().map(Result::unwrap);
        found.extend(inside.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path()));
        next += 1;
    }
    found
}
