//! Settings as an operator meets them: layers, origins, faults with their places, and the dev mode's own.

use ordermill::app::{SeededRandomness, SystemRandomness};
use ordermill::config::{ConfigError, Environment, Format, Loaded, Mode, Origin, Overrides, check_serve, dev_config, example, load};
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ordermill-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// The text with this folder's path as `DIR`.
    fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0.display().to_string(), "DIR")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Loads with `ordermill.toml` of this text in the data folder.
fn load_in(folder: &Folder, file: &str, environment: &Environment) -> Result<Loaded, ConfigError> {
    folder.write("ordermill.toml", file);
    load(&Overrides { data_dir: Some(folder.0.clone()), ..Overrides::default() }, environment)
}

fn load_file(file: &str) -> Result<Loaded, ConfigError> {
    load_in(&Folder::new(), file, &Environment::default())
}

fn load_environment<const N: usize>(variables: [(&str, &str); N]) -> Result<Loaded, ConfigError> {
    load_in(&Folder::new(), "", &Environment::from(variables))
}

fn faults(loaded: Result<Loaded, ConfigError>) -> Vec<String> {
    loaded.unwrap_err().problems.iter().map(ToString::to_string).collect()
}

fn listen_and_origin(folder: &Folder, loaded: &Loaded) -> (u16, String) {
    (loaded.config.server.listen.port(), folder.hide_in(&loaded.origin("server.listen").unwrap().to_string()))
}

#[test]
fn flags_beat_the_environment_beats_the_file_beats_defaults() {
    let folder = Folder::new();
    let nothing = Environment::default();
    let variable = Environment::from([("ORDERMILL__SERVER__LISTEN", "127.0.0.1:3")]);
    let file = "[server]\n\nlisten = \"127.0.0.1:2\"\n";

    let loaded = load_in(&folder, "", &nothing).unwrap();
    assert_eq!(listen_and_origin(&folder, &loaded), (8080, "default".to_owned()));
    let loaded = load_in(&folder, file, &nothing).unwrap();
    assert_eq!(listen_and_origin(&folder, &loaded), (2, "DIR/ordermill.toml:3".to_owned()));
    let loaded = load_in(&folder, file, &variable).unwrap();
    assert_eq!(listen_and_origin(&folder, &loaded), (3, "env ORDERMILL__SERVER__LISTEN".to_owned()));
    let overrides =
        Overrides { data_dir: Some(folder.0.clone()), listen: Some(SocketAddr::from(([127, 0, 0, 1], 4))), ..Overrides::default() };
    let loaded = load(&overrides, &variable).unwrap();
    assert_eq!(listen_and_origin(&folder, &loaded), (4, "flag --listen".to_owned()));
    assert_eq!(loaded.config.mode, Mode::Serve);
}

#[test]
fn the_file_is_the_one_named_or_that_in_the_data_folder() {
    let folder = Folder::new();
    folder.write("ordermill.toml", "orders.code_prefix = \"A\"");
    let other = folder.write("other.toml", "orders.code_prefix = \"B\"");
    let prefix = |overrides: &Overrides, environment: &Environment| load(overrides, environment).unwrap().config.orders.code_prefix;

    let data_dir = folder.0.to_str().unwrap();
    assert_eq!(prefix(&Overrides::default(), &Environment::from([("ORDERMILL__DATA_DIR", data_dir)])), "A");
    let named = Overrides { config_file: Some(other), data_dir: Some(folder.0.clone()), listen: None };
    assert_eq!(prefix(&named, &Environment::default()), "B");
    let missing = Overrides { config_file: Some(folder.path("none.toml")), ..Overrides::default() };
    let fault = load(&missing, &Environment::default()).unwrap_err().to_string();
    assert_eq!(folder.hide_in(&fault), "DIR/none.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_secret_can_come_from_a_file_of_its_own() {
    let folder = Folder::new();
    let path = folder.write("stripe-key", "sk_live_abc\n").display().to_string();
    let loaded = load_in(&folder, "", &Environment::from([("ORDERMILL__STRIPE__SECRET_KEY_FILE", path.as_str())])).unwrap();
    assert_eq!(loaded.config.stripe.secret_key.as_ref().unwrap().expose_secret(), "sk_live_abc");
    assert_eq!(loaded.origin("stripe.secret_key"), Some(&Origin::Variable("ORDERMILL__STRIPE__SECRET_KEY_FILE".to_owned())));

    let path = folder.write("webhook-secrets", "whsec_a\r\nwhsec_b\r\n").display().to_string();
    let loaded = load_in(&folder, "", &Environment::from([("ORDERMILL__STRIPE__WEBHOOK_SECRETS_FILE", path.as_str())])).unwrap();
    let secrets: Vec<&str> = loaded.config.stripe.webhook_secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["whsec_a", "whsec_b"]);
}

