//! From settings to a node: the store opened and brought up to date, the parts of an `App` put together. Every command
//! that needs more than the network begins here.

use super::{Failure, Global};
use crate::app::{App, Parts, SystemClock, SystemRandomness};
use crate::config::{self, Config, Environment, Loaded, Mode, Overrides};
use crate::http::{self, Readiness, Shared};
use crate::mail::{Catcher, Mailer, Message, Receipt, SendError, SmtpMailer, Templates};
use crate::simulator::stripe::{SimulatorSettings, StripeSimulator};
use async_trait::async_trait;
use axum::Router;
use ordermill_store::{Inspection, OpenError, Store};
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The data folder unless told otherwise.
const DATA_DIR: &str = "ordermill-data";
/// The setting that `dev` leaves in its stores.
pub(super) const MADE_BY: &str = "made_by";
/// Its value there.
pub(super) const DEV: &str = "dev";
/// How long a connection to a provider may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of this run. A data folder made by `dev` is read with `dev`'s settings, unless a file is named.
pub(super) fn load(global: &Global, listen: Option<SocketAddr>) -> Result<Loaded, Failure> {
    let environment = Environment::of_process();
    if global.config.is_none() && config::dev::is_dev_dir(&data_dir(global, &environment)) {
        return load_dev(global.data.as_deref(), listen, &environment);
    }
    let overrides = Overrides { config_file: global.config.clone(), data_dir: global.data.clone(), listen };
    config::load(&overrides, &environment).map_err(|error| Failure::usage(error.to_string()))
}

/// The store that `dev` would use, as its settings say before anything is made.
pub(super) fn preview_dev(data_dir: Option<&Path>, environment: &Environment) -> Result<Config, Failure> {
    let loaded = config::dev_preview(data_dir, environment, &SystemRandomness::default());
    loaded.map(|loaded| loaded.config).map_err(|error| Failure::usage(error.to_string()))
}

/// The settings of `dev`.
pub(super) fn load_dev(data_dir: Option<&Path>, listen: Option<SocketAddr>, environment: &Environment) -> Result<Loaded, Failure> {
    config::dev_config(data_dir, listen, environment, &SystemRandomness::default()).map_err(|error| Failure::usage(error.to_string()))
}

/// The data folder that flags or the environment name.
pub(super) fn data_dir(global: &Global, environment: &Environment) -> PathBuf {
    let named = global.data.clone().or_else(|| environment.get("ORDERMILL__DATA_DIR").map(PathBuf::from));
    named.unwrap_or_else(|| PathBuf::from(DATA_DIR))
}

/// A node that is put together but does not listen or work yet.
pub(crate) struct Node {
    pub(crate) app: Arc<App>,
    pub(crate) shared: Shared,
    pub(crate) simulator: Option<Arc<StripeSimulator>>,
    pub(crate) http: reqwest::Client,
}

impl Node {
    /// Every route this node answers.
    pub(crate) fn router(&self) -> Router {
        let extra = match &self.simulator {
            Some(simulator) => Router::new().nest("/dev/stripe", simulator.router()),
            None => Router::new(),
        };
        http::router(self.shared.clone(), extra)
    }

    /// Lets go of the store.
    pub(crate) async fn close(&self) {
        self.app.store.close().await;
    }
}

/// What a command may do with the store before its own work begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Make it if there is none, and bring its schema up to date.
    Make,
    /// Take it as it is. Who looks at a wrong path must be told so, and who looks at a shop with a new binary must not
    /// change it under the old one.
    Find,
}

