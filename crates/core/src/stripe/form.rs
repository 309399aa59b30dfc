//! Request bodies as Stripe's own libraries write them: `application/x-www-form-urlencoded` with bracketed paths.
//!
//! This file must not know what a request means; it only writes pairs down. The order of the pairs is kept, so that the
//! same request has the same bytes and meets its own idempotency key again.

/// A request body that grows pair by pair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    body: String,
}

impl Form {
    /// An empty form.
    pub const fn new() -> Self {
        Self { body: String::new() }
    }

    /// Adds text under a path such as `line_items[0][quantity]`. Empty text unsets what the path names.
    #[must_use]
    pub fn text(mut self, path: &str, value: &str) -> Self {
        if !self.body.is_empty() {
            self.body.push('&');
        }
        percent_encode(path, &mut self.body, Brackets::Literal);
        self.body.push('=');
        percent_encode(value, &mut self.body, Brackets::Encoded);
        self
    }

    /// Adds text if there is some.
    #[must_use]
    pub fn maybe(self, path: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(path, value),
            None => self,
        }
    }

    /// Adds a whole number: an amount on the wire, a quantity.
    #[must_use]
    pub fn number(self, path: &str, value: i64) -> Self {
        self.text(path, &value.to_string())
    }

    /// Adds `true` or `false`.
    #[must_use]
    pub fn flag(self, path: &str, value: bool) -> Self {
        self.text(path, if value { "true" } else { "false" })
    }

    /// The body so far, also fit for a query.
    pub fn as_str(&self) -> &str {
        &self.body
    }

    /// The finished body.
    pub fn finish(self) -> String {
        self.body
    }
}

/// The body of these pairs, in their order.
pub fn encode(pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(Form::new(), |form, (path, value)| form.text(path, value)).finish()
}

/// Brackets are the grammar of a path and plain characters in a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brackets {
    Literal,
    Encoded,
}

fn percent_encode(text: &str, out: &mut String, brackets: Brackets) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'[' | b']' if brackets == Brackets::Literal => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => {
                out.push('%');
                out.push(hex_digit(other >> 4));
                out.push(hex_digit(other & 0xf));
            }
        }
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 })
}
