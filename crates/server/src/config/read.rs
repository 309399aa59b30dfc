//! What single values must look like, whoever gives them. Whether values fit together is for `serve.rs`.
//!
//! Each function gets a text that is not blank and gives it back in its one spelling; a fault completes "must be …" and
//! never quotes the value.

use super::settings::decode_key;
use ordermill_core::contact::HeaderSafe;
use reqwest::Url;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

/// An address of the web, without a slash at the end, so that paths can be put behind it.
pub(super) fn web_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let url = url.filter(is_plain).ok_or("an http:// or https:// URL without user, password, ? and #")?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Where on our site a page is; white space or a second question mark would break the link that it becomes part of.
pub(super) fn path(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '"', '<', '>']);
    if is_path { Ok(text.to_owned()) } else { Err("a path such as /reset-password, without ? and #") }
}

/// Longer codes get cut off in the texts of transfers.
const CODE_PREFIX_BYTES_MAX: usize = 8;

pub(super) fn code_prefix(text: &str) -> Result<String, &'static str> {
    let is_prefix = text.len() <= CODE_PREFIX_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_prefix { Ok(text.to_owned()) } else { Err("1 to 8 capital letters from A to Z") }
}

/// Something pasted, such as a key: white space around it or dots from a manual are slips that only show much later.
pub(super) fn token(text: &str) -> Result<String, &'static str> {
    let is_token = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token {
        Ok(text.to_owned())
    } else {
        Err("letters, digits and signs of ASCII without white space; is it cut off, or an example?")
    }
}

pub(super) fn key(text: &str) -> Result<String, &'static str> {
    let is_key = decode_key(&SecretString::from(text)).is_some();
    if is_key { Ok(text.to_owned()) } else { Err("at least 32 bytes in base64 or hex; `openssl rand -base64 32` makes some") }
}

pub(super) fn bank_bin(text: &str) -> Result<String, &'static str> {
    let is_bin = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_bin { Ok(text.to_owned()) } else { Err("six digits") }
}

/// As much as the field of a transfer's QR code holds.
const ACCOUNT_NUMBER_BYTES_MAX: usize = 19;

pub(super) fn account_number(text: &str) -> Result<String, &'static str> {
    let is_account = text.len() <= ACCOUNT_NUMBER_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_account { Ok(text.to_owned()) } else { Err("at most 19 letters and digits, without spaces") }
}

/// Something that people read, and that must not add headers to a mail.
pub(super) fn one_line(text: &str) -> Result<String, &'static str> {
    HeaderSafe::parse(text).map(|line| line.as_str().to_owned()).ok_or("one line without control characters")
}

pub(super) fn smtp_url(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
    url.map(|_| text.to_owned()).ok_or("an smtp:// or smtps:// URL; signs such as @ or / in a password are written %40, %2F")
}

/// Also says so when this build has no such cache: a setting that does nothing would only be found out under load.
pub(super) fn redis_url(text: &str) -> Result<String, &'static str> {
    crate::cache::refuse(text).map_or_else(|| Ok(text.to_owned()), Err)
}

pub(super) fn log_level(text: &str) -> Result<String, &'static str> {
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|_| "a level (error, warn, info, debug, trace) or directives such as info,ordermill=debug")
}

/// Whether the URL's host is this machine, for everyone who reads it.
pub(super) fn is_loopback_url(text: &str) -> bool {
    let url = Url::parse(text).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|address| address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_urls_lose_the_slash_at_their_end() {
        for (text, url) in [
            ("https://shop.example.com", "https://shop.example.com"),
            ("https://Shop.example.com/", "https://shop.example.com"),
            ("http://127.0.0.1:8080/shop/", "http://127.0.0.1:8080/shop"),
        ] {
            assert_eq!(web_url(text).as_deref(), Ok(url));
        }
        for text in [
            "shop.example.com",
            "ftp://shop.example.com",
            "https://",
            "https://ann:pw@shop.example.com",
            "https://a.example/?b",
            "https://a.example/#b",
        ] {
            assert!(web_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn single_values_have_their_form() {
        assert!(["DH", "A", "ABCDEFGH"].iter().all(|text| code_prefix(text).is_ok()));
        assert!(["dh", "DH-", "ABCDEFGHI", "ĐH"].iter().all(|text| code_prefix(text).is_err()));
        assert!(token("whsec_abc+/=").is_ok());
        assert!(["whsec_…", " whsec_a", "whsec_a\n"].iter().all(|text| token(text).is_err()));
        assert!(bank_bin("970436").is_ok());
        assert!(["97043", "9704360", "97043A"].iter().all(|text| bank_bin(text).is_err()));
        assert!(account_number("0011001234567").is_ok());
        assert!(["0011 001", "01234567890123456789"].iter().all(|text| account_number(text).is_err()));
        assert!(["smtp://127.0.0.1:2525", "smtps://a:b@mail.example.com"].iter().all(|text| smtp_url(text).is_ok()));
        assert!(["127.0.0.1:2525", "http://mail.example.com", "smtp:"].iter().all(|text| smtp_url(text).is_err()));
        let has_redis = cfg!(feature = "redis");
        assert!(["redis://127.0.0.1:6379/0", "redis://:a@cache"].iter().all(|text| redis_url(text).is_ok() == has_redis));
        assert!(["127.0.0.1:6379", "http://cache", "redis:"].iter().all(|text| redis_url(text).is_err()));
        assert!(["info", "warn,ordermill=debug"].iter().all(|text| log_level(text).is_ok()));
        assert!(log_level("ordermill=loud").is_err());
        assert!(path("/account/reset").is_ok());
        assert!(["reset", "/reset?a=b", "/re set", "/đặt-lại"].iter().all(|text| path(text).is_err()));
        assert!(one_line("Shop\r\nBcc: eve@example.com").is_err());
    }

    #[test]
    fn loopback_has_many_names() {
        for text in [
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://127.9.9.9:1",
            "http://[::1]:8080",
            "http://shop.localhost",
            "http://0.0.0.0",
        ] {
            assert!(is_loopback_url(text), "{text}");
        }
        for text in ["https://shop.example.com", "http://10.0.0.1", "http://localhost.example.com", "nonsense"] {
            assert!(!is_loopback_url(text), "{text}");
        }
    }
}
