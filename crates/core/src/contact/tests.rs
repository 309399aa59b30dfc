//! Tests of addresses, numbers and header text: the reference vectors, and what must hold for any text.

use super::*;
use proptest::prelude::*;

#[derive(Deserialize)]
struct PhoneVector {
    input: String,
    e164: Option<String>,
    #[serde(rename = "type")]
    kind: Option<PhoneKind>,
}

#[derive(Deserialize)]
struct MaskVector {
    #[serde(rename = "in")]
    input: String,
    masked: String,
}

#[test]
fn numbers_are_read_as_in_the_reference() {
    let vectors: Vec<PhoneVector> = serde_json::from_str(include_str!("../../vectors/phones.json")).unwrap();
    assert_eq!(vectors.len(), 26);
    for vector in vectors {
        let phone = Phone::parse(&vector.input);
        assert_eq!(phone.as_ref().map(|phone| phone.as_str().to_owned()), vector.e164, "{:?}", vector.input);
        assert_eq!(phone.map(|phone| phone.kind()), vector.kind, "{:?}", vector.input);
    }
}

#[test]
fn pasted_numbers_lose_their_typography() {
    for text in ["\u{a0}090\u{a0}123\u{202f}4567 ", "090\u{2011}123\u{2013}4567", "（＋84）　90－123．4567", "84 090 123 4567", "901234567"]
    {
        assert_eq!(Phone::parse(text).as_ref().map(Phone::as_str), Some("+84901234567"), "{text:?}");
    }
}

#[test]
fn other_text_is_no_number() {
    let long = "0".repeat(10_000);
    for text in [
        "+",
        "00",
        "++84901234567",
        "84+901234567",
        "0901234567x",
        "0901234567;1",
        "090\n1234567",
        "+0123456789",
        "+1 015 555 2671",
        "+1415555267",
        "+123",
        "+1234567890123456",
        "+840",
        "০৯০১২৩৪৫৬৭",
        &long,
    ] {
        assert_eq!(Phone::parse(text), None, "{text:?}");
    }
    assert_eq!(Phone::parse("+4915112345678").map(|phone| phone.kind()), Some(PhoneKind::FixedOrMobile));
}

#[test]
fn one_mailbox_has_one_spelling() {
    for (text, kept) in [
        ("a@example.com", "a@example.com"),
        ("  Nguyen.Van.A@Example.COM\n", "nguyen.van.a@example.com"),
        ("test+a@mail.example.com", "test+a@mail.example.com"),
        ("o'brien_{x}%=?^~!#$&*/|`@ex-ample.vn", "o'brien_{x}%=?^~!#$&*/|`@ex-ample.vn"),
    ] {
        assert_eq!(Email::parse(text).as_ref().map(Email::as_str), Some(kept));
    }
}

#[test]
fn other_text_is_no_address() {
    let local_of_65 = format!("{}@example.com", "a".repeat(65));
    let label_of_64 = format!("a@{}.com", "b".repeat(64));
    let address_of_256 = format!("{}@{}.com", "a".repeat(60), vec!["b".repeat(47); 4].join("."));
    assert_eq!(address_of_256.len(), 256);
    for text in [
        "",
        "@",
        "a",
        "a@",
        "@example.com",
        "a@b",
        "a@@example.com",
        "a@b@example.com",
        "a b@example.com",
        "a@exa mple.com",
        "\"a\"@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a\n@example.com",
        "<a@example.com>",
        "a,b@example.com",
        "a;b@example.com",
        "a:b@example.com",
        "a\\b@example.com",
        "a(b)@example.com",
        "a[b]@example.com",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "á@example.com",
        "a@exämple.com",
        "a@.com",
        "a@example.",
        "a@example..com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@-example.com",
        "a@example-.com",
        "a@exa_mple.com",
        "a\0@example.com",
        "a\u{7f}@example.com",
        &local_of_65,
        &label_of_64,
        &address_of_256,
    ] {
        assert_eq!(Email::parse(text), None, "{text:?}");
    }
    let longest = format!("{}@{}.com", "a".repeat(64), ["b".repeat(61), "b".repeat(61), "b".repeat(61)].join("."));
    assert_eq!((longest.len(), Email::parse(&longest).is_some()), (254, true));
}

