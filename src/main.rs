//! Runs the command line and hands its exit code to the operating system.

use std::process::ExitCode;

fn main() -> ExitCode {
    accord::cli::run()
}
