//! The texts of mails, in every language, filled in. An operator may replace any of them; all are tried out at start-up,
//! so that a mistake in one shows before the first customer pays and not after.
//!
//! What strangers wrote goes through [`display_text`] and, in HTML, through the escaping that file names ending in `.html`
//! turn on. This file must not decide whether or to whom anything is sent.

mod overrides;
mod view;

use super::display_text;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use ordermill_core::contact::HeaderSafe;
use ordermill_core::locale::Locale;
use ordermill_core::order::Order;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use thiserror::Error;
pub use view::BankAccount;
use view::{OrderView, PasswordReset};

/// The built-in texts by their names, which are also their paths in an operator's folder.
const BUILT_IN: [(&str, &str); 21] = [
    ("layout.html", include_str!("../templates/mail/layout.html")),
    ("order_table.html", include_str!("../templates/mail/order_table.html")),
    ("transfer_table.html", include_str!("../templates/mail/transfer_table.html")),
    ("vi/order_received.subject.txt", include_str!("../templates/mail/vi/order_received.subject.txt")),
    ("vi/order_received.txt", include_str!("../templates/mail/vi/order_received.txt")),
    ("vi/order_received.html", include_str!("../templates/mail/vi/order_received.html")),
    ("en/order_received.subject.txt", include_str!("../templates/mail/en/order_received.subject.txt")),
    ("en/order_received.txt", include_str!("../templates/mail/en/order_received.txt")),
    ("en/order_received.html", include_str!("../templates/mail/en/order_received.html")),
    ("vi/order_paid.subject.txt", include_str!("../templates/mail/vi/order_paid.subject.txt")),
    ("vi/order_paid.txt", include_str!("../templates/mail/vi/order_paid.txt")),
    ("vi/order_paid.html", include_str!("../templates/mail/vi/order_paid.html")),
    ("en/order_paid.subject.txt", include_str!("../templates/mail/en/order_paid.subject.txt")),
    ("en/order_paid.txt", include_str!("../templates/mail/en/order_paid.txt")),
    ("en/order_paid.html", include_str!("../templates/mail/en/order_paid.html")),
    ("vi/password_reset.subject.txt", include_str!("../templates/mail/vi/password_reset.subject.txt")),
    ("vi/password_reset.txt", include_str!("../templates/mail/vi/password_reset.txt")),
    ("vi/password_reset.html", include_str!("../templates/mail/vi/password_reset.html")),
    ("en/password_reset.subject.txt", include_str!("../templates/mail/en/password_reset.subject.txt")),
    ("en/password_reset.txt", include_str!("../templates/mail/en/password_reset.txt")),
    ("en/password_reset.html", include_str!("../templates/mail/en/password_reset.html")),
];

/// The texts of mails, ready to be filled in.
pub struct Templates {
    environment: Environment<'static>,
    /// The names of replaced texts, and where their files are.
    files: BTreeMap<&'static str, String>,
}

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

/// Why a text cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct TemplateError {
    /// The operator's file, or the name of a built-in text.
    pub file: String,
    /// The line, from 1, when it is about one.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}", self.file, self.why),
            None => write!(f, "{}: {}", self.file, self.why),
        }
    }
}

impl Templates {
    /// The built-in texts, and over them those of the operator's folder. Every mail is filled in once with made-up values,
    /// so that a misspelt name in any of them is an error here.
    pub fn load(overrides: Option<&Path>) -> Result<Self, TemplateError> {
        let replaced = overrides.map_or_else(|| Ok(BTreeMap::new()), overrides::read)?;
        let files = replaced.iter().map(|(name, text)| (*name, text.file.clone())).collect();
        let mut templates = Self { environment: environment(), files };
        for (name, built_in) in BUILT_IN {
            let source = replaced.get(name).map_or(built_in, |text| text.source.as_str());
            let added = templates.environment.add_template_owned(name, source.to_owned());
            added.map_err(|error| templates.fault(name, &error))?;
        }
        for locale in Locale::ALL {
            for sample in OrderView::samples_received(locale) {
                templates.render("order_received", locale, &sample.value())?;
            }
            for sample in OrderView::samples(locale) {
                templates.render("order_paid", locale, &sample.value())?;
            }
            for sample in PasswordReset::samples(locale) {
                templates.render("password_reset", locale, &sample.value())?;
            }
        }
        Ok(templates)
    }

    /// The mail that tells a customer that the payment arrived.
    pub fn render_order_paid(&self, order: &Order, locale: Locale, public_url: &str) -> Result<Rendered, TemplateError> {
        self.render("order_paid", locale, &OrderView::of(order, locale, public_url).value())
    }

    /// The mail that tells a customer that the order stands, and how it is paid.
    pub fn render_order_received(
        &self,
        order: &Order,
        account: BankAccount<'_>,
        locale: Locale,
        public_url: &str,
    ) -> Result<Rendered, TemplateError> {
        self.render("order_received", locale, &OrderView::received(order, account, locale, public_url).value())
    }

    /// The mail with the link that leads to a new password.
    pub fn render_password_reset(
        &self,
        name: Option<&str>,
        link: &str,
        locale: Locale,
        public_url: &str,
    ) -> Result<Rendered, TemplateError> {
        self.render("password_reset", locale, &PasswordReset::of(name, link, locale, public_url).value())
    }

    fn render(&self, mail: &str, locale: Locale, values: &Value) -> Result<Rendered, TemplateError> {
        let name = |ending: &str| format!("{}/{mail}.{ending}", locale.name());
        let subject = self.fill(&name("subject.txt"), values)?;
        Ok(Rendered {
            subject: HeaderSafe::from_lossy(&display_text(&subject)),
            text: self.fill(&name("txt"), values)?,
            html: self.fill(&name("html"), values)?,
        })
    }

    fn fill(&self, name: &str, values: &Value) -> Result<String, TemplateError> {
        let template = self.environment.get_template(name).map_err(|error| self.fault(name, &error))?;
        let mut text = template.render(values).map_err(|error| self.fault(name, &error))?;
        if text.trim().is_empty() {
            return Err(TemplateError { file: self.file(name), line: None, why: "there is no text in it".to_owned() });
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        Ok(text)
    }

    /// Says where a text went wrong: the innermost file, because a text may include others.
    fn fault(&self, name: &str, error: &minijinja::Error) -> TemplateError {
        let mut innermost = error;
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if let Some(inner) = inner.downcast_ref::<minijinja::Error>().filter(|inner| inner.name().is_some()) {
                innermost = inner;
            }
            cause = inner.source();
        }
        let why = match innermost.detail() {
            Some(detail) => format!("{}: {detail}", innermost.kind()),
            None => innermost.kind().to_string(),
        };
        TemplateError { file: self.file(innermost.name().unwrap_or(name)), line: innermost.line(), why }
    }

    fn file(&self, name: &str) -> String {
        self.files.get(name).cloned().unwrap_or_else(|| format!("built-in text {name}"))
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(escaping);
    // Names the value that is missing; the values themselves are in no message.
    environment.set_debug(true);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment
}

/// Only plain texts go unescaped; a name that is neither is taken for HTML.
fn escaping(name: &str) -> AutoEscape {
    if Path::new(name).extension().is_some_and(|ending| ending == "txt") { AutoEscape::None } else { AutoEscape::Html }
}

#[cfg(test)]
mod tests;