#[test]
fn a_secret_from_two_places_or_from_none_is_refused() {
    let both = [("ORDERMILL__MAIL__SMTP_URL", "smtp://a"), ("ORDERMILL__MAIL__SMTP_URL_FILE", "/nowhere")];
    assert_eq!(
        faults(load_environment(both)),
        ["ORDERMILL__MAIL__SMTP_URL: is set and so is ORDERMILL__MAIL__SMTP_URL_FILE; unset one of them"]
    );
    assert_eq!(
        faults(load_environment([("ORDERMILL__MAIL__SMTP_URL_FILE", "/nowhere/canary")])),
        ["ORDERMILL__MAIL__SMTP_URL_FILE: names a file that cannot be read: No such file or directory (os error 2)"]
    );
    assert_eq!(
        faults(load_environment([("ORDERMILL__MAIL__FROM_FILE", "/nowhere")])),
        ["ORDERMILL__MAIL__FROM_FILE: there is no such setting; did you mean ORDERMILL__MAIL__FROM?"],
        "only secrets have files"
    );
}

#[test]
fn lists_come_as_arrays_or_with_commas() {
    let list = |loaded: Loaded| loaded.render_table().into_iter().find(|row| row[0] == "server.trusted_proxies").unwrap()[1].clone();
    assert_eq!(list(load_file("").unwrap()), "[]");
    assert_eq!(list(load_file("server.trusted_proxies = [\"10.0.0.0/8\", \"::1\"]").unwrap()), "[10.0.0.0/8, ::1/128]");
    assert_eq!(list(load_file("server.trusted_proxies = \"10.0.0.0/8\"").unwrap()), "[10.0.0.0/8]");
    let variable = |text| load_environment([("ORDERMILL__SERVER__TRUSTED_PROXIES", text)]);
    assert_eq!(list(variable("10.0.0.0/8, 192.0.2.1").unwrap()), "[10.0.0.0/8, 192.0.2.1/32]");
    assert_eq!(list(variable("").unwrap()), "[]");
    assert_eq!(variable("10.0.0.0/8,,").unwrap_err().problems.len(), 1);
}

#[test]
fn blank_secrets_are_no_secrets() {
    for text in ["", " ", "whsec_a,", ","] {
        assert_eq!(
            faults(load_environment([("ORDERMILL__STRIPE__WEBHOOK_SECRETS", text)])),
            ["ORDERMILL__STRIPE__WEBHOOK_SECRETS: [stripe] webhook_secrets must not be blank: give it a value or leave it out"],
            "{text:?}"
        );
    }
    assert_eq!(load_file("stripe.webhook_secrets = [\"whsec_a\", \"\"]").unwrap_err().problems.len(), 1);
    assert!(load_file("stripe.webhook_secrets = []").unwrap().config.stripe.webhook_secrets.is_empty());
}

