//! Tests of codes in transfer texts: every vector of the reference, what must never match, and how sure a match is.

use super::matching::*;
use crate::code;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    name: String,
    code: Option<String>,
    content: String,
    candidates: Vec<String>,
}

fn codes(found: &[Candidate]) -> Vec<String> {
    found.iter().map(|candidate| code::format("DH", candidate.number)).collect()
}

fn trust(content: &str) -> Vec<Trust> {
    candidates("DH", None, content).iter().map(|candidate| candidate.trust).collect()
}

#[test]
fn texts_are_read_as_in_the_reference() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../vectors/transfer-texts.json")).unwrap();
    assert_eq!(vectors.len(), 24);
    for vector in &vectors {
        let found = candidates("DH", vector.code.as_deref(), &vector.content);
        assert_eq!(codes(&found), vector.candidates, "{}", vector.name);
    }
}

#[test]
fn a_guess_is_marked_as_one() {
    assert_eq!(trust("DH000123 thanh toan"), [Trust::Clean]);
    assert_eq!(trust("Đh.000123"), [Trust::Clean]);
    assert_eq!(trust("IBFTDH000123"), [Trust::Guessed]);
    assert_eq!(trust("DH000 123"), [Trust::Guessed]);
    assert_eq!(trust("DH000\r\n123"), [Trust::Guessed]);
    assert_eq!(trust("IBFTDH00 0123"), [Trust::Guessed]);
    // A sure reading hides what could only be guessed.
    assert_eq!(trust("DH000123 IBFTDH000124"), [Trust::Clean]);
}

#[test]
fn diacritics_that_follow_their_letter_are_dropped() {
    let decomposed = "D\u{306}H000123";
    assert_eq!(codes(&candidates("DH", None, decomposed)), ["DH000123"]);
}

#[test]
fn what_is_no_code_is_no_candidate() {
    for content in ["DH0000123", "DH000000", "DH00012A", "DH  00 01 23", "D H000123", "ĐH", "DH٠٠٠١٢٣", "DH99999999999"] {
        assert_eq!(candidates("DH", None, content), [], "{content}");
    }
    assert_eq!(candidates("DH", Some("DH0000123"), ""), []);
    assert_eq!(candidates("DH", Some(" dh000123 "), "").len(), 1);
}

proptest! {
    /// What we print on the pay page is found again in any surroundings that banks are known to make.
    #[test]
    fn a_printed_code_is_found(
        number in 1_i64..=9_999_999_999,
        before in "([A-Z0-9 ]{0,20}[ ./:-])?",
        after in "([ ./-][A-Z0-9 ]{0,20})?",
        is_lower in any::<bool>(),
    ) {
        prop_assume!(!before.contains("DH") && !after.contains("DH"));
        let text = format!("{before}{}{after}", code::format("DH", number));
        let text = if is_lower { text.to_lowercase() } else { text };
        prop_assert_eq!(candidates("DH", None, &text), vec![Candidate { number, trust: Trust::Clean }]);
    }

    #[test]
    fn any_text_is_read_without_harm(recognised in proptest::option::of("\\PC{0,20}"), content in "(\\PC|DH|[0-9 ]){0,60}") {
        for candidate in candidates("DH", recognised.as_deref(), &content) {
            prop_assert!(candidate.number > 0);
        }
    }
}
