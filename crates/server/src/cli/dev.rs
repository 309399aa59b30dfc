//! `ordermill dev`: everything inside, demo products, simulated Stripe, mail caught. Loopback only, because its accounts
//! have a password that everybody knows.

use super::boot::{self, Access, DEV, MADE_BY, Node};
use super::node::{self, Duties, Listeners};
use super::output::Output;
use super::{Failure, Global, Outcome, logging};
use crate::app::accounts::{self, Registration};
use crate::app::catalogue::{self, NewProduct};
use crate::app::commit::commit;
use crate::app::{App, Fault};
use crate::config::{Config, Environment};
use ordermill_core::account::Role;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::change::{Change, Key, Row, Setting};
use ordermill_core::contact::Email;
use ordermill_core::event::Actor;
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use ordermill_core::refusal::Refusal;
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::sync::Arc;

/// The password of `dev`'s accounts.
pub(super) const PASSWORD: &str = "ordermill-dev";
/// `dev`'s accounts.
const ACCOUNTS: [(&str, Role, &str); 3] = [
    ("admin@example.com", Role::Admin, "Admin"),
    ("staff@example.com", Role::Staff, "Staff"),
    ("customer@example.com", Role::Customer, "Nguyễn Văn An"),
];
/// `dev`'s products: sku, title, kind, price in đồng, stock.
const PRODUCTS: [(&str, &str, ProductKind, i64, i64); 4] = [
    ("CUP-01", "Cà phê sữa đá cup / Cốc sứ", ProductKind::Physical, 120_000, 50),
    ("TEE-01", "T-shirt / Áo thun", ProductKind::Physical, 250_000, 20),
    ("BAG-01", "Last bag / Túi cuối cùng", ProductKind::Physical, 450_000, 1),
    ("COURSE-01", "Rust căn bản", ProductKind::Digital, 199_000, 0),
];

pub(super) async fn run(global: &Global, listen: SocketAddr, output: &Output) -> Outcome {
    if !listen.ip().is_loopback() {
        return Err(Failure::usage(format!("`dev` listens on this machine only, {listen} is not: use 127.0.0.1 or `serve`")));
    }
    let environment = Environment::of_process();
    refuse_shop(&boot::preview_dev(global.data.as_deref(), &environment)?).await?;
    let mut loaded = boot::load_dev(global.data.as_deref(), Some(listen), &environment)?;
    let _traces = logging::start(&loaded.config);
    let duties = Duties { api: true, worker: true };
    let listeners = Listeners::bind(&loaded.config, duties).await?;
    if let Some(bound) = listeners.api_address() {
        loaded.set_bound(bound);
    }
    let node = boot::open(loaded.config, Access::Make).await?;
    seed(&node.app).await.map_err(|fault| Failure::unavailable(format!("cannot fill the store: {fault}")))?;
    banner(&node, &listeners, output);
    node::run(node, listeners, duties).await
}

/// A store that somebody else works with must not get accounts with a known password, nor the mark by which `serve`
/// refuses it. This comes before anything is made, in the data folder too: `dev`'s secrets there would turn it into a
/// folder of `dev`'s for every later command.
async fn refuse_shop(config: &Config) -> Outcome {
    let found = boot::inspect_store(config).await?;
    if found.is_filled && found.mark.as_deref() != Some(DEV) {
        return Err(Failure::usage(format!(
            "the store at {} was not made by `ordermill dev`, and it has accounts, orders or products: leave it alone and use another \
             one (--data DIR, or [store] url)",
            config.store.url
        )));
    }
    Ok(())
}

/// Fills a fresh store. Run again it changes nothing.
pub(super) async fn seed(app: &App) -> Result<(), Fault> {
    mark(app).await?;
    for (sku, title, kind, unit_amount, stock) in PRODUCTS {
        let url = (kind == ProductKind::Digital).then(|| "https://shop.example/course/rust".to_owned());
        let product = NewProduct { sku: sku.to_owned(), title: title.to_owned(), kind, url, unit_amount, currency: Currency::VND, stock };
        catalogue::add_product(app, product, Actor::operator("dev")).await?;
    }
    for (email, role, name) in ACCOUNTS {
        let Some(email) = Email::parse(email) else { continue };
        let registration = Registration {
            email,
            password: PASSWORD.to_owned(),
            role,
            name: Some(name.to_owned()),
            phone: None,
            locale: Locale::Vi,
            is_dev: true,
        };
        match accounts::register(app, registration).await {
            Ok(_) | Err(Fault::Refused(Refusal::EmailTaken)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// Marks the store, so that `serve` refuses it.
async fn mark(app: &App) -> Result<(), Fault> {
    if app.store.get(&Key::Setting(MADE_BY.to_owned())).await?.is_some() {
        return Ok(());
    }
    let mut change = Change::new(app.change_id());
    change.insert(Row::Setting(Setting { name: MADE_BY.to_owned(), value: DEV.to_owned(), version: 1 }));
    Ok(commit(app, &Arc::new(change)).await?)
}

fn banner(node: &Node, listeners: &Listeners, output: &Output) {
    let config = &node.app.config;
    let url = &config.server.public_url;
    let key = config.stripe.secret_key.as_ref().map_or("", ExposeSecret::expose_secret);
    let ops = listeners.ops_address().map(|address| format!("http://{address}/metrics")).unwrap_or_default();
    output.line(&format!(
        "ordermill {version} (dev) is ready

  API        {url}/api/products
  Mail       {url}/dev/mail
  Stripe     {url}/dev/stripe      (simulated; key {key})
  Metrics    {ops}
  Data       {data}

  Accounts   admin@example.com, staff@example.com, customer@example.com
  Password   {PASSWORD}

  Stop with Ctrl-C; the README walks through an order.",
        version = env!("CARGO_PKG_VERSION"),
        data = config.data_dir.display(),
    ));
}
