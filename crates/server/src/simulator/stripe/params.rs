//! Request parameters: the form read back, and every rule about single values. It mirrors `ordermill_core::stripe::Form`
//! but must not share code with it: an encoder checked by its own inverse proves nothing.

use super::answer::Answer;
use ordermill_core::digest::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Far more than any request of ours has.
const PAIRS_MAX: usize = 500;
/// Stripe's own limits on metadata.
const METADATA_KEYS_MAX: usize = 50;
const METADATA_KEY_CHARS_MAX: usize = 40;
const METADATA_VALUE_CHARS_MAX: usize = 500;

/// Parameters by path, brackets included: `metadata[orderId]`, `line_items[0][quantity]`. The last of a repeated one counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a form body or a query.
    pub(super) fn parse(form: &[u8]) -> Result<Self, Answer> {
        let malformed = || Answer::error(400, "invalid_request_error", None, "Invalid request: the form cannot be read.");
        let mut params = BTreeMap::new();
        for pair in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (path, value) = pair.split_at(equals);
            let path = decode(path).filter(|path| is_path(path)).ok_or_else(malformed)?;
            let value = decode(value.strip_prefix(b"=").unwrap_or_default()).ok_or_else(malformed)?;
            params.insert(path, value);
            if params.len() > PAIRS_MAX {
                return Err(malformed());
            }
        }
        Ok(Self(params))
    }

    /// Refuses what is not on the list, as Stripe does. `metadata[*]` stands for any one key below.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Answer> {
        let is_known = |path: &str| {
            known.iter().any(|known| match known.strip_suffix("[*]") {
                Some(parent) => child(path, parent).is_some(),
                None => *known == path,
            })
        };
        match self.0.keys().find(|path| !is_known(path)) {
            Some(path) => Err(Answer::invalid(Some("parameter_unknown"), path, &format!("Received unknown parameter: {path}"))),
            None => Ok(()),
        }
    }

    /// Text, if there is some.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Text that must be there.
    pub(super) fn require(&self, path: &str) -> Result<&str, Answer> {
        let message = || format!("Missing required param: {path}.");
        self.text(path).ok_or_else(|| Answer::invalid(Some("parameter_missing"), path, &message()))
    }

    /// A positive whole number that must be there.
    pub(super) fn positive(&self, path: &str) -> Result<i64, Answer> {
        let invalid = |message: &str| Answer::invalid(Some("parameter_invalid_integer"), path, message);
        let text = self.require(path)?;
        let number: i64 = text.parse().map_err(|_| invalid(&format!("Invalid integer: {text}")))?;
        if number < 1 {
            return Err(invalid("This value must be greater than or equal to 1."));
        }
        Ok(number)
    }

    /// `true` or `false`, if it is there.
    pub(super) fn flag(&self, path: &str) -> Result<Option<bool>, Answer> {
        match self.text(path) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Answer::invalid(None, path, &format!("Invalid boolean: {other}"))),
        }
    }

    /// One of a few words, if it is there.
    pub(super) fn word(&self, path: &str, words: &[&str]) -> Result<Option<&str>, Answer> {
        match self.text(path) {
            Some(word) if !words.contains(&word) => {
                Err(Answer::invalid(None, path, &format!("Invalid {path}: must be one of {}", words.join(", "))))
            }
            word => Ok(word),
        }
    }

    /// The metadata of an object that is being made.
    pub(super) fn metadata(&self) -> Result<Map<String, Value>, Answer> {
        let mut metadata = Map::new();
        for (path, value) in &self.0 {
            let Some(key) = child(path, "metadata") else { continue };
            if key.chars().count() > METADATA_KEY_CHARS_MAX || value.chars().count() > METADATA_VALUE_CHARS_MAX {
                return Err(Answer::invalid(None, path, "Metadata keys have up to 40 characters, values up to 500."));
            }
            if !value.is_empty() {
                metadata.insert(key.to_owned(), json!(value));
            }
        }
        if metadata.len() > METADATA_KEYS_MAX {
            return Err(Answer::invalid(None, "metadata", "Metadata has up to 50 keys."));
        }
        Ok(metadata)
    }

    /// Tells one request from another; the order of the pairs does not matter, as at Stripe.
    pub(super) fn fingerprint(&self, operation: &str) -> Digest {
        let pairs = self.0.iter().flat_map(|(path, value)| [path.as_bytes(), value.as_bytes()]);
        let parts: Vec<&[u8]> = [operation.as_bytes()].into_iter().chain(pairs).collect();
        Digest::of_parts(&parts)
    }
}

/// The key in `parent[key]`.
fn child<'a>(path: &'a str, parent: &str) -> Option<&'a str> {
    let key = path.strip_prefix(parent)?.strip_prefix('[')?.strip_suffix(']')?;
    (!key.is_empty() && !key.contains(['[', ']'])).then_some(key)
}

/// `name` followed by any number of `[key]`.
fn is_path(path: &str) -> bool {
    let (name, mut rest) = path.split_at(path.find('[').unwrap_or(path.len()));
    while let Some((key, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        if key.contains('[') {
            return false;
        }
        rest = after;
    }
    rest.is_empty() && !name.is_empty() && !name.contains(']')
}

/// `application/x-www-form-urlencoded` text; `None` for a broken escape or bytes that are no UTF-8.
fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = [*rest.next()?, *rest.next()?];
                let mut decoded = [0];
                hex::decode_to_slice(pair, &mut decoded).ok()?;
                bytes.extend(decoded);
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(form: &str) -> Params {
        Params::parse(form.as_bytes()).unwrap()
    }

    #[test]
    fn reads_nested_paths_and_escapes() {
        let params = params("a=1&metadata[k]=Kh%C3%B3a+h%E1%BB%8Dc%5B%5D&line%5Fitems%5B0%5D[q]=2&empty=&bare&a=3");
        assert_eq!(params.text("a"), Some("3"));
        assert_eq!(params.text("metadata[k]"), Some("Khóa học[]"));
        assert_eq!(params.text("line_items[0][q]"), Some("2"));
        assert_eq!((params.text("empty"), params.text("bare")), (None, None));
        assert_eq!(params.metadata().unwrap().get("k"), Some(&json!("Khóa học[]")));
    }

    #[test]
    fn refuses_what_is_no_form() {
        for form in ["a%=1", "a=%zz", "a=%ff", "a[b=1", "a]b=1", "a[b]c=1", "[a]=1", "=1", "a[[b]]=1"] {
            assert_eq!(Params::parse(form.as_bytes()).unwrap_err().status, 400, "{form}");
        }
    }

    #[test]
    fn unknown_parameters_are_named() {
        let known = &["amount", "metadata[*]"];
        assert!(params("amount=1&metadata[a]=b").only(known).is_ok());
        for form in ["amoun=1", "metadata=1", "metadata[a][b]=1", "amount[x]=1", "metadata[]=1"] {
            let answer = params(form).only(known).unwrap_err();
            assert_eq!(answer.body["error"]["code"], "parameter_unknown", "{form}");
        }
    }

    #[test]
    fn the_order_of_pairs_does_not_make_another_request() {
        assert_eq!(params("a=1&b=2").fingerprint("op"), params("b=2&a=1").fingerprint("op"));
        assert_ne!(params("a=1&b=2").fingerprint("op"), params("a=1&b=3").fingerprint("op"));
        assert_ne!(params("a=1").fingerprint("op"), params("a=1").fingerprint("other"));
    }
}
