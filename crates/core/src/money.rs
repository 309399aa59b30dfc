//! Amounts of money as whole minor units, and the only arithmetic allowed on them.
//!
//! No floats, no arithmetic across currencies, no silent overflow, and what is written for people is never parsed
//! back. This file must not know a provider's way of counting nor any tax.

mod currency;

pub use currency::Currency;

use crate::locale::Locale;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in a currency's minor unit: 250 000 ₫ is `250_000`, $10.50 is `1_050`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; may be negative in balances.
    pub amount: i64,
    /// In which currency.
    pub currency: Currency,
}

/// Why an amount could not be computed or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit 64 bits.
    #[error("overflow")]
    Overflow,
    /// Two currencies met.
    #[error("cannot reckon {left} with {right}")]
    CurrencyMismatch {
        /// Of the first amount.
        left: Currency,
        /// Of the second amount.
        right: Currency,
    },
    /// Not digits with an optional point.
    #[error("syntax")]
    Syntax,
    /// More decimals than the currency has.
    #[error("too many decimals")]
    TooManyDecimals,
    /// A negative amount where none may be.
    #[error("negative")]
    Negative,
    /// Something to share out and nobody to share it.
    #[error("nothing to allocate to")]
    NoShares,
}

impl Money {
    /// An amount of minor units.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// The sum; both must be of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.require_same_currency(other)?;
        self.with(i128::from(self.amount) + i128::from(other.amount))
    }

    /// The difference; both must be of one currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.require_same_currency(other)?;
        self.with(i128::from(self.amount) - i128::from(other.amount))
    }

    /// This amount `quantity` times.
    pub fn checked_mul(self, quantity: i64) -> Result<Self, MoneyError> {
        self.with(i128::from(self.amount) * i128::from(quantity))
    }

    /// Reads a plain decimal of major units: digits, and a point with at most the currency's decimals. `250.000` is no
    /// amount of VND, because it means 250 000 to a Vietnamese and 250 to a program.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        if let Some(rest) = text.strip_prefix('-') {
            return Err(Self::parse_decimal(rest, currency).map_or(MoneyError::Syntax, |_| MoneyError::Negative));
        }
        let (whole, decimals) = match text.split_once('.') {
            Some((_, "")) => return Err(MoneyError::Syntax),
            Some(parts) => parts,
            None => (text, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(MoneyError::Syntax);
        }
        let exponent = currency.exponent() as usize;
        if decimals.len() > exponent {
            return Err(MoneyError::TooManyDecimals);
        }
        let padding = std::iter::repeat_n(b'0', exponent - decimals.len());
        let amount = whole.bytes().chain(decimals.bytes()).chain(padding).try_fold(0_i64, push_digit);
        amount.map(|amount| Self { amount, currency }).ok_or(MoneyError::Overflow)
    }

    fn require_same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
    }

    fn with(self, amount: i128) -> Result<Self, MoneyError> {
        let amount = i64::try_from(amount).map_err(|_| MoneyError::Overflow)?;
        Ok(Self { amount, currency: self.currency })
    }
}

fn push_digit(number: i64, digit: u8) -> Option<i64> {
    number.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
}

/// Shares `total` out in proportion to `weights` without losing a unit (largest remainder; of equal remainders the
/// earlier line gets the unit). Weights that are all zero share evenly. While `total` ≤ Σ weights no share exceeds its
/// own weight, so a discount or refund never exceeds a line.
pub fn allocate(total: i64, weights: &[i64]) -> Result<Vec<i64>, MoneyError> {
    if total < 0 || weights.iter().any(|weight| *weight < 0) {
        return Err(MoneyError::Negative);
    }
    if weights.is_empty() {
        return if total == 0 { Ok(Vec::new()) } else { Err(MoneyError::NoShares) };
    }
    let is_even = weights.iter().all(|weight| *weight == 0);
    let weight_of = |weight: &i64| if is_even { 1 } else { i128::from(*weight) };
    let weight_sum: i128 = weights.iter().map(weight_of).sum();
    let products = weights.iter().map(|weight| i128::from(total) * weight_of(weight));

    let mut shares = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, product) in products.enumerate() {
        shares.push(i64::try_from(product / weight_sum).map_err(|_| MoneyError::Overflow)?);
        remainders.push((std::cmp::Reverse(product % weight_sum), index));
    }
    remainders.sort_unstable();
    // Fewer units are left than there are lines: each lost less than one by rounding down.
    let mut left = i128::from(total) - shares.iter().map(|share| i128::from(*share)).sum::<i128>();
    for (_, index) in remainders {
        if left == 0 {
            break;
        }
        if let Some(share) = shares.get_mut(index) {
            *share += 1;
            left -= 1;
        }
    }
    Ok(shares)
}

/// An amount as people of that language write it: `250.000 ₫` and `10,50 US$`, or `₫250,000` and `$10.50`.
pub fn format_money(money: Money, locale: Locale) -> String {
    let sign = if money.amount < 0 { "-" } else { "" };
    let (group, point) = match locale {
        Locale::Vi => ('.', ','),
        Locale::En => (',', '.'),
    };
    let (whole, decimals) = money.digits();
    let mut number = grouped(&whole, group);
    if !decimals.is_empty() {
        number.push(point);
        number.push_str(&decimals);
    }
    match (locale, symbol(money.currency, locale)) {
        (Locale::Vi, Some(symbol)) => format!("{sign}{number} {symbol}"),
        (Locale::Vi, None) => format!("{sign}{number} {}", money.currency),
        (Locale::En, Some(symbol)) => format!("{sign}{symbol}{number}"),
        (Locale::En, None) => format!("{sign}{} {number}", money.currency),
    }
}

impl Money {
    /// The digits before and after the point, without a sign.
    fn digits(self) -> (String, String) {
        let exponent = self.currency.exponent() as usize;
        // One digit more than the decimals, so that there is always one before the point.
        let mut whole = format!("{:0>width$}", self.amount.unsigned_abs(), width = exponent + 1);
        let decimals = whole.split_off(whole.len() - exponent);
        (whole, decimals)
    }
}

fn grouped(digits: &str, separator: char) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// The sign that readers of that language take for this currency and no other; the rest are written by their code.
fn symbol(currency: Currency, locale: Locale) -> Option<&'static str> {
    match (currency.code(), locale) {
        ("VND", _) => Some("₫"),
        ("USD", Locale::En) => Some("$"),
        ("USD", Locale::Vi) => Some("US$"),
        ("EUR", _) => Some("€"),
        ("GBP", _) => Some("£"),
        ("JPY", Locale::En) => Some("¥"),
        ("JPY", Locale::Vi) => Some("JP¥"),
        _ => None,
    }
}

impl fmt::Display for Money {
    /// The plain form for logs and errors: `10.50 USD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount < 0 { "-" } else { "" };
        let (whole, decimals) = self.digits();
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{decimals} {}", self.currency)
    }
}

#[cfg(test)]
mod tests;
