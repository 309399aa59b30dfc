//! From defaults, a file, the environment and flags to one [`Config`], with the origin of every value.
//!
//! Later layers win, but a fault in an earlier one is still a fault. This file must not judge whether the settings are safe
//! to serve with; `serve.rs` does.

use super::environment::Environment;
use super::field::Given;
use super::file;
use super::problem::{ConfigError, Problem, did_you_mean};
use super::settings::{
    CacheConfig, Config, Format, LogConfig, MailConfig, Mode, OrdersConfig, OtelConfig, SepayConfig, ServerConfig, StoreConfig,
    StripeConfig, WorkerConfig,
};
use super::store_url::StoreUrl;
use super::table::{self, Preset, SETTINGS, Setting, VARIABLE_PREFIX};
use ordermill_core::money::Currency;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The file that is looked for when no flag names one.
const FILE_NAME: &str = "ordermill.toml";
/// The store in the data folder, when no URL names another.
const STORE_FILE_NAME: &str = "ordermill.db";

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--config FILE`: this file, which must exist.
    pub config_file: Option<PathBuf>,
    /// `--data DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--listen ADDRESS`.
    pub listen: Option<SocketAddr>,
}

/// Settings, and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Where they came from, in the order of the file.
    pub origins: Vec<SettingOrigin>,
}

/// One setting as `config show` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingOrigin {
    /// `server.listen`.
    pub name: String,
    /// The value; of a secret only `[set]` or `[not set]`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The dev mode's choice.
    Dev,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable, or the file that a variable ending in `_FILE` names.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("dev"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Loaded {
    /// Name, value and origin of every setting, secrets hidden.
    pub fn render_table(&self) -> Vec<[String; 3]> {
        self.origins.iter().map(|row| [row.name.clone(), row.value.clone(), row.origin.to_string()]).collect()
    }

    /// Where the setting of that name (`server.listen`) came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.origins.iter().find(|row| row.name == name).map(|row| &row.origin)
    }

    /// Brings the values shown up to date with the settings.
    pub(super) fn refresh(&mut self) {
        for (setting, row) in SETTINGS.iter().zip(&mut self.origins) {
            row.value = setting.field.show(&mut self.config);
        }
    }
}

impl Config {
    /// What holds where nobody says anything.
    pub fn defaults(mode: Mode, data_dir: &Path) -> Self {
        let mut loading = Loading::new(mode);
        data_dir.clone_into(&mut loading.config.data_dir);
        loading.follow();
        debug_assert!(loading.problems.is_empty(), "the table holds a default that is none: {:?}", loading.problems);
        loading.config
    }
}

/// The settings of this run: defaults, then `--config FILE` or else `ordermill.toml` in the data folder or in the working
/// directory, then the environment, then flags. Every problem is reported, not only the first.
pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Loaded, ConfigError> {
    let mut loading = Loading::new(Mode::Serve);
    loading.apply_file(overrides, environment);
    loading.apply_environment(environment);
    loading.apply_flags(overrides);
    loading.follow();
    loading.finish()
}

/// Settings on their way, with what is wrong so far.
pub(super) struct Loading {
    pub(super) config: Config,
    pub(super) problems: Vec<Problem>,
    /// By section and key.
    origins: BTreeMap<(&'static str, &'static str), Origin>,
}

impl Loading {
    /// The fixed defaults.
    pub(super) fn new(mode: Mode) -> Self {
        let mut loading = Self { config: blank(mode), problems: Vec::new(), origins: BTreeMap::new() };
        for setting in SETTINGS {
            if let Preset::Value(text) = setting.preset() {
                loading.put(setting, Given::Text(text), Origin::Default);
            }
        }
        loading
    }

    /// Puts a value into its place, or notes what is wrong with it.
    pub(super) fn put(&mut self, setting: &'static Setting, given: Given<'_>, origin: Origin) {
        match setting.field.put(&mut self.config, given) {
            Ok(()) => {
                self.origins.insert((setting.section(), setting.key()), origin);
            }
            Err(fault) => {
                // `config show` says what kind of origin it is; whoever must find the fault needs the bare name.
                let place = match &origin {
                    Origin::Variable(name) => name.clone(),
                    other => other.to_string(),
                };
                self.problems.push(Problem::refusal(place, format!("{} {fault}", setting.title())));
            }
        }
    }

    /// Puts a value of the dev mode's choice into its place.
    pub(super) fn put_dev(&mut self, section: &str, key: &str, text: &str) {
        if let Some(setting) = table::find(section, key) {
            self.put(setting, Given::Text(text), Origin::Dev);
        }
    }

    /// Where a setting's value came from so far.
    pub(super) fn origin(&self, section: &'static str, key: &'static str) -> &Origin {
        self.origins.get(&(section, key)).unwrap_or(&Origin::Default)
    }

    /// Whether anybody said what this setting should be.
    pub(super) fn is_given(&self, section: &'static str, key: &'static str) -> bool {
        *self.origin(section, key) != Origin::Default
    }

    fn apply_file(&mut self, overrides: &Overrides, environment: &Environment) {
        let Some(path) = self.find_file(overrides, environment) else { return };
        match file::read_small(&path) {
            Ok(text) => file::apply(&path, &text, self),
            Err(fault) => self.problems.push(Problem::refusal(path.display().to_string(), format!("cannot be read: {fault}"))),
        }
    }

    fn find_file(&self, overrides: &Overrides, environment: &Environment) -> Option<PathBuf> {
        if let Some(path) = &overrides.config_file {
            return Some(path.clone());
        }
        let variable = table::find("", "data_dir").map(Setting::variable).unwrap_or_default();
        let data_dir = overrides.data_dir.as_deref().or_else(|| environment.get(&variable).map(Path::new));
        let candidates = [data_dir.unwrap_or(&self.config.data_dir).join(FILE_NAME), PathBuf::from(FILE_NAME)];
        // A file that cannot be looked at is a problem to report, not one to pass over.
        candidates.into_iter().find(|path| path.try_exists().unwrap_or(true))
    }

    pub(super) fn apply_environment(&mut self, environment: &Environment) {
        for setting in SETTINGS {
            let variable = setting.variable();
            let file_variable = setting.file_variable().filter(|name| environment.contains(name));
            match (environment.get(&variable), file_variable) {
                (None, None) => {}
                (Some(_), Some(file_variable)) => {
                    let problem = Problem::refusal(&variable, format!("is set and so is {file_variable}"));
                    self.problems.push(problem.with_hint("unset one of them"));
                }
                (Some(text), None) => self.put(setting, Given::Text(text), Origin::Variable(variable)),
                (None, Some(file_variable)) => self.apply_secret_file(setting, environment, file_variable),
            }
        }
        self.refuse_unknown_variables(environment);
    }

    fn apply_secret_file(&mut self, setting: &'static Setting, environment: &Environment, variable: String) {
        let path = environment.get(&variable).unwrap_or_default();
        match file::read_small(Path::new(path)) {
            Ok(text) => self.put(setting, Given::Text(text.trim_end_matches(['\n', '\r'])), Origin::Variable(variable)),
            // Not even the path is quoted: people put the secret itself there.
            Err(fault) => self.problems.push(Problem::refusal(variable, format!("names a file that cannot be read: {fault}"))),
        }
    }

    fn refuse_unknown_variables(&mut self, environment: &Environment) {
        let known: Vec<String> =
            SETTINGS.iter().flat_map(|setting| [Some(setting.variable()), setting.file_variable()]).flatten().collect();
        for (name, value) in environment.beginning_with(VARIABLE_PREFIX) {
            let problem = if value.is_none() {
                Problem::refusal(name, "is not Unicode text")
            } else if known.iter().any(|known_name| known_name == name) {
                continue;
            } else {
                let hint = did_you_mean(name, known.iter().map(String::as_str)).map(|name| format!("did you mean {name}?"));
                Problem { hint, ..Problem::refusal(name, "there is no such setting") }
            };
            self.problems.push(problem);
        }
    }

    pub(super) fn apply_flags(&mut self, overrides: &Overrides) {
        if let Some(data_dir) = &overrides.data_dir {
            self.config.data_dir.clone_from(data_dir);
            self.origins.insert(("", "data_dir"), Origin::Flag("--data"));
        }
        if let Some(listen) = overrides.listen {
            self.config.server.listen = listen;
            self.origins.insert(("server", "listen"), Origin::Flag("--listen"));
        }
    }

    /// Fills in the defaults that follow from other settings.
    pub(super) fn follow(&mut self) {
        if !self.is_given("store", "url") {
            self.config.store.url = StoreUrl::sqlite(&self.config.data_dir.join(STORE_FILE_NAME));
        }
        if !self.is_given("server", "public_url") {
            self.config.server.public_url = local_url(self.config.server.listen);
        }
    }

    pub(super) fn finish(mut self) -> Result<Loaded, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        let rows = SETTINGS.iter().map(|setting| SettingOrigin {
            name: setting.name(),
            value: String::new(),
            origin: self.origins.remove(&(setting.section(), setting.key())).unwrap_or(Origin::Default),
        });
        let mut loaded = Loaded { origins: rows.collect(), config: self.config };
        loaded.refresh();
        Ok(loaded)
    }
}

/// How this machine reaches what listens there.
pub fn local_url(listen: SocketAddr) -> String {
    let host = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    format!("http://{}", SocketAddr::new(host, listen.port()))
}

/// Room for the settings. Whatever has a default gets it from the table; a test holds that nothing of this is left.
fn blank(mode: Mode) -> Config {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    Config {
        mode,
        data_dir: PathBuf::new(),
        server: ServerConfig {
            listen: nowhere,
            public_url: String::new(),
            ops_listen: nowhere,
            secret_key: Vec::new(),
            trusted_proxies: Vec::new(),
            connections_max: 0,
            connections_per_address_max: 0,
            requests_max: 0,
            webhook_requests_max: 0,
            header_timeout_ms: 0,
            body_timeout_ms: 0,
            request_timeout_ms: 0,
            drain_ms: 0,
            session_ttl_s: 0,
            login_per_minute: u64::MAX,
            register_per_minute: u64::MAX,
            forgot_per_minute: u64::MAX,
        },
        store: StoreConfig { url: StoreUrl::new("") },
        orders: OrdersConfig { code_prefix: String::new(), currency: Currency::VND, ttl_card_s: 0, ttl_transfer_s: 0 },
        stripe: StripeConfig {
            secret_key: None,
            webhook_secrets: Vec::new(),
            api_url: String::new(),
            api_version: String::new(),
            timeout_ms: 0,
        },
        sepay: SepayConfig { bank_bin: None, account_number: None, account_name: None },
        mail: MailConfig {
            smtp_url: None,
            from: String::new(),
            templates_dir: None,
            timeout_ms: 0,
            password_reset_path: String::new(),
            order_received: false,
        },
        cache: CacheConfig { redis_url: None, redis_timeout_ms: 0, order_list_ms: -1 },
        worker: WorkerConfig { concurrency: 0, lease_ms: 0 },
        log: LogConfig { format: Format::Json, level: String::new(), keep_mib: 0 },
        otel: OtelConfig { endpoint: None },
    }
}
