//! What kinds of settings there are: how text or TOML becomes a value of each kind, and how the value is shown.
//!
//! Nothing here may put a value into a message: it may be a secret in the wrong place.

use super::{Cidr, Config, Format, StoreUrl};
use ordermill_core::money::Currency;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use toml::de::DeValue;

/// The kind of a setting, and which field of the [`Config`] it is: the way in and out.
pub(super) enum Field {
    Text(fn(&mut Config) -> &mut String, Read),
    OptionalText(fn(&mut Config) -> &mut Option<String>, Read),
    Folder(fn(&mut Config) -> &mut PathBuf),
    OptionalFolder(fn(&mut Config) -> &mut Option<PathBuf>),
    Address(fn(&mut Config) -> &mut SocketAddr),
    Count(fn(&mut Config) -> &mut usize, RangeInclusive<usize>),
    /// A time whose unit the name says, for time-outs.
    Limit(fn(&mut Config) -> &mut u64, RangeInclusive<u64>),
    /// A time whose unit the name says, for adding to points in time.
    Span(fn(&mut Config) -> &mut i64, RangeInclusive<i64>),
    Networks(fn(&mut Config) -> &mut Vec<Cidr>),
    Currency(fn(&mut Config) -> &mut Currency),
    Switch(fn(&mut Config) -> &mut bool),
    Format(fn(&mut Config) -> &mut Format),
    Store(fn(&mut Config) -> &mut StoreUrl),
    Secret(fn(&mut Config) -> &mut Option<SecretString>, Read),
    /// At most so many.
    Secrets(fn(&mut Config) -> &mut Vec<SecretString>, Read, usize),
}

/// Checks a text that is not blank, and may bring it into its one spelling. The fault completes "must be …".
pub(super) type Read = fn(&str) -> Result<String, &'static str>;

/// A value as somebody wrote it.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// From the environment, a flag or the table of defaults.
    Text(&'a str),
    /// From a file.
    Toml(&'a DeValue<'a>),
}

impl Field {
    /// Whether the value must never be shown, and may come from a file of its own.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(..) | Self::Secrets(..) | Self::Store(_))
    }

    /// Whether the value is several values.
    pub(super) const fn is_list(&self) -> bool {
        matches!(self, Self::Networks(_) | Self::Secrets(..))
    }

    /// Whether TOML writes the value without quotation marks.
    pub(super) const fn is_bare(&self) -> bool {
        matches!(self, Self::Count(..) | Self::Limit(..) | Self::Span(..) | Self::Switch(_))
    }

    /// What kind of value that is, for documents.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(..) | Self::OptionalText(..) => "text",
            Self::Folder(_) | Self::OptionalFolder(_) => "folder",
            Self::Address(_) => "address:port",
            Self::Count(..) | Self::Limit(..) | Self::Span(..) => "whole number",
            Self::Networks(_) => "list of networks",
            Self::Currency(_) => "currency",
            Self::Switch(_) => "true or false",
            Self::Format(_) => "json or text",
            Self::Store(_) => "store URL",
            Self::Secret(..) => "secret",
            Self::Secrets(..) => "list of secrets",
        }
    }

    /// Puts a value into its place. The fault completes a sentence that begins with the setting's name.
    pub(super) fn put(&self, config: &mut Config, given: Given<'_>) -> Result<(), String> {
        match self {
            Self::Text(field, read) => *field(config) = read_text(given, *read)?,
            Self::OptionalText(field, read) => *field(config) = Some(read_text(given, *read)?),
            Self::Folder(field) => *field(config) = PathBuf::from(text(given)?),
            Self::OptionalFolder(field) => *field(config) = Some(PathBuf::from(text(given)?)),
            Self::Address(field) => {
                *field(config) = text(given)?.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:8080".to_owned())?;
            }
            Self::Count(field, range) => *field(config) = number(given, range)?,
            Self::Limit(field, range) => *field(config) = number(given, range)?,
            Self::Span(field, range) => *field(config) = number(given, range)?,
            Self::Networks(field) => {
                let networks = entries(given)?.iter().map(|entry| Cidr::parse(entry)).collect::<Option<_>>();
                *field(config) = networks.ok_or("must be networks such as 10.0.0.0/8, with no bits set beyond the prefix")?;
            }
            Self::Currency(field) => {
                *field(config) =
                    Currency::parse(text(given)?).ok_or("must be the ISO 4217 code of a currency in circulation, such as VND")?;
            }
            Self::Switch(field) => *field(config) = switch(given)?,
            Self::Format(field) => {
                *field(config) = format(text(given)?).ok_or("must be json or text")?;
            }
            Self::Store(field) => *field(config) = StoreUrl::new(text(given)?),
            Self::Secret(field, read) => *field(config) = Some(read_text(given, *read)?.into()),
            Self::Secrets(field, read, at_most) => *field(config) = secrets(given, *read, *at_most)?,
        }
        Ok(())
    }

    /// The value for people, secrets only as set or not set. Takes the settings mutably because the way in is the way
    /// out; it changes nothing.
    pub(super) fn show(&self, config: &mut Config) -> String {
        match self {
            Self::Text(field, _) => shown(Some(field(config).as_str()).filter(|text| !text.is_empty())),
            Self::OptionalText(field, _) => shown(field(config).as_deref()),
            Self::Folder(field) => field(config).display().to_string(),
            Self::OptionalFolder(field) => shown(field(config).as_ref().map(|path| path.display()).as_ref()),
            Self::Address(field) => field(config).to_string(),
            Self::Count(field, _) => field(config).to_string(),
            Self::Limit(field, _) => field(config).to_string(),
            Self::Span(field, _) => field(config).to_string(),
            Self::Networks(field) => {
                let networks: Vec<String> = field(config).iter().map(ToString::to_string).collect();
                format!("[{}]", networks.join(", "))
            }
            Self::Currency(field) => field(config).to_string(),
            Self::Switch(field) => field(config).to_string(),
            Self::Format(field) => (if *field(config) == Format::Json { "json" } else { "text" }).to_owned(),
            Self::Store(field) => field(config).redacted(),
            Self::Secret(field, _) => shown(field(config).as_ref().map(|_| "[set]")),
            Self::Secrets(field, ..) => shown(field(config).first().map(|_| "[set]")),
        }
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "[not set]".to_owned(), |value| value.to_string())
}

