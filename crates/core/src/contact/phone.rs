//! Phone numbers in E.164, read the way people in Viet Nam write them.
//!
//! This file must not know any operator. It knows the numbering plan of Viet Nam; of other countries only the shape
//! of a number.

use super::mask_phone;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// A phone number as `+` and at most fifteen digits: one spelling per line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Phone(String);

/// What kind of line a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhoneKind {
    /// A mobile of Viet Nam: the only kind that gets SMS.
    Mobile,
    /// A fixed line of Viet Nam.
    FixedLine,
    /// 1900 numbers of Viet Nam.
    Premium,
    /// 1800 numbers of Viet Nam.
    TollFree,
    /// Abroad, where the number does not tell.
    FixedOrMobile,
}

impl Phone {
    /// Reads a number as people write it: with `0`, `84`, `+84` or `0084` in front, with spaces, dots, dashes and
    /// brackets, in full-width digits. Numbers of other countries need their `+` or `00`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = strip_writing(text)?;
        let (is_international, digits) = match (plain.strip_prefix('+'), plain.strip_prefix("00")) {
            (Some(digits), _) | (None, Some(digits)) => (true, digits),
            (None, None) => (false, plain.as_str()),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let national = match digits.strip_prefix(VIET_NAM) {
            Some(national) if is_international || (9..=10).contains(&national.len()) => national,
            _ if is_international => return foreign(digits),
            _ => digits,
        };
        let national = national.strip_prefix('0').unwrap_or(national);
        vietnamese_kind(national).map(|_| Self(format!("+{VIET_NAM}{national}")))
    }

    /// What kind of line it is.
    pub fn kind(&self) -> PhoneKind {
        let national = self.0.strip_prefix("+84");
        national.and_then(vietnamese_kind).unwrap_or(PhoneKind::FixedOrMobile)
    }

    /// The number, beginning with `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number for logs and pages: `+8490*****67`.
    pub fn masked(&self) -> String {
        mask_phone(&self.0)
    }
}

/// The country calling code.
const VIET_NAM: &str = "84";
/// No way of writing fifteen digits needs more characters; longer text is not looked at.
const WRITTEN_CHARS_MAX: usize = 40;

/// Takes the writing off: separators go, full-width forms become ASCII (what NFKC does to them). `None` if anything
/// else than digits and a plus remains.
fn strip_writing(text: &str) -> Option<String> {
    let mut plain = String::new();
    for (index, character) in text.trim().chars().enumerate() {
        match narrow(character) {
            _ if index >= WRITTEN_CHARS_MAX => return None,
            ' ' | '.' | '-' | '(' | ')' => {}
            digit @ '0'..='9' => plain.push(digit),
            '+' if plain.is_empty() => plain.push('+'),
            _ => return None,
        }
    }
    Some(plain)
}

/// The ASCII character a full-width form or a typographic space or dash stands for; others stay.
fn narrow(character: char) -> char {
    match character {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        other => other,
    }
}

/// The kind of a number inside Viet Nam, without its leading 0; `None` if the plan has no such number. The eleven-digit
/// mobiles of before 2018 (`012…`, `016…`) are gone.
fn vietnamese_kind(national: &str) -> Option<PhoneKind> {
    let digits = national.as_bytes();
    match (digits, digits.len()) {
        ([b'1', b'9', b'0', b'0', ..], 8..=10) => Some(PhoneKind::Premium),
        ([b'1', b'8', b'0', b'0', ..], 8..=10) => Some(PhoneKind::TollFree),
        ([b'2', b'0'..=b'9', ..], 10) => Some(PhoneKind::FixedLine),
        (digits, 9) if is_mobile(digits) => Some(PhoneKind::Mobile),
        _ => None,
    }
}

fn is_mobile(national: &[u8]) -> bool {
    matches!(
        national,
        [b'3', ..]
            | [b'5', b'1' | b'6' | b'8' | b'9', ..]
            | [b'5', b'2', b'2' | b'3' | b'8', ..]
            | [b'5', b'5', b'9', ..]
            | [b'7', b'0' | b'6'..=b'9', ..]
            | [b'8', b'1'..=b'8', ..]
            | [b'8', b'9', b'6'..=b'9', ..]
            | [b'9', b'0'..=b'8', ..]
            | [b'9', b'9', b'0' | b'1' | b'3'..=b'9', ..]
    )
}

/// A number of another country by its shape: no calling code starts with 0, E.164 ends at fifteen digits, and North
/// America has ten digits of which the area and the exchange start at 2.
fn foreign(digits: &str) -> Option<Phone> {
    let is_number = match digits.as_bytes() {
        [b'1', b'2'..=b'9', _, _, b'2'..=b'9', rest @ ..] => rest.len() == 6,
        [b'0' | b'1', ..] => false,
        other => (8..=15).contains(&other.len()),
    };
    is_number.then(|| Phone(format!("+{digits}")))
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a phone number"))
    }
}
