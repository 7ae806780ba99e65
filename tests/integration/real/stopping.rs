//! Telling the program to stop, and starting a second one beside it.

use std::time::{Duration, Instant};

use super::http;
use super::process::{Installation, Kind};

#[test]
#[ignore = "needs processes of its own"]
fn real_ft_25_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let installation = Installation::empty(Kind::Sqlite);
    let first = installation.serve();
    for command in ["serve", "migrate"] {
        let began = Instant::now();
        let second = installation.command(&[command]).output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(1), "{command} took {:?}", began.elapsed());
        assert!(!second.status.success());
        let said = String::from_utf8_lossy(&second.stderr);
        assert!(said.contains("another Accord uses the data in"), "{command} says {said:?}");
    }
    let worker = installation.command(&["worker"]).output().unwrap();
    assert!(!worker.status.success());
    assert_eq!(http::get(first.address, "/readyz").unwrap().status, 200);
    let (status, _) = first.stop();
    assert!(status.success());
    // The lock went with its process.
    installation.serve();
}
