//! Tests of money: the reference vectors, and what must hold for any amount.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct DecimalVector {
    #[serde(rename = "in")]
    input: String,
    cur: Currency,
    minor: Option<i64>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct AllocationVector {
    name: String,
    total: i64,
    weights: Vec<i64>,
    result: Vec<i64>,
}

#[test]
fn decimals_are_read_as_in_the_reference() {
    let vectors: Vec<DecimalVector> = serde_json::from_str(include_str!("../../vectors/money-decimals.json")).unwrap();
    assert_eq!(vectors.len(), 14);
    for vector in vectors {
        let read = Money::parse_decimal(&vector.input, vector.cur);
        let minor = read.map(|money| money.amount).map_err(|error| error.to_string());
        assert_eq!(minor, vector.minor.ok_or_else(|| vector.error.unwrap_or_default()), "{:?} {}", vector.input, vector.cur);
    }
}

#[test]
fn decimals_have_one_syntax() {
    for text in [".", ".5", "5.", "1.2.3", "1,5", "１", "-", "--1", "-+1", "1_000", "0x1", "1 ", "\u{2212}1", "NaN", "1.5\n"] {
        assert_eq!(Money::parse_decimal(text, Currency::USD), Err(MoneyError::Syntax), "{text:?}");
    }
    assert_eq!(Money::parse_decimal("-0.5", Currency::USD), Err(MoneyError::Negative));
    assert_eq!(Money::parse_decimal("92233720368547758.07", Currency::USD), Ok(Money::new(i64::MAX, Currency::USD)));
    assert_eq!(Money::parse_decimal("9223372036854775808", Currency::VND), Err(MoneyError::Overflow));
}

#[test]
fn allocation_is_as_in_the_reference() {
    let vectors: Vec<AllocationVector> = serde_json::from_str(include_str!("../../vectors/money-allocation.json")).unwrap();
    assert_eq!(vectors.len(), 11);
    for vector in vectors {
        assert_eq!(allocate(vector.total, &vector.weights), Ok(vector.result), "{}", vector.name);
    }
}

#[test]
fn allocation_refuses_what_it_cannot_share() {
    assert_eq!(allocate(-1, &[1]), Err(MoneyError::Negative));
    assert_eq!(allocate(1, &[2, -1]), Err(MoneyError::Negative));
    assert_eq!(allocate(1, &[]), Err(MoneyError::NoShares));
    assert_eq!(allocate(0, &[]), Ok(vec![]));
    assert_eq!(allocate(i64::MAX, &[i64::MAX, i64::MAX]), Ok(vec![i64::MAX / 2 + 1, i64::MAX / 2]));
}

#[test]
fn people_read_amounts_in_their_language() {
    let kwd = Currency::parse("KWD").unwrap();
    for (amount, currency, vi, en) in [
        (250_000, Currency::VND, "250.000 ₫", "₫250,000"),
        (0, Currency::VND, "0 ₫", "₫0"),
        (999, Currency::VND, "999 ₫", "₫999"),
        (1_000, Currency::VND, "1.000 ₫", "₫1,000"),
        (-1_234_567, Currency::VND, "-1.234.567 ₫", "-₫1,234,567"),
        (1_050, Currency::USD, "10,50 US$", "$10.50"),
        (5, Currency::USD, "0,05 US$", "$0.05"),
        (-123_456_789, Currency::USD, "-1.234.567,89 US$", "-$1,234,567.89"),
        (1_234, kwd, "1,234 KWD", "KWD 1.234"),
        (i64::MIN, Currency::VND, "-9.223.372.036.854.775.808 ₫", "-₫9,223,372,036,854,775,808"),
    ] {
        let money = Money::new(amount, currency);
        assert_eq!((format_money(money, Locale::Vi).as_str(), format_money(money, Locale::En).as_str()), (vi, en));
    }
}

#[test]
fn logs_show_plain_decimals() {
    assert_eq!(Money::new(-1_050, Currency::USD).to_string(), "-10.50 USD");
    assert_eq!(Money::new(250_000, Currency::VND).to_string(), "250000 VND");
}

#[test]
fn currencies_do_not_mix() {
    let (dong, dollar) = (Money::new(1, Currency::VND), Money::new(1, Currency::USD));
    let refusal = MoneyError::CurrencyMismatch { left: Currency::VND, right: Currency::USD };
    assert_eq!(dong.checked_add(dollar), Err(refusal));
    assert_eq!(dong.checked_sub(dollar), Err(refusal));
}

/// Amounts with a taste for the ends of the range, where wrapping would show.
fn any_amount() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        (0_i64..=3).prop_map(|distance| i64::MAX - distance),
        (0_i64..=3).prop_map(|distance| i64::MIN + distance),
        -3_i64..=3
    ]
}

fn lines() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![0_i64..=3, 0_i64..=1_000_000, 0_i64..=i64::MAX], 1..40)
}

proptest! {
    #[test]
    fn arithmetic_is_exact_or_refused(left in any_amount(), right in any_amount()) {
        let (a, b) = (Money::new(left, Currency::VND), Money::new(right, Currency::VND));
        let exact = |wide: i128| i64::try_from(wide).map(|amount| Money::new(amount, Currency::VND)).map_err(|_| MoneyError::Overflow);
        prop_assert_eq!(a.checked_add(b), exact(i128::from(left) + i128::from(right)));
        prop_assert_eq!(a.checked_sub(b), exact(i128::from(left) - i128::from(right)));
        prop_assert_eq!(a.checked_mul(right), exact(i128::from(left) * i128::from(right)));
    }

    #[test]
    fn shares_add_up_and_are_fair(total in prop_oneof![0_i64..=1_000, 0_i64..=i64::MAX], weights in lines()) {
        let shares = allocate(total, &weights).unwrap();
        prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), i128::from(total));
        let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        if sum > 0 {
            for (share, weight) in shares.iter().zip(&weights) {
                // |share − total·weight/Σw| < 1, multiplied by Σw; 128 bits hold it because Σw ≤ 40·2⁶³.
                let distance = i128::from(*share) * sum - i128::from(total) * i128::from(*weight);
                prop_assert!(distance.abs() < sum, "share {} of weight {}", share, weight);
            }
        }
    }

    #[test]
    fn no_line_gives_more_than_it_costs(weights in lines(), part in 0_u64..=1_000) {
        let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        let total = i64::try_from(sum * i128::from(part) / 1_000).unwrap_or(i64::MAX);
        for (share, weight) in allocate(total, &weights).unwrap().iter().zip(&weights) {
            prop_assert!(share <= weight, "{} of {}", share, weight);
        }
    }

    #[test]
    fn a_written_amount_reads_back(amount in 0_i64..=i64::MAX, code in prop::sample::select(vec!["VND", "USD", "KWD", "CLF"])) {
        let money = Money::new(amount, Currency::parse(code).unwrap());
        let text = money.to_string();
        prop_assert_eq!(Money::parse_decimal(text.split(' ').next().unwrap(), money.currency), Ok(money));
    }

    #[test]
    fn reading_never_panics(text in any::<String>()) {
        let _read = Money::parse_decimal(&text, Currency::USD);
    }
}
