//! Order codes: what people read out, banks carry in transfer texts, and we print. `DH000123` is order number 123.
//!
//! This file must not hand out numbers; the store does. Codes can be guessed, so no page may take one as proof.

/// The code of the order with that number: the prefix and the number, padded to at least six digits. Numbers start
/// at 1. With a prefix of letters the code has only letters and digits, because banks strip everything else.
pub fn format(prefix: &str, number: i64) -> String {
    debug_assert!(number > 0, "the store numbers orders from 1");
    format!("{prefix}{number:0>DIGITS_MIN$}")
}

/// The number in a code, if the text is exactly what [`format()`] makes for some number, its prefix in any case: a digit
/// more or less, padding beyond six digits or anything around it is no code.
pub fn parse_number(prefix: &str, text: &str) -> Option<i64> {
    let (head, digits) = text.split_at_checked(prefix.len())?;
    let is_overpadded = digits.starts_with('0') && digits.len() > DIGITS_MIN;
    let is_code = head.eq_ignore_ascii_case(prefix)
        && digits.len() >= DIGITS_MIN
        && !is_overpadded
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_code {
        return None;
    }
    digits.parse().ok().filter(|number| *number > 0)
}

/// Wide enough that codes line up for the first million orders; later ones simply grow.
const DIGITS_MIN: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    // The reference also lists codes with a Luhn check digit. Ours carry none, so `with_luhn` is not read.
    #[derive(Deserialize)]
    struct Vector {
        seq: i64,
        code: String,
    }

    #[test]
    fn codes_are_as_in_the_reference() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/order-codes.json")).unwrap();
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            assert_eq!(format("DH", vector.seq), vector.code);
            assert_eq!(parse_number("DH", &vector.code), Some(vector.seq));
            assert_eq!(parse_number("DH", &vector.code.to_lowercase()), Some(vector.seq));
        }
    }

    #[test]
    fn nothing_else_is_a_code() {
        for text in [
            "",
            "DH",
            "DH00012",
            "DH0000123",
            "DH000000",
            "XX000123",
            "000123",
            " DH000123",
            "DH000123 ",
            "DH-000123",
            "DH+00123",
            "DH00012x",
            "DH９９９９９９",
            "Đ000123",
            "DH99999999999999999999",
        ] {
            assert_eq!(parse_number("DH", text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_code_names_its_number(number in 1_i64..=i64::MAX) {
            let code = format("DH", number);
            prop_assert_eq!(parse_number("dh", &code), Some(number));
        }

        #[test]
        fn an_accepted_text_is_the_code(text in "[dD][hH][0-9]{0,20}|\\PC{0,12}") {
            if let Some(number) = parse_number("DH", &text) {
                prop_assert_eq!(format("DH", number), text.to_ascii_uppercase());
            }
        }
    }
}