#[test]
fn defaults_follow_from_other_settings() {
    let config = load_file("server.listen = \"127.0.0.1:9999\"").unwrap().config;
    assert_eq!(config.server.public_url, "http://127.0.0.1:9999");
    assert!(config.store.url.expose().ends_with("/ordermill.db"));
    let config = load_file("server.listen = \"0.0.0.0:80\"\nserver.public_url = \"https://shop.example.com/\"").unwrap().config;
    assert_eq!(config.server.public_url, "https://shop.example.com");
    let mut loaded = load_file("server.listen = \"0.0.0.0:0\"").unwrap();
    loaded.set_bound(SocketAddr::from(([0, 0, 0, 0], 4711)));
    assert_eq!(loaded.config.server.public_url, "http://127.0.0.1:4711");
    assert_eq!(loaded.config.stripe.api_url, "https://api.stripe.com");
}

const CANARY: &str = "tweet4711tweet";

/// Every kind of fault at once: all are told, each with its place, and no value is quoted.
#[test]
fn every_fault_is_told_with_its_place() {
    let folder = Folder::new();
    let file = format!(
        r#"colour = "red"
listen = "127.0.0.1:1"
mail = "{CANARY}"

[server]
lisen = "127.0.0.1:1"
listen = 8080
requests_max = "many"
connections_max = 0
public_url = "{CANARY}"
trusted_proxies = [
    "10.0.0.0/8",
    17,
]

[strpie]
secret_key = "{CANARY}"

[orders]
currency = "{CANARY}"
code_prefix = ""

[[orders.bundles]]
size = 5

[stripe]
webhook_secret = "{CANARY}"
webhook_secrets = ["{CANARY}", true]
secret_key = "{CANARY} "
timeout_ms = 9223372036854775808
api_url = "unended {CANARY}
"#
    );
    let environment = Environment::from([
        ("ORDERMILL__STRIPE__WEBHOOK_SECRET", CANARY),
        ("ORDERMILL__server__LISTEN", CANARY),
        ("ORDERMILL__WORKER__LEASE_MS", "30s"),
        ("ORDERMILL__SERVER__SECRET_KEY", CANARY),
        ("ORDERMILL__LOG__FORMAT", "xml"),
        ("ORDERMILL__MAIL__SMTP_URL_FILE", CANARY),
        ("ORDERMILL_LOG", "not ours to judge"),
        ("PATH", "/bin"),
    ]);
    let error = load_in(&folder, &file, &environment).unwrap_err();
    let text = folder.hide_in(&error.to_string());
    assert!(!format!("{error:?}{text}{environment:?}").contains(CANARY), "{text}");
    insta::assert_snapshot!(text, @r#"
    DIR/ordermill.toml:31: is not TOML: invalid basic string, expected `"`
    DIR/ordermill.toml:1: there is no setting colour before the first section
    DIR/ordermill.toml:2: there is no setting listen before the first section; did you mean [server] listen?
    DIR/ordermill.toml:3: [mail] is a section: write its keys on lines of their own below it
    DIR/ordermill.toml:6: there is no setting lisen in [server]; did you mean listen?
    DIR/ordermill.toml:7: [server] listen must be text in quotation marks, not of type integer
    DIR/ordermill.toml:8: [server] requests_max must be a whole number, not of type string
    DIR/ordermill.toml:9: [server] connections_max must be a whole number from 1 to 1000000
    DIR/ordermill.toml:10: [server] public_url must be an http:// or https:// URL without user, password, ? and #
    DIR/ordermill.toml:11: [server] trusted_proxies must be a list of texts in quotation marks, not of type integer
    DIR/ordermill.toml:16: there is no section [strpie]; did you mean [stripe]?
    DIR/ordermill.toml:20: [orders] currency must be the ISO 4217 code of a currency in circulation, such as VND
    DIR/ordermill.toml:21: [orders] code_prefix must not be blank: give it a value or leave it out
    DIR/ordermill.toml:23: there is no setting bundles in [orders]
    DIR/ordermill.toml:27: there is no setting webhook_secret in [stripe]; did you mean webhook_secrets?
    DIR/ordermill.toml:28: [stripe] webhook_secrets must be a list of texts in quotation marks, not of type boolean
    DIR/ordermill.toml:29: [stripe] secret_key must be letters, digits and signs of ASCII without white space; is it cut off, or an example?
    DIR/ordermill.toml:30: [stripe] timeout_ms must be a whole number from 1 to 3600000
    ORDERMILL__SERVER__SECRET_KEY: [server] secret_key must be at least 32 bytes in base64 or hex; `openssl rand -base64 32` makes some
    ORDERMILL__MAIL__SMTP_URL_FILE: names a file that cannot be read: No such file or directory (os error 2)
    ORDERMILL__WORKER__LEASE_MS: [worker] lease_ms must be a whole number from 100 to 3600000
    ORDERMILL__LOG__FORMAT: [log] format must be json or text
    ORDERMILL__STRIPE__WEBHOOK_SECRET: there is no such setting; did you mean ORDERMILL__STRIPE__WEBHOOK_SECRETS?
    ORDERMILL__server__LISTEN: there is no such setting; did you mean ORDERMILL__SERVER__LISTEN?
    "#);
}

#[test]
fn no_secret_is_ever_shown() {
    let folder = Folder::new();
    let secret_key = format!("{CANARY}{CANARY}{CANARY}{CANARY}");
    let smtp_url = format!("smtp://user:{CANARY}@mail.example.com");
    let store_url = format!("postgres://user:{CANARY}@db.example.com/orders");
    let variables = [
        ("ORDERMILL__SERVER__SECRET_KEY", secret_key.as_str()),
        ("ORDERMILL__STORE__URL", &store_url),
        ("ORDERMILL__STRIPE__SECRET_KEY", CANARY),
        ("ORDERMILL__STRIPE__WEBHOOK_SECRETS", CANARY),
        ("ORDERMILL__MAIL__SMTP_URL", &smtp_url),
    ];
    let redis_url = format!("redis://:{CANARY}@cache.example.com");
    let has_redis = cfg!(feature = "redis");
    let with_redis = variables.into_iter().chain(has_redis.then_some(("ORDERMILL__CACHE__REDIS_URL", redis_url.as_str())));
    let environment: Environment = with_redis.collect();
    let loaded = load_in(&folder, "", &environment).unwrap();
    let rows = loaded.render_table();
    let shown = format!("{loaded:?}{loaded:#?}{rows:?}{:?}{environment:?}", check_serve(&loaded.config));
    assert!(!shown.contains(CANARY), "{shown}");
    let values: Vec<[&str; 2]> = rows.iter().filter(|row| row[1].contains("set]")).map(|row| [row[0].as_str(), row[1].as_str()]).collect();
    assert_eq!(
        values,
        [
            ["server.secret_key", "[set]"],
            ["store.url", "postgres://[set]@db.example.com/orders"],
            ["stripe.secret_key", "[set]"],
            ["stripe.webhook_secrets", "[set]"],
            ["sepay.bank_bin", "[not set]"],
            ["sepay.account_number", "[not set]"],
            ["sepay.account_name", "[not set]"],
            ["mail.smtp_url", "[set]"],
            ["mail.from", "[not set]"],
            ["mail.templates_dir", "[not set]"],
            ["cache.redis_url", if has_redis { "[set]" } else { "[not set]" }],
            ["otel.endpoint", "[not set]"],
        ]
    );
}

#[test]
fn two_secret_keys_are_active_for_a_rotation() {
    let (new, old) = ("ab".repeat(32), "cd".repeat(32));
    let config = load_environment([("ORDERMILL__SERVER__SECRET_KEY", &format!("{new},{old}"))]).unwrap().config;
    let keys: Vec<u8> = config.server.secret_keys().iter().map(|key| key.expose_secret()[0]).collect();
    assert_eq!(keys, [0xab, 0xcd]);
    let three = format!("{new},{old},{new}");
    assert_eq!(
        faults(load_environment([("ORDERMILL__SERVER__SECRET_KEY", &three)])),
        ["ORDERMILL__SERVER__SECRET_KEY: [server] secret_key must be at most 2 secrets"]
    );
}

/// When this fails, the code is right and the file is old: `ordermill config example > ordermill.example.toml`.
#[test]
fn the_example_file_is_as_the_code_makes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ordermill.example.toml");
    let file = std::fs::read_to_string(path).unwrap();
    assert_eq!(file, example(), "run: ordermill config example > ordermill.example.toml");
}

