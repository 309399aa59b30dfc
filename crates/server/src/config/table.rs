//! Every setting there is: the one table from which loading, origins, the example file and the documents follow.
//!
//! A name, a default or a meaning must stand nowhere else. To add a setting: a field in `settings.rs`, a row here, and
//! `ordermill config example > ordermill.example.toml`.

use super::field::Field;
use super::read;

/// One setting.
pub struct Setting {
    section: &'static str,
    key: &'static str,
    preset: Preset,
    doc: &'static str,
    pub(super) field: Field,
}

/// What holds where nobody says anything.
#[derive(Debug, Clone, Copy)]
pub(super) enum Preset {
    /// This value, written as in the environment.
    Value(&'static str),
    /// Nothing, or something that follows from other settings, as the doc line says; this is what a value might look like.
    Unset(&'static str),
}

impl Setting {
    /// The section of the file, empty for a key before all sections.
    pub const fn section(&self) -> &'static str {
        self.section
    }

    /// The key in its section.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// One sentence for people.
    pub const fn doc(&self) -> &'static str {
        self.doc
    }

    /// The default, written as in the environment, if there is a fixed one.
    pub const fn default_text(&self) -> Option<&'static str> {
        match self.preset {
            Preset::Value(text) => Some(text),
            Preset::Unset(_) => None,
        }
    }

    /// What kind of value it takes.
    pub fn kind(&self) -> &'static str {
        self.field.kind()
    }

    /// Whether the value is never shown, and can be read from a file of its own.
    pub const fn is_secret(&self) -> bool {
        self.field.is_secret()
    }

    /// `server.listen`.
    pub fn name(&self) -> String {
        if self.section.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.section, self.key) }
    }

    /// `[server] listen`, as people find it in the file.
    pub fn title(&self) -> String {
        if self.section.is_empty() { self.key.to_owned() } else { format!("[{}] {}", self.section, self.key) }
    }

    /// `ORDERMILL__SERVER__LISTEN`.
    pub fn variable(&self) -> String {
        let section = if self.section.is_empty() { String::new() } else { format!("{}__", self.section) };
        format!("{VARIABLE_PREFIX}{}", format!("{section}{}", self.key).to_ascii_uppercase())
    }

    /// `ORDERMILL__SERVER__SECRET_KEY_FILE`, for secrets.
    pub fn file_variable(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.variable()))
    }

    pub(super) const fn preset(&self) -> Preset {
        self.preset
    }
}

/// What the names of all our variables begin with. One that does and is no setting's is refused.
pub(super) const VARIABLE_PREFIX: &str = "ORDERMILL__";

/// The setting of that section and key.
pub(super) fn find(section: &str, key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == key)
}

/// The sections of the file and what each is about, in the order of the file.
pub(super) const SECTIONS: [(&str, &str); 10] = [
    ("server", "Who may connect, and how long anything may take."),
    ("store", "Where orders are kept."),
    ("orders", "How orders are numbered, priced and given up."),
    ("stripe", "Card payments; without a secret key they are refused."),
    ("sepay", "Bank transfers; without an account they are refused."),
    ("mail", "How mails leave."),
    ("cache", "What is kept at hand; nothing is lost with it."),
    ("worker", "How jobs are worked off."),
    ("log", "What is written to standard error, and kept in the data folder."),
    ("otel", "Where traces go."),
];

/// One key makes tokens, the one before it is still believed: that is all a rotation needs.
const SECRET_KEYS_MAX: usize = 2;
/// Stripe signs with two secrets during a rotation; twice as many leaves room for a second endpoint.
const WEBHOOK_SECRETS_MAX: usize = 4;
/// A time-out beyond an hour is a slip in the unit.
const TIMEOUT_MS_MAX: u64 = 3_600_000;
/// A year: neither an order nor a log-in waits longer.
const TTL_S_MAX: i64 = 31_536_000;
/// More than the file descriptors and memory of any machine this is made for.
const CONNECTIONS_MAX: usize = 1_000_000;
/// One in a millisecond; whoever wants more wants none.
const PER_MINUTE_MAX: u64 = 60_000;

/// Beyond a tebibyte, a slip in the unit.
const LOG_MIB_MAX: u64 = 1 << 20;

