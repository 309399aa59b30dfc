//! A production node on the store that is measured, with a mailer that throws everything away.

use crate::app::{App, Parts, SystemClock, SystemRandomness};
use crate::cli::Failure;
use crate::cli::boot::{self, Node};
use crate::config::{Config, Mode, StoreUrl};
use crate::http::{Readiness, Shared};
use crate::mail::{Mailer, Message, Receipt, SendError, Templates};
use async_trait::async_trait;
use ordermill_store::{Store, Table};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The settings: the defaults of `serve`, on any free port of this machine.
fn settings(folder: &Path, url: &str) -> Config {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = Config::defaults(Mode::Serve, folder);
    config.server.listen = any_port;
    config.server.ops_listen = any_port;
    config.store.url = StoreUrl::new(url);
    // Nothing is written per request below `debug` anyway; what remains would only be in the way of the result.
    "warn".clone_into(&mut config.log.level);
    // The budget of an order is that of the order: its mail is a row of its own, and a setting.
    config.mail.order_received = false;
    config.sepay.bank_bin = Some("970436".to_owned());
    config.sepay.account_number = Some("0000000000".to_owned());
    config.sepay.account_name = Some("ORDERMILL BENCH".to_owned());
    config
}

/// Opens the store, which must be empty, and puts a node together.
pub(super) async fn open(folder: &Path, url: &str) -> Result<Node, Failure> {
    let config = settings(folder, url);
    let store = boot::open_store(&config).await?;
    migrate_empty(store.as_ref()).await?;
    on(config, store)
}

/// Another node on the same store, with other settings.
pub(super) fn beside(node: &Node, set: impl FnOnce(&mut Config)) -> Result<Node, Failure> {
    let mut config = Config::clone(&node.app.config);
    set(&mut config);
    on(config, Arc::clone(&node.app.store))
}

fn on(config: Config, store: Arc<dyn Store>) -> Result<Node, Failure> {
    let http = reqwest::Client::builder().no_proxy().build().map_err(|error| Failure::unavailable(error.to_string()))?;
    let app = App::new(Parts {
        config,
        store,
        clock: Arc::new(SystemClock),
        randomness: Arc::new(SystemRandomness::default()),
        mailer: Arc::new(NullMailer),
        templates: Templates::load(None).map_err(|error| Failure::unavailable(error.to_string()))?,
        http: http.clone(),
    });
    let shared = Shared { app: Arc::clone(&app), readiness: Arc::new(Readiness::default()), catcher: None };
    Ok(Node { app, shared, simulator: None, http })
}

/// A benchmark must never write into somebody's shop.
async fn migrate_empty(store: &dyn Store) -> Result<(), Failure> {
    let broken = |error: ordermill_store::StoreError| Failure::unavailable(error.to_string());
    store.migrate().await.map_err(broken)?;
    for table in Table::ALL {
        if !store.scan(table, None, 1).await.map_err(broken)?.rows.is_empty() {
            return Err(Failure::usage("this store is not empty: a benchmark needs one of its own"));
        }
    }
    Ok(())
}

/// Takes every mail and sends none.
struct NullMailer;

#[async_trait]
impl Mailer for NullMailer {
    async fn send(&self, _message: &Message) -> Result<Receipt, SendError> {
        Ok(Receipt { reference: "thrown away".to_owned() })
    }

    fn name(&self) -> &'static str {
        "null"
    }

    async fn check(&self) -> Result<(), SendError> {
        Ok(())
    }
}
