//! Stripe's words turned into ours: signed bytes in, facts about money out, and our requests as Stripe reads them.
//!
//! This file and its folder must not call Stripe, read a clock or know an order: they judge one message at a time. An
//! event's own status decides little, because Stripe repeats and reorders what it sends; see [`crate::payment`].

mod form;
mod mode;
mod parse;
mod signature;

pub use form::{Form, encode};
pub use mode::Mode;
pub use parse::{Event, Hint, Meaning, ParseFault, fact_from_dispute, fact_from_payment_intent, fact_from_refund, parse};
pub use signature::{SIGNATURE_TOLERANCE_S, SignatureFault, sign, verify};

use crate::money::{Currency, Money};

/// Why an amount has no form on Stripe's wire, or an amount from the wire none here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WireError {
    /// Stripe has no digits for the currency that we know of.
    #[error("Stripe does not take this currency")]
    UnsupportedCurrency,
    /// The other side counts in larger units, and this amount is no whole number of them.
    #[error("the amount is finer than the currency allows")]
    TooFine,
    /// Stripe's amounts are never negative.
    #[error("the amount is negative")]
    Negative,
    /// The result does not fit 64 bits.
    #[error("the amount is too large")]
    Overflow,
}

/// An amount as Stripe counts it: ¥500 is 500, $10 is 1000, and 5 UGX is 500, because Stripe gives some currencies
/// decimals that ISO does not.
pub fn wire_amount(money: Money) -> Result<i64, WireError> {
    let digits = wire_digits(money.currency)?;
    // For three-decimal currencies Stripe requires the last digit to be zero.
    if digits == 3 && money.amount % 10 != 0 {
        return Err(WireError::TooFine);
    }
    rescale(money.amount, money.currency.exponent(), digits)
}

/// An amount as Stripe counts it, in the currency's own minor unit.
pub fn from_wire(amount: i64, currency: Currency) -> Result<Money, WireError> {
    let amount = rescale(amount, wire_digits(currency)?, currency.exponent())?;
    Ok(Money { amount, currency })
}

/// The decimals of a currency on Stripe's wire: a table of its own, which must not be taken from ISO.
fn wire_digits(currency: Currency) -> Result<u32, WireError> {
    match currency.code() {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => Ok(0),
        // Two decimals that are always 00.
        "ISK" | "UGX" => Ok(2),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => Ok(3),
        _ if currency.exponent() == 2 => Ok(2),
        _ => Err(WireError::UnsupportedCurrency),
    }
}

fn rescale(amount: i64, from_digits: u32, to_digits: u32) -> Result<i64, WireError> {
    if amount < 0 {
        return Err(WireError::Negative);
    }
    let factor = 10_i64.pow(from_digits.abs_diff(to_digits));
    if to_digits >= from_digits {
        return amount.checked_mul(factor).ok_or(WireError::Overflow);
    }
    if amount % factor != 0 {
        return Err(WireError::TooFine);
    }
    Ok(amount / factor)
}

#[cfg(test)]
mod form_tests;
#[cfg(test)]
mod parse_tests;
#[cfg(test)]
mod signature_tests;
#[cfg(test)]
mod wire_tests;
