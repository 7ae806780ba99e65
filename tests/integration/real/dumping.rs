//! What the process holds in memory does not get out of it: no core dump, and nothing in the swap space of the keys that
//! are destroyed with what they open.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use accord::clock::Clock;
use accord::consent::{Component, Level, Scope};
use accord::keys::Keys;
use rustix::process::{Pid, Signal, kill_process};

use super::customer::Customer;
use super::process::{Installation, Kind, PATIENCE, Server, wait_until};
use crate::support::granted;

/// The same command, allowed to dump as much as it likes into `folder`.
fn allowed_to_dump(command: &Command, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(folder);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
#[ignore = "needs processes of its own"]
fn real_a_process_that_is_killed_by_a_fault_leaves_no_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Command::new("sh");
    other.args(["-c", "kill -ABRT $$"]);
    let dumped = allowed_to_dump(&other, folder.path()).status().unwrap();
    assert!(
        dumped.core_dumped(),
        "this machine dumps nothing of any process, so nothing can be told of ours: {dumped}"
    );

    let installation = Installation::empty(Kind::Sqlite);
    let (command, address, metrics) = installation.serve_command(&[]);
    let mut server = Server::start(allowed_to_dump(&command, folder.path()), installation.log(), address, metrics);
    kill_process(Pid::from_raw(server.id().try_into().unwrap()).unwrap(), Signal::ABORT).unwrap();
    let status = server.wait();
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false), "{status}");
}

/// KiB of memory that the process may not write to the swap space.
fn locked_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("Linux");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "needs processes of its own"]
fn real_the_key_of_a_capture_stands_in_memory_that_is_never_swapped_out() {
    let installation = Installation::empty(Kind::Sqlite);
    let now = Clock::system().now();
    let people = granted::set_up(&mut installation.database(), now).unwrap();
    let server = installation.serve();
    let keys = Keys::load_or_create(&installation.data().join("keys.json"), now).unwrap();
    let mut db = installation.database();
    let scope = Scope::of(&[Component::Pages], Level::Info, Vec::new());
    people.grant_of(&mut db, &keys, scope, Clock::system().now()).unwrap();
    let claire = Customer::sign_in(&mut db, &keys, people.customer, now).unwrap();
    wait_until("a capture has its key", PATIENCE, || {
        assert_eq!(claire.get(server.address, "/requests").unwrap().status, 200);
        // The page that is tried at the start is one of them; the key, and the one for tags of what is masked, want two.
        locked_kib(&server) >= 8
    });
    assert!(!installation.said().contains("swap"), "{}", installation.said());
}