#[test]
fn the_example_changes_nothing_and_all_of_it_is_valid() {
    let folder = Folder::new();
    let values = |loaded: Loaded| loaded.origins.into_iter().map(|row| (row.name, row.value)).collect::<Vec<_>>();
    let plain = values(load_in(&folder, "", &Environment::default()).unwrap());
    assert_eq!(values(load_in(&folder, &example(), &Environment::default()).unwrap()), plain);

    // Lines that are commented out begin with `#` and no space. Only what stands for a secret must not pass for one.
    let example = example();
    let lines = example.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line));
    let everything = lines.collect::<Vec<_>>().join("\n");
    let titles: Vec<String> = faults(load_in(&folder, &everything, &Environment::default()))
        .iter()
        .map(|fault| fault.split_once(": ").unwrap().1.split(" must be").next().unwrap().to_owned())
        .collect();
    assert_eq!(titles, ["[server] secret_key", "[stripe] secret_key", "[stripe] webhook_secrets"]);
}

fn dev_in(folder: &Folder, environment: &Environment) -> Result<Loaded, ConfigError> {
    dev_config(Some(&folder.path("data")), None, environment, &SystemRandomness::default())
}

#[test]
fn dev_needs_nothing_and_everything_works() {
    let folder = Folder::new();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut loaded = dev_config(Some(&folder.path("data")), Some(listen), &Environment::default(), &SeededRandomness::new(1)).unwrap();
    loaded.set_bound(SocketAddr::from(([127, 0, 0, 1], 4711)));
    let config = &loaded.config;
    assert_eq!((config.mode, config.log.format), (Mode::Dev, Format::Text));
    assert_eq!(config.server.secret_keys().len(), 1);
    assert_eq!(config.mail.smtp_url.as_ref().map(ExposeSecret::expose_secret), None);
    let rows: Vec<String> = loaded.render_table().iter().map(|row| folder.hide_in(&row.join(" | "))).collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    data_dir | DIR/data | flag --data
    server.listen | 127.0.0.1:4711 | flag --listen
    server.public_url | http://127.0.0.1:4711 | default
    server.ops_listen | 127.0.0.1:0 | dev
    server.secret_key | [set] | DIR/data/dev.toml:4
    server.trusted_proxies | [] | default
    server.connections_max | 4096 | default
    server.connections_per_address_max | 1024 | default
    server.requests_max | 512 | default
    server.webhook_requests_max | 128 | default
    server.header_timeout_ms | 5000 | default
    server.body_timeout_ms | 10000 | default
    server.request_timeout_ms | 30000 | default
    server.drain_ms | 20000 | default
    server.session_ttl_s | 2592000 | default
    server.login_per_minute | 0 | dev
    server.register_per_minute | 0 | dev
    server.forgot_per_minute | 0 | dev
    store.url | sqlite:DIR/data/ordermill.db | default
    orders.code_prefix | DH | default
    orders.currency | VND | default
    orders.ttl_card_s | 1800 | default
    orders.ttl_transfer_s | 86400 | default
    stripe.secret_key | [set] | DIR/data/dev.toml:7
    stripe.webhook_secrets | [set] | DIR/data/dev.toml:8
    stripe.api_url | http://127.0.0.1:4711/dev/stripe | dev
    stripe.api_version | 2026-10-28.endive | default
    stripe.timeout_ms | 10000 | default
    sepay.bank_bin | 970436 | dev
    sepay.account_number | 0000000000 | dev
    sepay.account_name | ORDERMILL DEV | dev
    mail.smtp_url | [not set] | default
    mail.from | Ordermill Dev <shop@example.com> | dev
    mail.templates_dir | [not set] | default
    mail.timeout_ms | 10000 | default
    mail.password_reset_path | /reset-password | default
    mail.order_received | true | default
    cache.redis_url | [not set] | default
    cache.redis_timeout_ms | 100 | default
    cache.order_list_ms | 30000 | default
    worker.concurrency | 8 | default
    worker.lease_ms | 30000 | default
    log.format | text | dev
    log.level | info | default
    log.keep_mib | 64 | default
    otel.endpoint | [not set] | default
    ");
    for line in [
        "server] secret_key",
        "stripe] secret_key",
        "stripe] webhook_secrets",
        "stripe] api_url",
        "sepay] account_number",
        "mail] smtp_url",
    ] {
        assert!(check_serve(config).iter().any(|found| found.place.ends_with(line)), "serve accepts dev's [{line}");
    }
}

