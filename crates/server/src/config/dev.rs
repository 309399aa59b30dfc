//! The settings of `ordermill dev`: working values for everything, none of which `serve` accepts.
//!
//! Secrets are made once and kept in `DIR/dev.toml`, so that log-ins and links outlive a restart. This file must not make
//! accounts, start simulators or open the store.

use super::environment::Environment;
use super::file;
use super::load::{Loaded, Loading, Origin, Overrides, local_url};
use super::problem::{ConfigError, Problem};
use super::settings::{Config, Mode};
use super::table::{self, Setting};
use crate::app::Randomness;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where under our own address the simulated Stripe answers.
pub const STRIPE_PATH: &str = "/dev/stripe";
/// What the secrets made here begin with; `serve` refuses whatever does. The first is 12 bytes of valid base64.
pub const PREFIXES: [&str; 3] = [KEY_PREFIX, STRIPE_KEY_PREFIX, WEBHOOK_SECRET_PREFIX];
/// The demo account that transfers are simulated to.
pub const ACCOUNT_NUMBER: &str = "0000000000";

const KEY_PREFIX: &str = "ordermill/devkey";
const STRIPE_KEY_PREFIX: &str = "sk_test_dev_";
const WEBHOOK_SECRET_PREFIX: &str = "whsec_dev_";
/// Behind a prefix, as much as one HMAC key needs, and a multiple of three so that base64 needs no padding.
const RANDOM_BYTES: usize = 36;
/// The file in the data folder that keeps the secrets.
const FILE_NAME: &str = "dev.toml";
/// Only the owner reads and writes.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The settings of `ordermill dev`: built-in values, then `DIR/dev.toml` (made if it is not there), the environment, flags.
/// The data folder is made if it is not there.
pub fn dev_config(
    data_dir: Option<&Path>,
    listen: Option<SocketAddr>,
    environment: &Environment,
    randomness: &dyn Randomness,
) -> Result<Loaded, ConfigError> {
    build(data_dir, listen, environment, |path| make_or_read(path, randomness))
}

/// The same for a look ahead: nothing is made. Secrets that are not there yet are drawn and forgotten.
pub fn dev_preview(data_dir: Option<&Path>, environment: &Environment, randomness: &dyn Randomness) -> Result<Loaded, ConfigError> {
    build(data_dir, None, environment, |path| if path.exists() { read(path) } else { Ok(secrets_text(randomness)) })
}

fn build(
    data_dir: Option<&Path>,
    listen: Option<SocketAddr>,
    environment: &Environment,
    secrets: impl FnOnce(&Path) -> Result<String, String>,
) -> Result<Loaded, ConfigError> {
    let mut loading = Loading::new(Mode::Dev);
    for (section, key, text) in [
        ("server", "ops_listen", "127.0.0.1:0"),
        // Everybody comes from this machine, and scripts make many accounts at once.
        ("server", "login_per_minute", "0"),
        ("server", "register_per_minute", "0"),
        ("server", "forgot_per_minute", "0"),
        ("sepay", "bank_bin", "970436"),
        ("sepay", "account_number", ACCOUNT_NUMBER),
        ("sepay", "account_name", "ORDERMILL DEV"),
        ("mail", "from", "Ordermill Dev <shop@example.com>"),
        ("log", "format", "text"),
    ] {
        loading.put_dev(section, key, text);
    }
    let path = secrets_file(data_dir, environment, &loading.config);
    match secrets(&path) {
        Ok(text) => file::apply(&path, &text, &mut loading),
        Err(fault) => loading.problems.push(Problem::refusal(path.display().to_string(), fault)),
    }
    loading.apply_environment(environment);
    loading.apply_flags(&Overrides { config_file: None, data_dir: data_dir.map(Path::to_owned), listen });
    loading.follow();
    if !loading.is_given("stripe", "api_url") {
        let api_url = format!("{}{STRIPE_PATH}", loading.config.server.public_url);
        loading.put_dev("stripe", "api_url", &api_url);
    }
    refuse_missing_secrets(&path, &mut loading);
    loading.finish()
}

