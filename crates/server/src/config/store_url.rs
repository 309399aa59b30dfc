//! The store's URL, which may hold a password: shown only as far as that is certain not to show it.
//!
//! This file must not decide what a URL means; `ordermill_store::open` does.

use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// Where the store is. `Debug` and `Display` leave out user, password and parameters.
#[derive(Clone)]
pub struct StoreUrl(SecretString);

impl StoreUrl {
    /// Wraps a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(SecretString::from(url.into()))
    }

    /// The URL of a store in one file.
    pub fn sqlite(path: &std::path::Path) -> Self {
        Self::new(format!("sqlite:{}", path.display()))
    }

    /// The whole URL, for opening the store and nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What comes before the first colon: `sqlite`, `postgres`, `memory`.
    pub fn scheme(&self) -> &str {
        self.expose().split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// The URL for people: a file's path whole, a server's host and database without user, password and parameters.
    /// Where a stray character makes it doubtful what is password and what is host, only the scheme.
    pub fn redacted(&self) -> String {
        if matches!(self.scheme(), "sqlite" | "memory") {
            return self.expose().to_owned();
        }
        self.host_and_database()
            .unwrap_or_else(|| if is_scheme(self.scheme()) { format!("{}:[set]", self.scheme()) } else { "[set]".to_owned() })
    }

    fn host_and_database(&self) -> Option<String> {
        let (scheme, rest) = self.expose().split_once("://")?;
        let end_of_authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end_of_authority)?;
        // An unescaped `/` or `?` in a password ends the authority early and leaves an `@` behind it.
        if !is_scheme(scheme) || tail.contains('@') {
            return None;
        }
        let (credentials, hosts) = authority.rsplit_once('@').map_or(("", authority), |(_, hosts)| ("[set]@", hosts));
        let (database, parameters) = tail.split_once('?').map_or((tail, ""), |(database, _)| (database, "?[set]"));
        let is_plain =
            hosts.split(',').all(is_host) && database.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte));
        is_plain.then(|| format!("{scheme}://{credentials}{hosts}{database}{parameters}"))
    }
}

fn is_scheme(text: &str) -> bool {
    matches!(text, "postgres" | "postgresql")
}

/// `name`, `name:5432`, or either with an address in brackets. A port that is no number could be a password.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (text, ""),
    };
    port.bytes().all(|byte| byte.is_ascii_digit()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({})", self.redacted())
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certainly_no_secret_is_shown() {
        for (url, shown) in [
            ("sqlite:data/ordermill.db", "sqlite:data/ordermill.db"),
            ("memory:", "memory:"),
            ("postgres://db.example/orders", "postgres://db.example/orders"),
            ("postgres://db.example:5432/orders?sslmode=require", "postgres://db.example:5432/orders?[set]"),
            ("postgres://ann:hunter2@db.example:5432/orders", "postgres://[set]@db.example:5432/orders"),
            ("postgres://ann:hunter2@[2001:db8::1]:5432/orders", "postgres://[set]@[2001:db8::1]:5432/orders"),
            ("postgres://ann:hun@ter2@one,two:5433/orders", "postgres://[set]@one,two:5433/orders"),
            ("postgres://ann:hun/ter2@db.example/orders", "postgres:[set]"),
            ("postgres://ann:hun?ter2@db.example/orders", "postgres:[set]"),
            ("postgres://ann:hunter2", "postgres:[set]"),
            ("postgres://db.example/orders?password=hun@ter2", "postgres:[set]"),
            ("hunter2", "[set]"),
            ("hunter2:rest", "[set]"),
        ] {
            let url = StoreUrl::new(url);
            assert_eq!(url.redacted(), shown);
            assert_eq!(format!("{url} {url:?}"), format!("{shown} StoreUrl({shown})"));
        }
    }
}