#[test]
fn dev_keeps_its_secrets_private_and_uses_them_again() {
    let folder = Folder::new();
    let secrets = |loaded: &Loaded| {
        let config = &loaded.config;
        let all = config.server.secret_key.iter().chain(&config.stripe.secret_key).chain(&config.stripe.webhook_secrets);
        all.map(|secret| secret.expose_secret().to_owned()).collect::<Vec<_>>()
    };
    let first = secrets(&dev_in(&folder, &Environment::default()).unwrap());
    assert_eq!(first.len(), 3);
    let path = folder.path("data/dev.toml");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    assert_eq!(std::fs::read_dir(folder.path("data")).unwrap().count(), 1, "no draft is left");

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(secrets(&dev_in(&folder, &Environment::default()).unwrap()), first);
    assert_eq!(mode(), 0o600, "made private again");
    let variable = Environment::from([("ORDERMILL__STRIPE__WEBHOOK_SECRETS", "whsec_mine")]);
    assert_eq!(secrets(&dev_in(&folder, &variable).unwrap())[2], "whsec_mine");

    let other = Folder::new();
    let others = secrets(&dev_in(&other, &Environment::default()).unwrap());
    assert!(first.iter().all(|secret| !others.contains(secret)));
}

#[test]
fn dev_follows_the_environment() {
    let folder = Folder::new();
    let environment =
        Environment::from([("ORDERMILL__SERVER__PUBLIC_URL", "https://tunnel.example.com"), ("ORDERMILL__LOG__FORMAT", "json")]);
    let mut loaded = dev_in(&folder, &environment).unwrap();
    loaded.set_bound(SocketAddr::from(([127, 0, 0, 1], 4711)));
    assert_eq!(loaded.config.stripe.api_url, "https://tunnel.example.com/dev/stripe");
    assert_eq!(loaded.config.log.format, Format::Json);
}

#[test]
fn a_broken_dev_file_is_a_fault_with_its_line() {
    let folder = Folder::new();
    dev_in(&folder, &Environment::default()).unwrap();
    folder.write("data/dev.toml", "[server]\nsecret_keys = 1\n");
    let fault = dev_in(&folder, &Environment::default()).unwrap_err().to_string();
    assert_eq!(folder.hide_in(&fault), "DIR/data/dev.toml:2: there is no setting secret_keys in [server]; did you mean secret_key?");
    folder.write("data/dev.toml", "[stripe]\nsecret_key = \"sk_test_dev_a\"\nwebhook_secrets = [\"whsec_dev_a\"]\n");
    let fault = dev_in(&folder, &Environment::default()).unwrap_err().to_string();
    assert_eq!(folder.hide_in(&fault), "DIR/data/dev.toml: [server] secret_key is missing; remove the file, and it is made anew");
}
