//! What `serve` refuses to run with: settings that are missing, unsafe, or made by the dev mode.
//!
//! This file must not change settings, open anything or look anything up; every finding follows from the [`Config`] alone.

use super::dev;
use super::network::Cidr;
use super::problem::{ConfigError, Level, Problem};
use super::read;
use super::settings::{Config, decode_key};
use super::table::{self, Setting};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;

/// Everything that keeps these settings from being served with, and notes on what will not work.
pub fn check_serve(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_secret_key(config, &mut problems);
    check_addresses(config, &mut problems);
    check_store(config, &mut problems);
    check_stripe(config, &mut problems);
    check_sepay(config, &mut problems);
    check_mail(config, &mut problems);
    problems
}

/// The notes, if nothing keeps these settings from being served with; else everything that does.
pub fn refuse_unsafe(config: &Config) -> Result<Vec<Problem>, ConfigError> {
    let (refusals, notes): (Vec<Problem>, Vec<Problem>) = check_serve(config).into_iter().partition(|found| found.level == Level::Refusal);
    if refusals.is_empty() { Ok(notes) } else { Err(ConfigError { problems: refusals }) }
}

fn check_secret_key(config: &Config, problems: &mut Vec<Problem>) {
    let setting = At("server", "secret_key");
    if config.server.secret_key.is_empty() {
        problems.push(setting.missing("every link, cursor and token is made with it; `openssl rand -base64 32` makes one"));
    }
    for key in &config.server.secret_key {
        match decode_key(key) {
            None => problems.push(setting.wrong("is not at least 32 bytes in base64 or hex")),
            Some(_) if is_made_by_dev(key) => problems.push(setting.wrong("was made by `ordermill dev`")),
            Some(bytes) if is_one_byte_repeated(bytes.expose_secret()) => problems.push(setting.wrong("is not random")),
            Some(_) => {}
        }
    }
}

fn check_addresses(config: &Config, problems: &mut Vec<Problem>) {
    let server = &config.server;
    let public_url = At("server", "public_url");
    if read::web_url(&server.public_url).is_err() {
        problems.push(public_url.wrong("is not an http:// or https:// URL"));
    } else if read::is_loopback_url(&server.public_url) && !server.listen.ip().is_loopback() {
        problems.push(public_url.wrong("is this machine's own address, but others can connect: links in mails would lead nowhere"));
    } else if server.public_url.starts_with("http://") && !read::is_loopback_url(&server.public_url) {
        problems.push(Problem::note(public_url.title(), "is not https://: passwords and tokens can be read on the way"));
    }
    let ops_listen = At("server", "ops_listen");
    if collide(server.listen, server.ops_listen) {
        problems.push(ops_listen.wrong("is the same as [server] listen: metrics would be public"));
    } else if !server.ops_listen.ip().is_loopback() {
        problems.push(Problem::note(ops_listen.title(), "is not a loopback address: whoever reaches it reads the metrics"));
    }
    if server.trusted_proxies.iter().any(Cidr::is_everything) {
        let title = At("server", "trusted_proxies").title();
        problems.push(Problem::note(title, "trusts everyone: any client can pretend to be any address"));
    }
}

fn check_store(config: &Config, problems: &mut Vec<Problem>) {
    let setting = At("store", "url");
    match config.store.url.scheme() {
        "memory" => problems.push(setting.wrong("is a store that forgets every order when the process ends")),
        "sqlite" | "postgres" | "postgresql" => {}
        _ => problems.push(setting.wrong("names no store: it begins with neither sqlite: nor postgres://")),
    }
}

