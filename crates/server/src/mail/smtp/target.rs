//! `mail.smtp_url` read: where the server is, how the connection is protected, who we are to it. What would send a
//! password in the clear is refused here, before anything connects. This file must not open a connection, and its errors
//! must not repeat the URL, which holds a password.

use super::MailSetupError;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::path::PathBuf;

/// A mail server as its URL describes it.
#[derive(Debug)]
pub(super) struct Target {
    /// Its name or address, without brackets.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// How the connection is protected.
    pub(super) security: Security,
    /// Who we are to it.
    pub(super) credentials: Option<(String, SecretString)>,
    /// A file of certificates that are trusted besides the public ones.
    pub(super) ca: Option<PathBuf>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// TLS after STARTTLS; a server that does not offer it gets nothing.
    StartTls,
    /// None.
    Plain,
}

/// The longest URL that is looked at.
const URL_BYTES_MAX: usize = 2_048;

impl Target {
    /// Reads `smtps://user:password@host[:465]` or `smtp://…[:587]`, with `?tls=required|none` and `?ca=FILE`. Without
    /// `tls`, `smtp:` means `required`, except to a loopback address without a password.
    pub(super) fn parse(url: &SecretString) -> Result<Self, MailSetupError> {
        let fault = |why: &str| MailSetupError::Url(why.to_owned());
        let text = url.expose_secret().trim();
        if text.len() > URL_BYTES_MAX {
            return Err(fault("is too long"));
        }
        let url = reqwest::Url::parse(text).map_err(|_| fault("is not a URL such as smtps://user:password@mail.example.com"))?;
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()).filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| fault("names no host"))?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(fault("has more after the host than ?tls= and ?ca="));
        }
        let credentials = credentials(&url)?;
        let options = Options::of(&url)?;
        let security = match (url.scheme(), options.tls) {
            ("smtps", None | Some(Tls::Required)) => Security::Implicit,
            ("smtps", Some(Tls::None)) => return Err(fault("says smtps and tls=none")),
            ("smtp", Some(Tls::None)) => Security::Plain,
            ("smtp", None) if is_loopback(&host) => Security::Plain,
            ("smtp", None | Some(Tls::Required)) => Security::StartTls,
            _ => return Err(fault("begins with neither smtp:// nor smtps://")),
        };
        if security == Security::Plain && credentials.is_some() {
            return Err(fault("has a password and no TLS: passwords are never sent in the clear; say ?tls=required or smtps://"));
        }
        if security == Security::Plain && options.ca.is_some() {
            return Err(fault("has ?ca= and no TLS"));
        }
        let port = url.port().unwrap_or(match security {
            Security::Implicit => 465,
            Security::StartTls => 587,
            Security::Plain => 25,
        });
        Ok(Self { host, port, security, credentials, ca: options.ca })
    }
}

#[derive(Debug, Clone, Copy)]
enum Tls {
    Required,
    None,
}

#[derive(Default)]
struct Options {
    tls: Option<Tls>,
    ca: Option<PathBuf>,
}

impl Options {
    fn of(url: &reqwest::Url) -> Result<Self, MailSetupError> {
        let mut options = Self::default();
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("tls", "required") => options.tls = Some(Tls::Required),
                ("tls", "none") => options.tls = Some(Tls::None),
                ("tls", _) => return Err(MailSetupError::Url("has a ?tls= that is neither `required` nor `none`".to_owned())),
                ("ca", file) if !file.is_empty() => options.ca = Some(PathBuf::from(file)),
                _ => return Err(MailSetupError::Url("has an option besides ?tls= and ?ca=".to_owned())),
            }
        }
        Ok(options)
    }
}

/// User and password, or neither.
fn credentials(url: &reqwest::Url) -> Result<Option<(String, SecretString)>, MailSetupError> {
    let fault = |why: &str| MailSetupError::Url(why.to_owned());
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(fault("has a user or a password, but not both")),
        (user, Some(password)) => {
            let decoded = percent_decoded(user).zip(percent_decoded(password));
            let (user, password) = decoded.ok_or_else(|| fault("has a user or password that is not percent-encoded UTF-8"))?;
            Ok(Some((user, password.into())))
        }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte == b'%' {
            bytes.extend(hex::decode(after.get(..2)?).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, MailSetupError> {
        Target::parse(&SecretString::from(url))
    }

    #[test]
    fn a_url_says_how_the_connection_is_protected() {
        for (url, host, port, security) in [
            ("smtps://mail.example.com", "mail.example.com", 465, Security::Implicit),
            ("smtps://u:p@mail.example.com:2465?tls=required", "mail.example.com", 2465, Security::Implicit),
            ("smtp://u:p@mail.example.com:587?tls=required", "mail.example.com", 587, Security::StartTls),
            ("smtp://u:p@mail.example.com", "mail.example.com", 587, Security::StartTls),
            ("smtp://mail.example.com/?tls=none", "mail.example.com", 25, Security::Plain),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::Plain),
            ("smtp://[::1]:2525", "::1", 2525, Security::Plain),
            ("smtp://localhost", "localhost", 25, Security::Plain),
            ("smtp://u:p@127.0.0.1:2525?tls=required", "127.0.0.1", 2525, Security::StartTls),
        ] {
            let target = parse(url).unwrap();
            assert_eq!((target.host.as_str(), target.port, target.security), (host, port, security), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let target = parse("smtps://user%40shop.example:p%3A%2F%40ss%20%C3%A9@mail.example.com").unwrap();
        let (user, password) = target.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("user@shop.example", "p:/@ss é"));
    }

    #[test]
    fn unsafe_or_unclear_urls_are_refused_without_repeating_them() {
        for url in [
            "",
            "mail.example.com:587",
            "http://canary-secret@mail.example.com",
            "smtps://",
            "smtp://u:canary-secret@127.0.0.1:2525",
            "smtp://u:canary-secret@mail.example.com?tls=none",
            "smtps://u:canary-secret@mail.example.com?tls=none",
            "smtp://u:canary-secret@mail.example.com?tls=opportunistic",
            "smtp://u:canary-secret@mail.example.com?tsl=required",
            "smtp://u:canary-secret@mail.example.com/path",
            "smtps://canary-secret@mail.example.com",
            "smtps://:canary-secret@mail.example.com",
            "smtps://u:canary-secret%ff@mail.example.com",
            "smtps://u:canary-secret%2@mail.example.com",
            "smtp://127.0.0.1?ca=/canary-secret",
        ] {
            let error = parse(url).unwrap_err();
            assert!(!error.to_string().contains("canary-secret"), "{error}");
        }
    }
}
