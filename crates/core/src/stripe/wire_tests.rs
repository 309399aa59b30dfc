//! Tests of Stripe's way of counting: the reference table, and that no unit is lost on the way there and back.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    zero_decimal: Vec<Currency>,
    two_decimal_wire_but_no_fraction: Vec<Currency>,
    payout_divisible_by_100_only: Vec<Currency>,
    three_decimal_last_digit_zero: Vec<Currency>,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    display: String,
    amount: i64,
}

fn table() -> Table {
    serde_json::from_str(include_str!("../../vectors/stripe-currencies.json")).unwrap()
}

fn money(amount: i64, code: &str) -> Money {
    Money::new(amount, Currency::parse(code).unwrap())
}

#[test]
fn amounts_are_counted_as_in_the_reference() {
    let checks = table().checks;
    assert_eq!(checks.len(), 6);
    for check in checks {
        let (decimal, code) = check.display.split_once(' ').unwrap();
        let currency = Currency::parse(code).unwrap();
        let money = Money::parse_decimal(decimal, currency).unwrap();
        assert_eq!(wire_amount(money), Ok(check.amount), "{}", check.display);
        assert_eq!(from_wire(check.amount, currency), Ok(money), "{}", check.display);
    }
}

#[test]
fn every_currency_has_the_digits_of_the_reference() {
    let table = table();
    assert_eq!(table.zero_decimal.len(), 15);
    for currency in Currency::all() {
        let expected = match currency {
            _ if table.zero_decimal.contains(&currency) => Ok(0),
            _ if table.two_decimal_wire_but_no_fraction.contains(&currency) => Ok(2),
            // Only payouts of these must be whole; charges have two decimals.
            _ if table.payout_divisible_by_100_only.contains(&currency) => Ok(2),
            _ if table.three_decimal_last_digit_zero.contains(&currency) => Ok(3),
            _ if currency.exponent() == 2 => Ok(2),
            _ => Err(WireError::UnsupportedCurrency),
        };
        assert_eq!(wire_digits(currency), expected, "{currency}");
    }
}

#[test]
fn the_three_tables_are_not_mixed() {
    assert_eq!(wire_amount(money(5, "UGX")), Ok(500));
    assert_eq!(wire_amount(money(500, "MGA")), Ok(5));
    assert_eq!(wire_amount(money(501, "MGA")), Err(WireError::TooFine));
    assert_eq!(wire_amount(money(5_120, "KWD")), Ok(5_120));
    assert_eq!(wire_amount(money(5_121, "KWD")), Err(WireError::TooFine));
    assert_eq!(wire_amount(money(1, "IQD")), Err(WireError::UnsupportedCurrency));
    assert_eq!(from_wire(501, Currency::parse("ISK").unwrap()), Err(WireError::TooFine));
    assert_eq!(from_wire(5_121, Currency::parse("KWD").unwrap()).map(|money| money.amount), Ok(5_121));
}

#[test]
fn amounts_beyond_the_range_are_refused() {
    assert_eq!(wire_amount(money(-1, "VND")), Err(WireError::Negative));
    assert_eq!(from_wire(-1, Currency::VND), Err(WireError::Negative));
    assert_eq!(wire_amount(money(i64::MAX, "UGX")), Err(WireError::Overflow));
    assert_eq!(from_wire(i64::MAX, Currency::parse("MGA").unwrap()), Err(WireError::Overflow));
    assert_eq!(wire_amount(money(i64::MAX, "USD")), Ok(i64::MAX));
}

proptest! {
    #[test]
    fn there_and_back_is_the_same(amount in 0_i64..=i64::MAX, index in any::<prop::sample::Index>()) {
        let currencies: Vec<Currency> = Currency::all().collect();
        let money = Money::new(amount, *index.get(&currencies));
        if let Ok(wire) = wire_amount(money) {
            prop_assert_eq!(from_wire(wire, money.currency), Ok(money));
        }
    }
}
