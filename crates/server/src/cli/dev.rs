//! `ordermill dev`: everything inside, demo products, simulated Stripe, mail caught. Loopback only, because its accounts
//! have a password that everybody knows; with `--expose` there are none of them, and others may look in.

use super::boot::{self, Access, DEV, MADE_BY, Node};
use super::node::{self, Duties, Listeners};
use super::output::Output;
use super::{Failure, Global, Outcome, logging};
use crate::app::accounts::{self, DEV_PASSWORD, Registration, people};
use crate::app::catalogue::{self, NewProduct};
use crate::app::commit::commit;
use crate::app::{App, Fault};
use crate::config::{Config, Environment, Loaded, Mode, Origin};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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

/// The one account of `dev --expose`.
const OWNER: &str = "owner@example.com";
/// The bytes of its password, which is drawn at every start.
const OWNER_PASSWORD_BYTES: usize = 18;
/// The limits by address that `dev` switches off, because everybody comes from this machine.
const LIMITS: [&str; 3] = ["server.login_per_minute", "server.register_per_minute", "server.forgot_per_minute"];
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

/// For whom `dev` is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever sits at this machine.
    Local,
    /// Whoever can reach it.
    Everybody,
}

pub(super) async fn run(global: &Global, listen: SocketAddr, audience: Audience, output: &Output) -> Outcome {
    if audience == Audience::Local && !listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "`dev` listens on this machine only, {listen} is not: use 127.0.0.1, `dev --expose` without the known accounts, or `serve`"
        )));
    }
    let environment = Environment::of_process();
    refuse_shop(&boot::preview_dev(global.data.as_deref(), &environment)?).await?;
    let mut loaded = boot::load_dev(global.data.as_deref(), Some(listen), &environment)?;
    if audience == Audience::Everybody {
        limit_strangers(&mut loaded);
    }
    let _traces = logging::start(&loaded.config);
    let duties = Duties { api: true, worker: true };
    let listeners = Listeners::bind(&loaded.config, duties).await?;
    if let Some(bound) = listeners.api_address() {
        loaded.set_bound(bound);
    }
    let node = boot::open(loaded.config, Access::Make).await?;
    let unfilled = |fault: Fault| Failure::unavailable(format!("cannot fill the store: {fault}"));
    let accounts = match audience {
        Audience::Local => {
            seed(&node.app).await.map_err(unfilled)?;
            known_accounts()
        }
        Audience::Everybody => {
            seed_products(&node.app).await.map_err(unfilled)?;
            owner_account(&node.app).await.map_err(unfilled)?
        }
    };
    banner(&node, &listeners, &accounts, output);
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

/// Strangers try passwords: the limits by address are those of `serve`, unless somebody set others.
fn limit_strangers(loaded: &mut Loaded) {
    let [login, register, forgot] = LIMITS.map(|name| loaded.origin(name) == Some(&Origin::Dev));
    let usual = Config::defaults(Mode::Serve, &loaded.config.data_dir).server;
    let server = &mut loaded.config.server;
    for (is_off, limit, usual) in [
        (login, &mut server.login_per_minute, usual.login_per_minute),
        (register, &mut server.register_per_minute, usual.register_per_minute),
        (forgot, &mut server.forgot_per_minute, usual.forgot_per_minute),
    ] {
        if is_off {
            *limit = usual;
        }
    }
}

/// Fills a fresh store. Run again it changes nothing.
pub(super) async fn seed(app: &App) -> Result<(), Fault> {
    seed_products(app).await?;
    for (email, role, name) in ACCOUNTS {
        let Some(email) = Email::parse(email) else { continue };
        match accounts::register(app, registration(email, DEV_PASSWORD.to_owned(), role, name)).await {
            Ok(_) | Err(Fault::Refused(Refusal::EmailTaken)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

fn registration(email: Email, password: String, role: Role, name: &str) -> Registration {
    Registration { email, password, role, name: Some(name.to_owned()), phone: None, locale: Locale::Vi, is_dev: true }
}

/// An admin with a password that is drawn now, told once and good until the next start.
async fn owner_account(app: &App) -> Result<String, Fault> {
    let password = URL_SAFE_NO_PAD.encode(app.random::<OWNER_PASSWORD_BYTES>());
    let email = Email::parse(OWNER).ok_or_else(|| Fault::Internal(format!("{OWNER} is no address")))?;
    match accounts::find_user(app, &email).await? {
        None => drop(accounts::register(app, registration(email, password.clone(), Role::Admin, "Owner")).await?),
        Some(user) if user.is_dev => {
            let actor = Actor::operator("dev");
            let new = people::NewPassword { password: password.clone(), actor: &actor, reason: "a new start of dev --expose" };
            people::set_password(app, user.id, new, None).await?;
        }
        // Somebody took the address before it was exposed; it is theirs.
        Some(_) => return Err(Fault::Unavailable(format!("{OWNER} belongs to somebody already: use another --data DIR"))),
    }
    Ok(format!("  Account    {OWNER}  (admin)\n  Password   {password}  (until the next start)"))
}

/// Every address that an account of `dev` may have.
pub(super) fn addresses() -> impl Iterator<Item = &'static str> {
    ACCOUNTS.iter().map(|(email, ..)| *email).chain([OWNER])
}

fn known_accounts() -> String {
    let names: Vec<&str> = ACCOUNTS.iter().map(|(email, ..)| *email).collect();
    format!("  Accounts   {}\n  Password   {DEV_PASSWORD}", names.join(", "))
}

/// Marks a fresh store and fills it with products. Run again it changes nothing.
async fn seed_products(app: &App) -> Result<(), Fault> {
    mark(app).await?;
    for (sku, title, kind, unit_amount, stock) in PRODUCTS {
        let url = (kind == ProductKind::Digital).then(|| "https://shop.example/course/rust".to_owned());
        let product = NewProduct { sku: sku.to_owned(), title: title.to_owned(), kind, url, unit_amount, currency: Currency::VND, stock };
        catalogue::add_product(app, product, Actor::operator("dev")).await?;
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

fn banner(node: &Node, listeners: &Listeners, accounts: &str, output: &Output) {
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

{accounts}

  Stop with Ctrl-C; the README walks through an order.",
        version = env!("CARGO_PKG_VERSION"),
        data = config.data_dir.display(),
    ));
}