fn text(given: Given<'_>) -> Result<&str, String> {
    let text = match given {
        Given::Text(text) => text,
        Given::Toml(DeValue::String(text)) => text,
        Given::Toml(other) => return Err(wrong_type("text in quotation marks", other)),
    };
    if text.trim().is_empty() { Err("must not be blank: give it a value or leave it out".to_owned()) } else { Ok(text) }
}

fn read_text(given: Given<'_>, read: Read) -> Result<String, String> {
    read(text(given)?).map_err(|fault| format!("must be {fault}"))
}

fn number<N: TryFrom<i64> + PartialOrd + std::fmt::Display>(given: Given<'_>, range: &RangeInclusive<N>) -> Result<N, String> {
    let number = match given {
        Given::Text(text) => text.parse().ok(),
        Given::Toml(DeValue::Integer(integer)) => i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        Given::Toml(other) => return Err(wrong_type("a whole number", other)),
    };
    let in_range = number.and_then(|number| N::try_from(number).ok()).filter(|number| range.contains(number));
    in_range.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn switch(given: Given<'_>) -> Result<bool, String> {
    match given {
        Given::Text("true") | Given::Toml(DeValue::Boolean(true)) => Ok(true),
        Given::Text("false") | Given::Toml(DeValue::Boolean(false)) => Ok(false),
        Given::Text(_) => Err("must be true or false".to_owned()),
        Given::Toml(other) => Err(wrong_type("true or false, without quotation marks", other)),
    }
}

/// The entries of a list: a TOML array or one string, or text with commas or line breaks between entries.
fn entries(given: Given<'_>) -> Result<Vec<&str>, String> {
    match given {
        Given::Text(text) if text.trim().is_empty() => Ok(Vec::new()),
        Given::Text(text) => Ok(text.split([',', '\n']).map(str::trim).collect()),
        Given::Toml(DeValue::String(text)) => Ok(vec![text]),
        Given::Toml(DeValue::Array(array)) => {
            let entry = |value: &'_ DeValue<'_>| wrong_type("a list of texts in quotation marks", value);
            array.iter().map(|value| value.get_ref().as_str().ok_or_else(|| entry(value.get_ref()))).collect()
        }
        Given::Toml(other) => Err(wrong_type("a list of texts in quotation marks", other)),
    }
}

fn secrets(given: Given<'_>, read: Read, at_most: usize) -> Result<Vec<SecretString>, String> {
    // An empty list is a decision, but a variable that is set to nothing is a slip, and an empty secret no secret.
    if let Given::Text(_) = given {
        text(given)?;
    }
    let entries = entries(given)?;
    if entries.len() > at_most {
        return Err(format!("must be at most {at_most} secrets"));
    }
    entries.into_iter().map(|entry| read_text(Given::Text(entry), read).map(SecretString::from)).collect()
}

fn format(text: &str) -> Option<Format> {
    match text {
        "json" => Some(Format::Json),
        "text" => Some(Format::Text),
        _ => None,
    }
}

fn wrong_type(wanted: &str, found: &DeValue<'_>) -> String {
    format!("must be {wanted}, not of type {}", found.type_str())
}