/// Opens the store and puts a node together.
pub(super) async fn open(config: Config, access: Access) -> Result<Node, Failure> {
    let store = match access {
        Access::Make => make_store(&config).await?,
        Access::Find => find_store(&config).await?,
    };
    let clock: Arc<dyn crate::app::Clock> = Arc::new(SystemClock);
    let randomness: Arc<dyn crate::app::Randomness> = Arc::new(SystemRandomness::default());
    let http = http_client()?;
    let templates = Templates::load(config.mail.templates_dir.as_deref()).map_err(|error| Failure::usage(error.to_string()))?;
    let is_dev = config.mode == Mode::Dev;
    let catcher = if is_dev {
        let file = config.data_dir.join("mail.jsonl");
        Some(Catcher::new(Some(file), Arc::clone(&clock)).map_err(|error| Failure::unavailable(format!("the mail catcher: {error}")))?)
    } else {
        None
    };
    let mailer = mailer(&config, catcher.clone(), &clock)?;
    let simulator = if is_dev { Some(simulator(&config, &clock, &randomness)?) } else { None };
    let app = App::new(Parts { config, store, clock, randomness, mailer, templates, http: http.clone() });
    let shared = Shared { app: Arc::clone(&app), readiness: Arc::new(Readiness::default()), catcher };
    Ok(Node { app, shared, simulator, http })
}

/// Opens the store that the settings name.
pub(super) async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    ordermill_store::open(config.store.url.expose()).await.map_err(|error| not_opened(&error))
}

/// Says what lies where the settings have the store, and changes nothing there.
pub(super) async fn inspect_store(config: &Config) -> Result<Inspection, Failure> {
    ordermill_store::inspect(config.store.url.expose(), MADE_BY).await.map_err(|error| not_opened(&error))
}

fn not_opened(error: &OpenError) -> Failure {
    match error {
        OpenError::UnknownBackend { .. } | OpenError::Unsafe(_) => Failure::usage(error.to_string()),
        OpenError::Locked { .. } | OpenError::Failed(_) => Failure::unavailable(error.to_string()),
    }
}

async fn make_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let store = open_store(config).await?;
    store.migrate().await.map_err(|error| Failure::unavailable(format!("the store's schema cannot be brought up to date: {error}")))?;
    Ok(store)
}

async fn find_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let found = inspect_store(config).await?;
    if !found.is_store {
        return Err(Failure::usage(format!("there is no store at {}: `ordermill migrate` makes one", config.store.url)));
    }
    match found.pending_migrations.len() {
        0 => open_store(config).await,
        1 => Err(Failure::usage("1 migration is pending: run `ordermill migrate`")),
        count => Err(Failure::usage(format!("{count} migrations are pending: run `ordermill migrate`"))),
    }
}

/// The client for providers.
pub(super) fn http_client() -> Result<reqwest::Client, Failure> {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.build().map_err(|error| Failure::unavailable(format!("no HTTP client: {error}")))
}

fn mailer(config: &Config, catcher: Option<Arc<Catcher>>, clock: &Arc<dyn crate::app::Clock>) -> Result<Arc<dyn Mailer>, Failure> {
    match (&config.mail.smtp_url, catcher) {
        (Some(url), _) => SmtpMailer::new(url, &config.mail.from, config.mail.timeout_ms, Arc::clone(clock))
            .map(|mailer| Arc::new(mailer) as Arc<dyn Mailer>)
            .map_err(|error| Failure::usage(error.to_string())),
        (None, Some(catcher)) => Ok(catcher),
        (None, None) => Ok(Arc::new(NoMailer)),
    }
}

fn simulator(
    config: &Config,
    clock: &Arc<dyn crate::app::Clock>,
    randomness: &Arc<dyn crate::app::Randomness>,
) -> Result<Arc<StripeSimulator>, Failure> {
    let settings = SimulatorSettings {
        webhook_url: format!("{}/api/webhook/stripe", config.server.public_url.trim_end_matches('/')),
        webhook_secret: config.stripe.webhook_secrets.first().cloned().unwrap_or_else(|| SecretString::from(String::new())),
        api_key: config.stripe.secret_key.clone(),
    };
    let folder = config.data_dir.join("stripe");
    StripeSimulator::open(Some(folder), settings, Arc::clone(clock), Arc::clone(randomness))
        .map_err(|error| Failure::unavailable(format!("the simulated Stripe: {error}")))
}

/// Stands in for the mailer in commands that only look at things; `serve` and `worker` refuse to start without a real one.
struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, _message: &Message) -> Result<Receipt, SendError> {
        self.check().await.map(|()| Receipt { reference: String::new() })
    }

    fn name(&self) -> &'static str {
        "none"
    }

    async fn check(&self) -> Result<(), SendError> {
        Err(SendError::Later { why: "no mailer is configured".to_owned() })
    }
}