fn check_stripe(config: &Config, problems: &mut Vec<Problem>) {
    let stripe = &config.stripe;
    let (secret_key, webhook_secrets) = (At("stripe", "secret_key"), At("stripe", "webhook_secrets"));
    match (&stripe.secret_key, stripe.webhook_secrets.is_empty()) {
        (None, true) => problems.push(Problem::note("[stripe]", "is not configured: card payments are refused").with_hint(format!(
            "to take them, {} and {}",
            secret_key.hint(),
            webhook_secrets.hint()
        ))),
        (Some(_), true) => problems.push(webhook_secrets.missing("[stripe] secret_key is set, and no payment would ever be believed")),
        (None, false) => problems.push(secret_key.missing("[stripe] webhook_secrets is set, and no payment could be asked for")),
        (Some(_), false) => {}
    }
    let given = stripe.secret_key.iter().map(|secret| (&secret_key, secret));
    for (setting, secret) in given.chain(stripe.webhook_secrets.iter().map(|secret| (&webhook_secrets, secret))) {
        if secret.expose_secret().trim().is_empty() {
            problems.push(setting.wrong("is blank: anyone could forge what it is to protect"));
        } else if is_made_by_dev(secret) {
            problems.push(setting.wrong("was made by `ordermill dev`"));
        }
    }
    let api_url = At("stripe", "api_url");
    if stripe.api_url.ends_with(dev::STRIPE_PATH) {
        problems.push(api_url.wrong("is the simulated Stripe of `ordermill dev`"));
    } else if !stripe.api_url.starts_with("https://") && !read::is_loopback_url(&stripe.api_url) {
        problems.push(api_url.wrong("is not https://: the secret key can be read on the way"));
    }
}

fn check_sepay(config: &Config, problems: &mut Vec<Problem>) {
    let sepay = &config.sepay;
    let account = At("sepay", "account_number");
    let parts = [
        (At("sepay", "bank_bin"), &sepay.bank_bin),
        (At("sepay", "account_number"), &sepay.account_number),
        (At("sepay", "account_name"), &sepay.account_name),
    ];
    if parts.iter().all(|(_, value)| value.is_none()) {
        problems.push(
            Problem::note("[sepay]", "is not configured: bank transfers are refused")
                .with_hint(format!("to take them, set [sepay] bank_bin and account_name, and {}", account.hint())),
        );
        return;
    }
    for (setting, _) in parts.iter().filter(|(_, value)| value.is_none()) {
        problems.push(setting.missing("other parts of the account are set, and nobody could transfer to half an account"));
    }
    if sepay.account_number.as_deref() == Some(dev::ACCOUNT_NUMBER) {
        problems.push(account.wrong("is the demo account of `ordermill dev`"));
    }
}

fn check_mail(config: &Config, problems: &mut Vec<Problem>) {
    let smtp_url = At("mail", "smtp_url");
    match &config.mail.smtp_url {
        None => problems.push(smtp_url.missing("mails could not be sent")),
        Some(url) if read::smtp_url(url.expose_secret()).is_err() => problems.push(smtp_url.wrong("is not an smtp:// or smtps:// URL")),
        Some(_) => {}
    }
    let from = At("mail", "from");
    if config.mail.from.is_empty() {
        problems.push(from.missing("every mail needs a sender"));
    } else if read::sender(&config.mail.from).is_none() {
        problems.push(from.wrong("is not an address such as Shop <shop@example.com>"));
    }
}

fn is_made_by_dev(secret: &SecretString) -> bool {
    dev::PREFIXES.iter().any(|prefix| secret.expose_secret().trim().starts_with(prefix))
}

fn is_one_byte_repeated(bytes: &[u8]) -> bool {
    bytes.windows(2).all(|pair| pair.first() == pair.last())
}

/// Whether one of the two would answer for the other. Port 0 is a fresh port each time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_address = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_address
}

/// A setting by section and key.
struct At(&'static str, &'static str);

impl At {
    fn title(&self) -> String {
        format!("[{}] {}", self.0, self.1)
    }

    fn hint(&self) -> String {
        let variable = table::find(self.0, self.1).map(Setting::variable).unwrap_or_default();
        format!("set {} or {variable}", self.title())
    }

    fn missing(&self, why: &str) -> Problem {
        Problem::refusal(self.title(), format!("is missing: {why}")).with_hint(self.hint())
    }

    fn wrong(&self, what: &str) -> Problem {
        Problem::refusal(self.title(), what).with_hint(self.hint())
    }
}