#[test]
fn masks_are_as_in_the_reference() {
    let vectors: Vec<MaskVector> = serde_json::from_str(include_str!("../../vectors/masks.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let mask = if vector.input.contains('@') { mask_email } else { mask_phone };
        assert_eq!(mask(&vector.input), vector.masked);
    }
    assert_eq!(mask_email("whsec_abc123"), "[redacted]");
    assert_eq!(mask_phone("+12345"), "[redacted]");
    assert_eq!(mask_phone("đđđđđđđđđđ"), "[redacted]");
}

#[test]
fn debug_output_is_masked() {
    let email = Email::parse("nguyen.van.a@example.com").unwrap();
    let phone = Phone::parse("0901234567").unwrap();
    assert_eq!(format!("{email:?} {phone:?}"), "Email(n***@example.com) Phone(+8490*****67)");
}

#[test]
fn a_header_value_is_one_line() {
    for text in ["a\r\nBcc: b@example.com", "a\nb", "a\rb", "a\0b", "a\tb", "a\u{7f}", "a\u{85}b", "a\u{2028}b", "a\u{2029}b"] {
        assert_eq!(HeaderSafe::parse(text), None, "{text:?}");
        assert!(HeaderSafe::parse(HeaderSafe::from_lossy(text).as_str()).is_some(), "{text:?}");
    }
    assert_eq!(HeaderSafe::from_lossy("Đơn hàng\r\nDH000123").as_str(), "Đơn hàng  DH000123");
    assert_eq!(HeaderSafe::parse("Đơn hàng DH000123 📦").unwrap().to_string(), "Đơn hàng DH000123 📦");
    assert_eq!(HeaderSafe::parse(&"a".repeat(999)), None);
    assert_eq!(HeaderSafe::from_lossy(&"đ".repeat(999)).as_str().len(), 998);
}

#[test]
fn json_is_read_through_the_same_door() {
    assert_eq!(serde_json::from_str::<Email>(r#"" A@Example.com""#).unwrap().as_str(), "a@example.com");
    assert_eq!(serde_json::from_str::<Phone>(r#""0901234567""#).unwrap().as_str(), "+84901234567");
    assert!(serde_json::from_str::<Email>(r#""a\u0000@example.com""#).is_err());
    assert!(serde_json::from_str::<Phone>(r#""113""#).is_err());
    assert!(serde_json::from_str::<HeaderSafe>(r#""a\nb""#).is_err());
}

proptest! {
    #[test]
    fn an_accepted_address_is_its_own_spelling(text in "\\PC{0,20}@\\PC{0,20}|[ -~]{1,10}@[a-zA-Z0-9.-]{1,20}") {
        if let Some(email) = Email::parse(&text) {
            prop_assert_eq!(Email::parse(email.as_str()), Some(email.clone()));
            prop_assert!(email.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase()));
            prop_assert!(HeaderSafe::parse(email.as_str()).is_some());
        }
    }

    #[test]
    fn an_accepted_number_is_its_own_spelling(text in "[+0-9 ().-]{0,24}|\\+?(0|84|0084|1)[0-9]{8,11}|\\PC{0,16}") {
        if let Some(phone) = Phone::parse(&text) {
            prop_assert_eq!(Phone::parse(phone.as_str()), Some(phone.clone()));
            prop_assert!(phone.as_str().len() <= 16);
            prop_assert!(phone.masked().contains('*'));
        }
    }

    #[test]
    fn lossy_header_text_is_safe(text in any::<String>()) {
        prop_assert!(HeaderSafe::parse(HeaderSafe::from_lossy(&text).as_str()).is_some());
        let _masks = (mask_email(&text), mask_phone(&text));
    }
}
