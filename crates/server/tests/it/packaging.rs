//! What ships around the binary (the systemd unit, the image, the Debian package): every path is there, and every command
//! line and setting that is written there is one that this binary takes. `scripts/test --lane deploy` asks the tools themselves.

use crate::test_app::Folder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn run(arguments: &[String], variables: &BTreeMap<String, String>) -> Output {
    let folder = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordermill"));
    command.args(arguments).current_dir(&folder.0).env_clear().envs(variables).output().expect("the binary runs")
}

/// Whether the binary takes a command line: with `--help` behind it it does nothing, but refuses what it does not know.
fn takes(command_line: &[String]) -> bool {
    let (program, arguments) = command_line.split_first().expect("a program");
    let help = [arguments, &["--help".to_owned()]].concat();
    program.ends_with("/ordermill") && run(&help, &BTreeMap::new()).status.code() == Some(0)
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

/// The strings of a list such as `["a", "b"]`.
fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_unit_starts_this_binary_with_settings_that_it_has() {
    let unit = read("deploy/systemd/ordermill.service");
    let values = |key: &str| -> Vec<&str> { unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect() };
    let starts = values("ExecStart");
    assert!(starts.len() == 1 && takes(&words(starts[0])), "{starts:?}");
    assert!(!takes(&words(&format!("{} --no-such-flag", starts[0]))), "control: a flag that is none is refused");
    let folder = Folder::new();
    let mut variables = BTreeMap::new();
    for pair in values("Environment") {
        let (name, file) = pair.split_once("=%d/").unwrap_or_else(|| panic!("{pair} is no credential"));
        assert!(values("LoadCredential").iter().any(|credential| credential.starts_with(&format!("{file}:"))), "{file} is not loaded");
        std::fs::write(folder.0.join(file), secret(file)).expect("written");
        variables.insert(name.to_owned(), folder.0.join(file).display().to_string());
    }
    variables.insert("ORDERMILL__MAIL__FROM".to_owned(), "Shop <shop@example.com>".to_owned());
    let checked = run(&words("config check"), &variables);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    variables.insert("ORDERMILL__SERVER__NO_SUCH_KEY".to_owned(), "1".to_owned());
    assert_eq!(run(&words("config check"), &variables).status.code(), Some(2), "control: a setting that is none is refused");
    assert_eq!(values("RestartPreventExitStatus"), ["2"], "the exit code of wrong settings");
    let user = values("User")[0];
    assert!(read("deploy/systemd/ordermill.sysusers").lines().any(|line| line.starts_with(&format!("u {user} "))));
}

/// Something that each secret's own check takes.
fn secret(file: &str) -> &'static str {
    match file {
        "secret_key" => "3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs=",
        "stripe_key" => "sk_live_0123456789",
        "webhook_secrets" => "whsec_0123456789abcdef",
        "smtp_url" => "smtps://shop:secret@mail.example.com",
        other => panic!("what is {other}?"),
    }
}

#[test]
fn the_image_runs_this_binary_with_settings_that_it_has() {
    let file = read("Dockerfile").replace("\\\n", " ");
    let lines = |word: &str| -> Vec<String> {
        file.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).map(ToOwned::to_owned).collect()
    };
    let entry = list(&lines("ENTRYPOINT")[0]);
    assert!(takes(&[entry, list(&lines("CMD")[0])].concat()));
    let health = lines("HEALTHCHECK")[0].clone();
    assert!(takes(&list(health.split_once(" CMD ").expect("a command").1)), "{health}");
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for pair in lines("ENV").iter().flat_map(|line| words(line)) {
        let (name, value) = pair.split_once('=').expect("a pair");
        variables.insert(name.to_owned(), value.to_owned());
    }
    let shown = run(&words("config show -o csv"), &variables);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("server.listen,0.0.0.0:8080"), "{shown}");
    assert!(lines("EXPOSE").concat().contains("8080"));
    assert!(lines("USER").last().is_some_and(|user| !user.starts_with("root") && !user.starts_with('0')), "not as root");
    let ignored = read(".dockerignore");
    for line in lines("COPY").iter().filter(|line| !line.starts_with("--from")) {
        let paths = words(line);
        let (_, sources) = paths.split_last().expect("a target");
        for source in sources {
            assert!(root().join(source).exists(), "{source} is not there");
            assert!(ignored.lines().any(|line| line == format!("!{source}")), "{source} never reaches the builder");
        }
    }
    // What cannot be built, or installs something else than what is run, is found here and not by whoever builds the image.
    assert!(file.contains("--package ordermill") && file.contains("/src/target/release/ordermill /usr/bin/ordermill"));
    let rust: toml::Table = read("Cargo.toml").parse().expect("a manifest");
    let version = rust["workspace"]["package"]["rust-version"].as_str().expect("a version");
    assert!(file.contains(&format!("FROM rust:{version}-")), "the image builds with {version}");
}

#[test]
fn the_debian_package_has_what_it_names() {
    let manifest: toml::Table = read("crates/server/Cargo.toml").parse().expect("a manifest");
    let package = &manifest["package"]["metadata"]["deb"];
    assert_eq!(manifest["bin"][0]["name"].as_str(), Some("ordermill"));
    let mut installed = BTreeMap::new();
    for asset in package["assets"].as_array().expect("a list") {
        let part = |index: usize| asset[index].as_str().expect("text");
        let (source, target, mode) = (part(0), part(1), part(2));
        let is_there = source == "target/release/ordermill" || root().join("crates/server").join(source).exists();
        assert!(is_there, "{source} is not there");
        assert!(target.starts_with("usr/") && matches!(mode, "755" | "644"), "{target} {mode}");
        installed.insert(target.to_owned(), source.to_owned());
    }
    let unit = read("deploy/systemd/ordermill.service");
    let program = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")?.split(' ').next()).expect("a program");
    assert!(installed.contains_key(program.trim_start_matches('/')), "{program} is not installed");
    assert!(installed.keys().any(|target| target.ends_with("systemd/system/ordermill.service")));
    assert!(root().join("crates/server").join(package["license-file"][0].as_str().expect("a path")).exists());
}