/// Every setting, in the order of the file.
pub static SETTINGS: &[Setting] = &[
    Setting {
        section: "",
        key: "data_dir",
        preset: Preset::Value("ordermill-data"),
        doc: "Where this process keeps its files; relative paths here and below start at the working directory.",
        field: Field::Folder(|config| &mut config.data_dir),
    },
    Setting {
        section: "server",
        key: "listen",
        preset: Preset::Value("127.0.0.1:8080"),
        doc: "Where the API and the pages are served.",
        field: Field::Address(|config| &mut config.server.listen),
    },
    Setting {
        section: "server",
        key: "public_url",
        preset: Preset::Unset("https://shop.example.com"),
        doc: "What people and providers type to get there; http:// and the address of `listen` unless set.",
        field: Field::Text(|config| &mut config.server.public_url, read::web_url),
    },
    Setting {
        section: "server",
        key: "ops_listen",
        preset: Preset::Value("127.0.0.1:9090"),
        doc: "Where /metrics is served; keep it off the internet.",
        field: Field::Address(|config| &mut config.server.ops_listen),
    },
    Setting {
        section: "server",
        key: "secret_key",
        preset: Preset::Unset("<openssl rand -base64 32>"),
        doc: "Makes every token: 32 random bytes in base64 or hex; to rotate, put a new one before the old one.",
        field: Field::Secrets(|config| &mut config.server.secret_key, read::key, SECRET_KEYS_MAX),
    },
    Setting {
        section: "server",
        key: "trusted_proxies",
        preset: Preset::Value(""),
        doc: "Networks whose X-Forwarded-For is believed, such as 10.0.0.0/8.",
        field: Field::Networks(|config| &mut config.server.trusted_proxies),
    },
    Setting {
        section: "server",
        key: "connections_max",
        preset: Preset::Value("4096"),
        doc: "Connections at once; then the one that has waited longest for its client gives way to a new one.",
        field: Field::Count(|config| &mut config.server.connections_max, 1..=CONNECTIONS_MAX),
    },
    Setting {
        section: "server",
        key: "connections_per_address_max",
        preset: Preset::Value("1024"),
        doc: "Connections that one client address may hold; further ones are closed. trusted_proxies are not counted.",
        field: Field::Count(|config| &mut config.server.connections_per_address_max, 1..=CONNECTIONS_MAX),
    },
    Setting {
        section: "server",
        key: "requests_max",
        preset: Preset::Value("512"),
        doc: "Requests at once, webhooks not counted; more are told to come back.",
        field: Field::Count(|config| &mut config.server.requests_max, 1..=CONNECTIONS_MAX),
    },
    Setting {
        section: "server",
        key: "webhook_requests_max",
        preset: Preset::Value("128"),
        doc: "Webhook requests at once: their own share, so that a rush of buyers cannot keep payments out.",
        field: Field::Count(|config| &mut config.server.webhook_requests_max, 1..=CONNECTIONS_MAX),
    },
    Setting {
        section: "server",
        key: "header_timeout_ms",
        preset: Preset::Value("5000"),
        doc: "How long a client may take over its headers.",
        field: Field::Limit(|config| &mut config.server.header_timeout_ms, 1..=TIMEOUT_MS_MAX),
    },
    Setting {
        section: "server",
        key: "body_timeout_ms",
        preset: Preset::Value("10000"),
        doc: "How long a client may take over its body.",
        field: Field::Limit(|config| &mut config.server.body_timeout_ms, 1..=TIMEOUT_MS_MAX),
    },
    Setting {
        section: "server",
        key: "request_timeout_ms",
        preset: Preset::Value("30000"),
        doc: "How long an answer may take.",
        field: Field::Limit(|config| &mut config.server.request_timeout_ms, 1..=TIMEOUT_MS_MAX),
    },
    Setting {
        section: "server",
        key: "drain_ms",
        preset: Preset::Value("20000"),
        doc: "How long a stop waits for what is under way.",
        field: Field::Limit(|config| &mut config.server.drain_ms, 0..=TIMEOUT_MS_MAX),
    },
    Setting {
        section: "server",
        key: "session_ttl_s",
        preset: Preset::Value("2592000"),
        doc: "How long a log-in lasts: 30 days.",
        field: Field::Span(|config| &mut config.server.session_ttl_s, 1..=TTL_S_MAX),
    },
    Setting {
        section: "server",
        key: "login_per_minute",
        preset: Preset::Value("60"),
        doc: "Log-ins that one client address may try in a minute, on each node; 0 for no limit, as dev has it.",
        field: Field::Limit(|config| &mut config.server.login_per_minute, 0..=PER_MINUTE_MAX),
    },
    Setting {
        section: "server",
        key: "register_per_minute",
        preset: Preset::Value("30"),
        doc: "Registrations of one client address in a minute; 0 for no limit, as dev has it.",
        field: Field::Limit(|config| &mut config.server.register_per_minute, 0..=PER_MINUTE_MAX),
    },
    Setting {
        section: "server",
        key: "forgot_per_minute",
        preset: Preset::Value("10"),
        doc: "Mails for a new password that one client address may ask for in a minute; 0 for no limit, as dev has it.",
        field: Field::Limit(|config| &mut config.server.forgot_per_minute, 0..=PER_MINUTE_MAX),
    },
    Setting {
        section: "store",
        key: "url",
        preset: Preset::Unset("postgres://ordermill:password@db.example.com/ordermill"),
        doc: "sqlite:PATH or postgres://…; sqlite and ordermill.db in `data_dir` unless set.",
        field: Field::Store(|config| &mut config.store.url),
    },
    Setting {
        section: "orders",
        key: "code_prefix",
        preset: Preset::Value("DH"),
        doc: "What order codes begin with: capital letters, because banks strip everything else.",
        field: Field::Text(|config| &mut config.orders.code_prefix, read::code_prefix),
    },
    Setting {
        section: "orders",
        key: "currency",
        preset: Preset::Value("VND"),
        doc: "What prices are in.",
        field: Field::Currency(|config| &mut config.orders.currency),
    },
    Setting {
        section: "orders",
        key: "ttl_card_s",
        preset: Preset::Value("1800"),
        doc: "How long an order waits for a card payment: half an hour.",
        field: Field::Span(|config| &mut config.orders.ttl_card_s, 1..=TTL_S_MAX),
    },
    Setting {
        section: "orders",
        key: "ttl_transfer_s",
        preset: Preset::Value("86400"),
        doc: "How long an order waits for a bank transfer: a day.",
        field: Field::Span(|config| &mut config.orders.ttl_transfer_s, 1..=TTL_S_MAX),
    },
    Setting {
        section: "stripe",
        key: "secret_key",
        preset: Preset::Unset("sk_live_…"),
        doc: "The secret API key.",
        field: Field::Secret(|config| &mut config.stripe.secret_key, read::token),
    },
    Setting {
        section: "stripe",
        key: "webhook_secrets",
        preset: Preset::Unset("whsec_…"),
        doc: "What Stripe signs webhooks with; two while one is being replaced.",
        field: Field::Secrets(|config| &mut config.stripe.webhook_secrets, read::token, WEBHOOK_SECRETS_MAX),
    },
    Setting {
        section: "stripe",
        key: "api_url",
        preset: Preset::Value("https://api.stripe.com"),
        doc: "Where the API is.",
        field: Field::Text(|config| &mut config.stripe.api_url, read::web_url),
    },
    Setting {
        section: "stripe",
        key: "api_version",
        preset: Preset::Value("2026-10-28.endive"),
        doc: "Which version of the API we speak; others are untested.",
        field: Field::Text(|config| &mut config.stripe.api_version, read::token),
    },
    Setting {
        section: "stripe",
        key: "timeout_ms",
        preset: Preset::Value("10000"),
        doc: "How long one call may take.",
        field: Field::Limit(|config| &mut config.stripe.timeout_ms, 1..=TIMEOUT_MS_MAX),
    },
    Setting {
        section: "sepay",
        key: "bank_bin",
        preset: Preset::Unset("970436"),
        doc: "The bank's number in the QR codes of transfers.",
        field: Field::OptionalText(|config| &mut config.sepay.bank_bin, read::bank_bin),
    },
    Setting {
        section: "sepay",
        key: "account_number",
        preset: Preset::Unset("0123456789"),
        doc: "The account that customers transfer to.",
        field: Field::OptionalText(|config| &mut config.sepay.account_number, read::account_number),
    },
    Setting {
        section: "sepay",
        key: "account_name",
        preset: Preset::Unset("CONG TY VI DU"),
        doc: "Whose account that is.",
        field: Field::OptionalText(|config| &mut config.sepay.account_name, read::one_line),
    },
    Setting {
        section: "mail",
        key: "smtp_url",
        preset: Preset::Unset("smtps://user:password@mail.example.com"),
        doc: "The mail server: smtp:// or smtps://, with user and password.",
        field: Field::Secret(|config| &mut config.mail.smtp_url, read::smtp_url),
    },
    Setting {
        section: "mail",
        key: "from",
        preset: Preset::Unset("Shop <shop@example.com>"),
        doc: "Who mails are from.",
        field: Field::Text(|config| &mut config.mail.from, read::one_line),
    },
    Setting {
        section: "mail",
        key: "templates_dir",
        preset: Preset::Unset("templates"),
        doc: "Texts that replace the built-in ones.",
        field: Field::OptionalFolder(|config| &mut config.mail.templates_dir),
    },
    Setting {
        section: "mail",
        key: "timeout_ms",
        preset: Preset::Value("10000"),
        doc: "How long handing over one mail may take.",
        field: Field::Limit(|config| &mut config.mail.timeout_ms, 1..=TIMEOUT_MS_MAX),
    },
    Setting {
        section: "mail",
        key: "password_reset_path",
        preset: Preset::Value("/reset-password"),
        doc: "Your page for a new password, behind `public_url`; mails lead to it with ?token=.",
        field: Field::Text(|config| &mut config.mail.password_reset_path, read::path),
    },
    Setting {
        section: "mail",
        key: "order_received",
        preset: Preset::Value("true"),
        doc: "Whether signed-in customers get a mail for each order, unless they switched it off: one row more per order.",
        field: Field::Switch(|config| &mut config.mail.order_received),
    },
    Setting {
        section: "cache",
        key: "redis_url",
        preset: Preset::Unset("redis://:password@127.0.0.1:6379/0"),
        doc: "The Redis that all nodes share, needed to keep order lists on Postgres; a build with the feature `redis`.",
        field: Field::Secret(|config| &mut config.cache.redis_url, read::redis_url),
    },
    Setting {
        section: "cache",
        key: "redis_timeout_ms",
        preset: Preset::Value("100"),
        doc: "How long one call of Redis may take before we go on without it.",
        field: Field::Limit(|config| &mut config.cache.redis_timeout_ms, 1..=10_000),
    },
    Setting {
        section: "cache",
        key: "order_list_ms",
        preset: Preset::Value("30000"),
        doc: "How long a customer's order list is kept at most, unless an order changes first; 0 for never.",
        field: Field::Span(|config| &mut config.cache.order_list_ms, 0..=3_600_000),
    },
    Setting {
        section: "worker",
        key: "concurrency",
        preset: Preset::Value("8"),
        doc: "Jobs of one queue at once.",
        field: Field::Count(|config| &mut config.worker.concurrency, 1..=1024),
    },
    Setting {
        section: "worker",
        key: "lease_ms",
        preset: Preset::Value("30000"),
        doc: "How long a job is one worker's before another may take it over.",
        field: Field::Span(|config| &mut config.worker.lease_ms, 100..=3_600_000),
    },
    Setting {
        section: "log",
        key: "format",
        preset: Preset::Value("json"),
        doc: "json for machines, text for people.",
        field: Field::Format(|config| &mut config.log.format),
    },
    Setting {
        section: "log",
        key: "level",
        preset: Preset::Value("info"),
        doc: "What is worth a line: a level, or directives such as warn,ordermill=debug.",
        field: Field::Text(|config| &mut config.log.level, read::log_level),
    },
    Setting {
        section: "log",
        key: "keep_mib",
        preset: Preset::Value("64"),
        doc: "How much is kept under DIR/logs for `ordermill logs`, as JSON; 0 for nothing.",
        field: Field::Limit(|config| &mut config.log.keep_mib, 0..=LOG_MIB_MAX),
    },
    Setting {
        section: "otel",
        key: "endpoint",
        preset: Preset::Unset("http://127.0.0.1:4318/v1/traces"),
        doc: "The collector that takes traces by OTLP/HTTP; needs a build with the feature `otel`. Without one none are made.",
        field: Field::OptionalText(|config| &mut config.otel.endpoint, read::web_url),
    },
];

