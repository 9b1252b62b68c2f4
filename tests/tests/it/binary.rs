//! Where the binary is: built once per process by the same cargo, in the same profile, unless `MAINSPRING_BIN` names one.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// The binary under test.
pub fn path() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("MAINSPRING_BIN").map_or_else(build, PathBuf::from))
}

/// The profile this test was built in, as cargo's option wants it.
fn profile() -> String {
    let test = env::current_exe().unwrap();
    let directory = test.ancestors().find(|place| place.file_name().is_some_and(|name| name == "deps"));
    let profile = directory.and_then(Path::parent).and_then(Path::file_name).and_then(|name| name.to_str());
    match profile {
        None | Some("debug") => "dev".to_owned(),
        Some(profile) => profile.to_owned(),
    }
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    // What cargo sets for a running test would make build scripts of dependencies run again.
    for (name, _) in env::vars_os() {
        let of_this_test = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "OUT_DIR"];
        if name.to_str().is_some_and(|name| of_this_test.iter().any(|prefix| name.starts_with(prefix))) {
            cargo.env_remove(name);
        }
    }
    let output = cargo
        .args(["build", "-p", "mainspring", "--bin", "mainspring", "--message-format=json", "--profile"])
        .arg(profile())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the binary cannot be built");
    let lines = String::from_utf8(output.stdout).unwrap();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back().expect("cargo names the executable")
}

/// A command that inherits nothing that could configure it.
pub fn command() -> Command {
    let mut command = Command::new(path());
    command.env_clear().envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"));
    // No load balancer has to be told of an end.
    command.env("DRAIN_DELAY", "0");
    command.env("LOG_LEVEL", "error").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

/// `verify` of a data directory nobody holds: its exit code and its document.
pub fn verify(data: &Path) -> (Option<i32>, Value) {
    let output = run(&["verify", "--data-dir", data.to_str().unwrap(), "--json"]);
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).into_owned()));
    (output.status.code(), document)
}

/// Fails unless log and read models are whole and equal.
pub fn assert_verified(data: &Path) {
    let (code, document) = verify(data);
    assert_eq!(code, Some(0), "verify: {document:#}");
    assert_eq!(
        (&document["log"]["ok"], &document["readModels"]["ok"]),
        (&true.into(), &true.into()),
        "{document:#}"
    );
}
