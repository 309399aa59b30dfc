//! The texts of mails.

use ordermill_core::contact::HeaderSafe;
use ordermill_core::locale::Locale;
use ordermill_core::order::Order;
use std::path::Path;
use thiserror::Error;

/// The texts of mails, ready to be filled in.
pub struct Templates {}

/// A mail's texts, filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What it is about.
    pub subject: HeaderSafe,
    /// The text for readers without HTML.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// Why a text cannot be used; names file and line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}, line {line}: {why}")]
pub struct TemplateError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Templates {
    /// The built-in texts, and over them those of the operator's folder. All are tried out before anything is sent.
    pub fn load(overrides: Option<&Path>) -> Result<Self, TemplateError> {
        let _ = overrides;
        Ok(Self {})
    }

    /// The mail that tells a customer that the payment arrived.
    pub fn render_order_paid(&self, order: &Order, locale: Locale, public_url: &str) -> Result<Rendered, TemplateError> {
        let _ = (locale, public_url);
        Ok(Rendered { subject: HeaderSafe::from_lossy(&order.code), text: String::new(), html: String::new() })
    }
}