/// Whether `ordermill dev` has run in this data folder, so that its settings are the dev mode's.
pub fn is_dev_dir(data_dir: &Path) -> bool {
    data_dir.join(FILE_NAME).exists()
}

impl Loaded {
    /// What follows from listening there, once the port is known: the URLs that nobody has set.
    pub fn set_bound(&mut self, bound: SocketAddr) {
        self.config.server.listen = bound;
        if self.origin("server.public_url") == Some(&Origin::Default) {
            self.config.server.public_url = local_url(bound);
        }
        if self.origin("stripe.api_url") == Some(&Origin::Dev) {
            self.config.stripe.api_url = format!("{}{STRIPE_PATH}", self.config.server.public_url);
        }
        self.refresh();
    }
}

fn secrets_file(data_dir: Option<&Path>, environment: &Environment, config: &Config) -> PathBuf {
    let variable = table::find("", "data_dir").map(Setting::variable).unwrap_or_default();
    let data_dir = data_dir.or_else(|| environment.get(&variable).map(Path::new));
    data_dir.unwrap_or(&config.data_dir).join(FILE_NAME)
}

/// A file that was made by hand or by another version may lack what this one needs.
fn refuse_missing_secrets(path: &Path, loading: &mut Loading) {
    let config = &loading.config;
    let missing = [
        ("[server] secret_key", config.server.secret_key.is_empty()),
        ("[stripe] secret_key", config.stripe.secret_key.is_none()),
        ("[stripe] webhook_secrets", config.stripe.webhook_secrets.is_empty()),
    ];
    // Where something is wrong already, what is missing is its consequence.
    if !loading.problems.is_empty() {
        return;
    }
    for (title, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
        let problem = Problem::refusal(path.display().to_string(), format!("{title} is missing"));
        loading.problems.push(problem.with_hint("remove the file, and it is made anew"));
    }
}

/// The text of the secrets file. The fault completes a line that begins with its path.
fn make_or_read(path: &Path, randomness: &dyn Randomness) -> Result<String, String> {
    if !path.try_exists().map_err(|error| format!("cannot be read: {error}"))? {
        make(path, randomness).map_err(|error| format!("cannot be made: {error}"))?;
    }
    keep_private(path).map_err(|error| format!("cannot be kept from other users: {error}"))?;
    // Read back even when just made: if two processes made one at once, both use the one that stayed.
    read(path)
}

fn read(path: &Path) -> Result<String, String> {
    file::read_small(path).map_err(|error| format!("cannot be read: {error}"))
}

fn keep_private(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o777 == FILE_MODE { Ok(()) } else { std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE)) }
}

/// Makes the file so that it is there whole or not at all, whatever happens in between.
fn make(path: &Path, randomness: &dyn Randomness) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    let mut suffix = [0; 8];
    randomness.fill(&mut suffix);
    let draft = folder.join(format!(".{FILE_NAME}.{}", hex::encode(suffix)));
    let made = write_synced(&draft, &secrets_text(randomness)).and_then(|()| std::fs::rename(&draft, path));
    if let Err(error) = made {
        // What matters is why the file could not be made, not whether its draft could be removed.
        return match std::fs::remove_file(&draft) {
            Err(cleanup) if cleanup.kind() != ErrorKind::NotFound => Err(io::Error::other(format!("{error}; {cleanup}"))),
            _ => Err(error),
        };
    }
    File::open(folder)?.sync_all()
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn secrets_text(randomness: &dyn Randomness) -> String {
    let random = || {
        let mut bytes = [0; RANDOM_BYTES];
        randomness.fill(&mut bytes);
        bytes
    };
    format!(
        "# Made by `ordermill dev` and good for nothing else: `ordermill serve` refuses these secrets.\n\
         # Other settings may be added. Remove the file and it is made anew; log-ins and links then end.\n\
         [server]\n\
         secret_key = \"{KEY_PREFIX}{}\"\n\n\
         [stripe]\n\
         secret_key = \"{STRIPE_KEY_PREFIX}{}\"\n\
         webhook_secrets = [\"{WEBHOOK_SECRET_PREFIX}{}\"]\n",
        STANDARD.encode(random()),
        hex::encode(random()),
        hex::encode(random()),
    )
}
