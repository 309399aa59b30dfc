//! Order codes in the text of a bank transfer. Banks change the case, drop diacritics and separators, break lines, and glue
//! their own words to ours. This file must not know which orders exist.

use crate::code;
use std::collections::BTreeSet;

/// How sure a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// `SePay` recognised it, or it stands alone in the text: it counts whatever the order's state and amount.
    Clean,
    /// Letters stand before it, or a separator among its digits: it counts only for an open order and exactly its amount.
    Guessed,
}

/// One order that a transfer may be for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The order's number.
    pub number: i64,
    /// How sure that is.
    pub trust: Trust,
}

/// The orders that a transfer names: of the surest kind of reading that finds any. More than one is a question for a person.
pub fn candidates(prefix: &str, recognised: Option<&str>, content: &str) -> Vec<Candidate> {
    if let Some(number) = recognised.and_then(|text| code::parse_number(prefix, text.trim())) {
        return vec![Candidate { number, trust: Trust::Clean }];
    }
    let text = fold(content);
    let readings = [
        (Left::Free, Digits::Together, Trust::Clean),
        (Left::Glued, Digits::Together, Trust::Guessed),
        (Left::Glued, Digits::Split, Trust::Guessed),
    ];
    for (left, digits, trust) in readings {
        let numbers = read_all(prefix, &text, left, digits);
        if !numbers.is_empty() {
            return numbers.into_iter().map(|number| Candidate { number, trust }).collect();
        }
    }
    Vec::new()
}

/// What may stand before a code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// No letter or digit.
    Free,
    /// Anything.
    Glued,
}

/// How the digits of a code may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    /// In one run.
    Together,
    /// Six, with one separator among them.
    Split,
}

fn read_all(prefix: &str, text: &str, left: Left, digits: Digits) -> BTreeSet<i64> {
    let prefix = prefix.to_ascii_uppercase();
    let starts = text.match_indices(&prefix).filter(|(at, _)| {
        let before = text.get(..*at).and_then(|head| head.chars().next_back());
        left == Left::Glued || !before.is_some_and(|character| character.is_ascii_alphanumeric())
    });
    let read = |after: &str| {
        let after = after.strip_prefix(is_separator).unwrap_or(after);
        let digits = match digits {
            Digits::Together => together(after),
            Digits::Split => split(after),
        };
        code::parse_number(&prefix, &format!("{prefix}{}", digits?))
    };
    starts.filter_map(|(at, _)| read(text.get(at + prefix.len()..)?)).collect()
}

/// The whole run of digits at the beginning.
fn together(text: &str) -> Option<String> {
    let digits = leading_digits(text);
    (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()).then(|| digits.to_owned())
}

/// Six digits at the beginning with exactly one separator among them.
fn split(text: &str) -> Option<String> {
    let first = leading_digits(text);
    let rest = text.get(first.len()..)?.strip_prefix(is_separator)?;
    let second = leading_digits(rest);
    let is_whole = !first.is_empty() && !second.is_empty() && first.len() + second.len() == DIGITS_MIN;
    is_whole.then(|| format!("{first}{second}"))
}

/// Codes have at least six digits; more than ten are another number that happens to follow our letters.
const DIGITS_MIN: usize = 6;
const DIGITS_MAX: usize = 10;

fn leading_digits(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '.' | '_' | '-' | '/' | ':' | '#')
}

/// The text as banks would have it: capitals, no diacritics, white space as single spaces. What is no Latin letter of
/// Vietnamese stays and ends a word.
fn fold(text: &str) -> String {
    let letters = text.chars().filter(|character| !is_combining(*character)).flat_map(char::to_uppercase).map(base_letter);
    let mut folded = String::with_capacity(text.len());
    for character in letters {
        if !character.is_whitespace() {
            folded.push(character);
        } else if !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded
}

/// Diacritics that follow their letter, as some phones send them.
fn is_combining(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}')
}

fn base_letter(capital: char) -> char {
    match capital {
        'À' | 'Á' | 'Ả' | 'Ã' | 'Ạ' | 'Ă' | 'Ằ' | 'Ắ' | 'Ẳ' | 'Ẵ' | 'Ặ' | 'Â' | 'Ầ' | 'Ấ' | 'Ẩ' | 'Ẫ' | 'Ậ' => {
            'A'
        }
        'È' | 'É' | 'Ẻ' | 'Ẽ' | 'Ẹ' | 'Ê' | 'Ề' | 'Ế' | 'Ể' | 'Ễ' | 'Ệ' => 'E',
        'Ì' | 'Í' | 'Ỉ' | 'Ĩ' | 'Ị' => 'I',
        'Ò' | 'Ó' | 'Ỏ' | 'Õ' | 'Ọ' | 'Ô' | 'Ồ' | 'Ố' | 'Ổ' | 'Ỗ' | 'Ộ' | 'Ơ' | 'Ờ' | 'Ớ' | 'Ở' | 'Ỡ' | 'Ợ' => {
            'O'
        }
        'Ù' | 'Ú' | 'Ủ' | 'Ũ' | 'Ụ' | 'Ư' | 'Ừ' | 'Ứ' | 'Ử' | 'Ữ' | 'Ự' => 'U',
        'Ỳ' | 'Ý' | 'Ỷ' | 'Ỹ' | 'Ỵ' => 'Y',
        'Đ' => 'D',
        other => other,
    }
}