#[cfg(test)]
mod tests {
    use super::super::{Config, Mode};
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_setting_has_a_name_of_its_own_and_a_section_that_exists() {
        let names: BTreeSet<String> =
            SETTINGS.iter().flat_map(|setting| [Some(setting.variable()), setting.file_variable()]).flatten().collect();
        let secrets = SETTINGS.iter().filter(|setting| setting.is_secret()).count();
        assert_eq!(names.len(), SETTINGS.len() + secrets);
        for setting in SETTINGS {
            assert!(
                setting.section().is_empty() || SECTIONS.iter().any(|(section, _)| *section == setting.section()),
                "{}",
                setting.name()
            );
            assert!(setting.doc().ends_with('.') && !setting.doc().contains('\n'), "{}", setting.name());
            assert_eq!(find(setting.section(), setting.key()).map(Setting::name), Some(setting.name()));
        }
    }

    #[test]
    fn names_have_three_forms() {
        let key = find("server", "secret_key").unwrap();
        assert_eq!((key.name(), key.title()), ("server.secret_key".to_owned(), "[server] secret_key".to_owned()));
        assert_eq!(key.variable(), "ORDERMILL__SERVER__SECRET_KEY");
        assert_eq!(key.file_variable().as_deref(), Some("ORDERMILL__SERVER__SECRET_KEY_FILE"));
        let folder = find("", "data_dir").unwrap();
        assert_eq!(
            (folder.name(), folder.title(), folder.variable()),
            ("data_dir".into(), "data_dir".into(), "ORDERMILL__DATA_DIR".into())
        );
        assert_eq!(folder.file_variable(), None);
    }

