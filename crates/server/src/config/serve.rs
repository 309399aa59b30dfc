//! What `serve` refuses to run with: settings that are missing, unsafe, or made by the dev mode.
//!
//! This file must not change settings, open anything or look anything up; every finding follows from the [`Config`] alone.

use super::dev;
use super::network::Cidr;
use super::problem::{ConfigError, Level, Problem};
use super::read;
use super::settings::{Config, decode_key};
use super::table::{self, Setting};
use crate::mail::Sender;
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
    check_otel(config, cfg!(feature = "otel"), &mut problems);
    problems
}

/// The notes, if nothing keeps these settings from being served with; else everything that does.
pub fn refuse_unsafe(config: &Config) -> Result<Vec<Problem>, ConfigError> {
    let (refusals, notes): (Vec<Problem>, Vec<Problem>) = check_serve(config).into_iter().partition(|found| found.level == Level::Refusal);
    if refusals.is_empty() { Ok(notes) } else { Err(ConfigError { problems: refusals }) }
}

/// Whoever asks for traces must not find out later that there are none.
fn check_otel(config: &Config, can_trace: bool, problems: &mut Vec<Problem>) {
    if config.otel.endpoint.is_some() && !can_trace {
        let endpoint = At("otel", "endpoint");
        problems.push(endpoint.wrong("is set, but this build makes no traces: build with `--features otel`, or unset it"));
    }
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
    } else if Sender::parse(&config.mail.from).is_none() {
        problems.push(from.wrong("is not an address such as Shop <shop@example.com>"));
    }
    // A mail is handed over and then confirmed, each within the time limit, and both within one lease: a worker that lost
    // its lease over a slow server could not write down what it sent.
    let handover_ms = config.mail.timeout_ms.saturating_mul(2);
    if handover_ms > config.worker.lease_ms.unsigned_abs() / 5 * 4 {
        problems.push(At("mail", "timeout_ms").wrong("twice this must fit in four fifths of [worker] lease_ms"));
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

#[cfg(test)]
mod tests {
    use super::super::{Cidr, Mode, StoreUrl};
    use super::*;
    use std::path::Path;

    fn servable() -> Config {
        let mut config = Config::defaults(Mode::Serve, Path::new("data"));
        config.server.public_url = "https://shop.example.com".to_owned();
        config.server.secret_key = vec!["Qk9PS1NIT1AtS0VZLVdJVEgtMzMtQllURVMtSU4tSVQh".into()];
        config.stripe.secret_key = Some("sk_live_abc".into());
        config.stripe.webhook_secrets = vec!["whsec_abc".into()];
        config.sepay.bank_bin = Some("970436".to_owned());
        config.sepay.account_number = Some("0011001234567".to_owned());
        config.sepay.account_name = Some("CONG TY VI DU".to_owned());
        config.mail.smtp_url = Some("smtps://user:password@mail.example.com".into());
        config.mail.from = "Shop <shop@example.com>".to_owned();
        config
    }

    /// The lines about a configuration that is fine but for this change.
    fn lines(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = servable();
        change(&mut config);
        check_serve(&config).iter().map(ToString::to_string).collect()
    }

    fn refuses(change: impl FnOnce(&mut Config), line: &str) {
        assert_eq!(lines(change), [line]);
    }

    #[test]
    fn a_build_without_traces_refuses_an_endpoint_for_them() {
        let mut config = servable();
        let told = |config: &Config, can_trace| {
            let mut problems = Vec::new();
            check_otel(config, can_trace, &mut problems);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(&config, false), [""; 0]);
        config.otel.endpoint = Some("http://127.0.0.1:4318/v1/traces".to_owned());
        assert_eq!(told(&config, true), [""; 0]);
        assert!(matches!(&told(&config, false)[..], [line] if line.starts_with("[otel] endpoint: ") && line.contains("--features otel")));
    }

    #[test]
    fn sound_settings_pass_without_a_word() {
        assert_eq!(lines(|_| ()), Vec::<String>::new());
        assert_eq!(lines(|config| config.store.url = StoreUrl::new("postgres://db.example/orders")), Vec::<String>::new());
    }

    #[test]
    fn secret_keys_must_be_there_long_random_and_not_of_dev() {
        refuses(
            |config| config.server.secret_key.clear(),
            "[server] secret_key: is missing: every link, cursor and token is made with it; `openssl rand -base64 32` makes one; \
             set [server] secret_key or ORDERMILL__SERVER__SECRET_KEY",
        );
        let hint = "set [server] secret_key or ORDERMILL__SERVER__SECRET_KEY";
        let with = |text: &str| {
            let key: SecretString = text.into();
            lines(move |config| config.server.secret_key.push(key))
        };
        assert_eq!(with("c2hvcnQ="), [format!("[server] secret_key: is not at least 32 bytes in base64 or hex; {hint}")]);
        assert_eq!(with(&"00".repeat(32)), [format!("[server] secret_key: is not random; {hint}")]);
        let dev_key = format!("ordermill/devkey{}", "Qk9P".repeat(12));
        assert_eq!(with(&dev_key), [format!("[server] secret_key: was made by `ordermill dev`; {hint}")]);
    }

    #[test]
    fn the_public_url_must_be_one_that_others_can_follow() {
        let hint = "set [server] public_url or ORDERMILL__SERVER__PUBLIC_URL";
        refuses(
            |config| config.server.public_url = "shop.example.com".to_owned(),
            &format!("[server] public_url: is not an http:// or https:// URL; {hint}"),
        );
        refuses(
            |config| {
                config.server.public_url = "http://localhost:8080".to_owned();
                config.server.listen = ([0, 0, 0, 0], 8080).into();
            },
            &format!(
                "[server] public_url: is this machine's own address, but others can connect: links in mails would lead nowhere; {hint}"
            ),
        );
        assert_eq!(lines(|config| config.server.public_url = "http://localhost:8080".to_owned()), Vec::<String>::new());
        refuses(
            |config| config.server.public_url = "http://shop.example.com".to_owned(),
            "[server] public_url: note: is not https://: passwords and tokens can be read on the way",
        );
    }

    #[test]
    fn metrics_have_an_address_of_their_own() {
        let same = "[server] ops_listen: is the same as [server] listen: metrics would be public; \
                    set [server] ops_listen or ORDERMILL__SERVER__OPS_LISTEN";
        refuses(|config| config.server.ops_listen = config.server.listen, same);
        refuses(|config| config.server.listen = ([0, 0, 0, 0], 9090).into(), same);
        refuses(
            |config| config.server.ops_listen = ([10, 0, 0, 1], 9090).into(),
            "[server] ops_listen: note: is not a loopback address: whoever reaches it reads the metrics",
        );
        let fresh_ports = |config: &mut Config| {
            config.server.listen = ([127, 0, 0, 1], 0).into();
            config.server.ops_listen = config.server.listen;
        };
        assert_eq!(lines(fresh_ports), Vec::<String>::new());
    }

    #[test]
    fn trusting_every_proxy_is_noted() {
        refuses(
            |config| config.server.trusted_proxies.extend(Cidr::parse("0.0.0.0/0")),
            "[server] trusted_proxies: note: trusts everyone: any client can pretend to be any address",
        );
    }

    #[test]
    fn the_store_must_remember() {
        let hint = "set [store] url or ORDERMILL__STORE__URL";
        refuses(
            |config| config.store.url = StoreUrl::new("memory:"),
            &format!("[store] url: is a store that forgets every order when the process ends; {hint}"),
        );
        refuses(
            |config| config.store.url = StoreUrl::new("orders.db"),
            &format!("[store] url: names no store: it begins with neither sqlite: nor postgres://; {hint}"),
        );
    }

    #[test]
    fn stripe_is_whole_or_not_there() {
        refuses(
            |config| config.stripe.webhook_secrets.clear(),
            "[stripe] webhook_secrets: is missing: [stripe] secret_key is set, and no payment would ever be believed; \
             set [stripe] webhook_secrets or ORDERMILL__STRIPE__WEBHOOK_SECRETS",
        );
        refuses(
            |config| config.stripe.secret_key = None,
            "[stripe] secret_key: is missing: [stripe] webhook_secrets is set, and no payment could be asked for; \
             set [stripe] secret_key or ORDERMILL__STRIPE__SECRET_KEY",
        );
        refuses(
            |config| {
                config.stripe.secret_key = None;
                config.stripe.webhook_secrets.clear();
            },
            "[stripe]: note: is not configured: card payments are refused; to take them, \
             set [stripe] secret_key or ORDERMILL__STRIPE__SECRET_KEY and \
             set [stripe] webhook_secrets or ORDERMILL__STRIPE__WEBHOOK_SECRETS",
        );
    }

    #[test]
    fn stripe_secrets_are_neither_blank_nor_of_dev() {
        let hint = "set [stripe] webhook_secrets or ORDERMILL__STRIPE__WEBHOOK_SECRETS";
        for blank in ["", " \t"] {
            refuses(
                |config| config.stripe.webhook_secrets.push(blank.into()),
                &format!("[stripe] webhook_secrets: is blank: anyone could forge what it is to protect; {hint}"),
            );
        }
        refuses(
            |config| config.stripe.webhook_secrets.push("whsec_dev_abc".into()),
            &format!("[stripe] webhook_secrets: was made by `ordermill dev`; {hint}"),
        );
        refuses(
            |config| config.stripe.secret_key = Some("sk_test_dev_abc".into()),
            "[stripe] secret_key: was made by `ordermill dev`; set [stripe] secret_key or ORDERMILL__STRIPE__SECRET_KEY",
        );
    }

    #[test]
    fn stripe_is_the_real_one_and_reached_safely() {
        let hint = "set [stripe] api_url or ORDERMILL__STRIPE__API_URL";
        refuses(
            |config| config.stripe.api_url = "http://127.0.0.1:8080/dev/stripe".to_owned(),
            &format!("[stripe] api_url: is the simulated Stripe of `ordermill dev`; {hint}"),
        );
        refuses(
            |config| config.stripe.api_url = "http://stripe.example.com".to_owned(),
            &format!("[stripe] api_url: is not https://: the secret key can be read on the way; {hint}"),
        );
        assert_eq!(lines(|config| config.stripe.api_url = "http://127.0.0.1:12111".to_owned()), Vec::<String>::new(), "a mock next door");
    }

    #[test]
    fn a_bank_account_is_whole_real_or_not_there() {
        refuses(
            |config| config.sepay.bank_bin = None,
            "[sepay] bank_bin: is missing: other parts of the account are set, and nobody could transfer to half an account; \
             set [sepay] bank_bin or ORDERMILL__SEPAY__BANK_BIN",
        );
        refuses(
            |config| config.sepay.account_number = Some(dev::ACCOUNT_NUMBER.to_owned()),
            "[sepay] account_number: is the demo account of `ordermill dev`; set [sepay] account_number or ORDERMILL__SEPAY__ACCOUNT_NUMBER",
        );
        let without = lines(|config| {
            config.sepay.bank_bin = None;
            config.sepay.account_number = None;
            config.sepay.account_name = None;
        });
        assert_eq!(without.len(), 1);
        assert!(without.concat().starts_with("[sepay]: note: is not configured: bank transfers are refused; "));
    }

    #[test]
    fn mails_need_a_server_and_a_sender() {
        let (smtp_hint, from_hint) = ("set [mail] smtp_url or ORDERMILL__MAIL__SMTP_URL", "set [mail] from or ORDERMILL__MAIL__FROM");
        refuses(|config| config.mail.smtp_url = None, &format!("[mail] smtp_url: is missing: mails could not be sent; {smtp_hint}"));
        refuses(
            |config| config.mail.smtp_url = Some("mail.example.com".into()),
            &format!("[mail] smtp_url: is not an smtp:// or smtps:// URL; {smtp_hint}"),
        );
        refuses(|config| config.mail.from.clear(), &format!("[mail] from: is missing: every mail needs a sender; {from_hint}"));
        refuses(
            |config| config.mail.from = "Shop".to_owned(),
            &format!("[mail] from: is not an address such as Shop <shop@example.com>; {from_hint}"),
        );
        let hint = "set [mail] timeout_ms or ORDERMILL__MAIL__TIMEOUT_MS";
        refuses(
            |config| config.mail.timeout_ms = 12_001,
            &format!("[mail] timeout_ms: twice this must fit in four fifths of [worker] lease_ms; {hint}"),
        );
        assert_eq!(lines(|config| config.mail.timeout_ms = 12_000), Vec::<String>::new());
    }

    #[test]
    fn notes_alone_refuse_nothing() {
        let mut config = servable();
        config.server.public_url = "http://shop.example.com".to_owned();
        assert_eq!(refuse_unsafe(&config).map(|notes| notes.len()), Ok(1));
        config.mail.smtp_url = None;
        assert_eq!(refuse_unsafe(&config).map_err(|error| error.problems.len()), Err(1), "and a refusal leaves the notes out");
    }
}