    /// A field without a row in the table would show up here as empty or 0.
    #[test]
    fn defaults_reach_every_field() {
        let config = Config::defaults(Mode::Serve, Path::new("data"));
        insta::assert_snapshot!(format!("{config:#?}"), @r#"
        Config {
            mode: Serve,
            data_dir: "data",
            server: ServerConfig {
                listen: 127.0.0.1:8080,
                public_url: "http://127.0.0.1:8080",
                ops_listen: 127.0.0.1:9090,
                secret_key: [],
                trusted_proxies: [],
                connections_max: 4096,
                connections_per_address_max: 1024,
                requests_max: 512,
                webhook_requests_max: 128,
                header_timeout_ms: 5000,
                body_timeout_ms: 10000,
                request_timeout_ms: 30000,
                drain_ms: 20000,
                session_ttl_s: 2592000,
                login_per_minute: 60,
                register_per_minute: 30,
                forgot_per_minute: 10,
            },
            store: StoreConfig {
                url: StoreUrl(sqlite:data/ordermill.db),
            },
            orders: OrdersConfig {
                code_prefix: "DH",
                currency: VND,
                ttl_card_s: 1800,
                ttl_transfer_s: 86400,
            },
            stripe: StripeConfig {
                secret_key: None,
                webhook_secrets: [],
                api_url: "https://api.stripe.com",
                api_version: "2026-10-28.endive",
                timeout_ms: 10000,
            },
            sepay: SepayConfig {
                bank_bin: None,
                account_number: None,
                account_name: None,
            },
            mail: MailConfig {
                smtp_url: None,
                from: "",
                templates_dir: None,
                timeout_ms: 10000,
                password_reset_path: "/reset-password",
                order_received: true,
            },
            cache: CacheConfig {
                redis_url: None,
                redis_timeout_ms: 100,
                order_list_ms: 30000,
            },
            worker: WorkerConfig {
                concurrency: 8,
                lease_ms: 30000,
            },
            log: LogConfig {
                format: Json,
                level: "info",
                keep_mib: 64,
            },
            otel: OtelConfig {
                endpoint: None,
            },
        }
        "#);
    }
}
