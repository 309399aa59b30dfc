//! Tests of webhook bodies: the shapes that `SePay` documents, lenient numbers, and what is refused.

use super::notice::*;
use super::transfer::*;
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn body() -> Value {
    json!({"id": 92704, "gateway": "Vietcombank", "transactionDate": "2023-03-25 14:02:37", "accountNumber": "0123499999",
        "code": "DH000123", "content": "DH000123 thanh toan", "transferType": "in", "transferAmount": 250_000,
        "accumulated": 19_077_000, "subAccount": null, "referenceCode": "MBVCB.3278907687", "description": ""})
}

fn with(field: &str, value: Value) -> Result<Transfer, NoticeFault> {
    let mut changed = body();
    changed[field] = value;
    notice_from_json(changed.to_string().as_bytes())
}

fn transfer() -> Transfer {
    Transfer {
        source: TransferSource::Numbered(92704),
        gateway: "Vietcombank".into(),
        account_number: "0123499999".into(),
        sub_account: None,
        code: Some("DH000123".into()),
        content: "DH000123 thanh toan".into(),
        direction: Direction::In,
        amount: 250_000,
        reference: Some("MBVCB.3278907687".into()),
        // 07:02:37 UTC.
        booked_at: Some(Timestamp::from_millis(1_679_727_757_000)),
    }
}

#[test]
fn the_documented_body_is_read() {
    assert_eq!(notice_from_json(body().to_string().as_bytes()), Ok(transfer()));
}

#[test]
fn a_form_says_the_same() {
    let fields = [
        ("id", "92704"),
        ("gateway", "Vietcombank"),
        ("transactionDate", "2023-03-25 14:02:37"),
        ("accountNumber", "0123499999"),
        ("subAccount", ""),
        ("code", "DH000123"),
        ("content", "DH000123 thanh toan"),
        ("transferType", "in"),
        ("transferAmount", "250000"),
        ("transferAmount", "1"),
        ("referenceCode", "MBVCB.3278907687"),
    ];
    assert_eq!(notice_from_fields(fields), Ok(transfer()));
}

#[test]
fn the_reduced_body_has_no_name() {
    let transfer = notice_from_json(br#"{"code":"DH000123","transferAmount":10000,"gateway":"VCB"}"#).unwrap();
    assert_eq!((transfer.source_key(), transfer.bank_key()), (None, None));
    assert_eq!((transfer.direction, transfer.amount), (Direction::In, 10_000));
}

#[test]
fn keys_name_a_transfer_by_source_and_by_bank() {
    let transfer = transfer();
    assert_eq!(transfer.source_key().as_deref(), Some("sepay:92704"));
    assert_eq!(transfer.bank_key().as_deref(), Some("bank:0123499999|MBVCB.3278907687|in|250000"));
    let pulled = Transfer { source: TransferSource::Uuid("0D7A-x".into()), ..transfer };
    assert_eq!(pulled.source_key().as_deref(), Some("sepay-v2:0d7a-x"));
}

#[test]
fn numbers_may_be_written_in_several_ways() {
    for written in [json!(250_000), json!("250000"), json!(250_000.0), json!("250000.00"), json!(" 250000 ")] {
        assert_eq!(with("transferAmount", written.clone()).map(|transfer| transfer.amount), Ok(250_000), "{written}");
    }
    for refused in
        [json!(0), json!(-1), json!(1.5), json!("1.5"), json!("1,000"), json!("1e5"), json!("+5"), json!(true), json!(null), json!("")]
    {
        assert_eq!(with("transferAmount", refused.clone()), Err(NoticeFault::BadAmount), "{refused}");
    }
    assert_eq!(with("transferAmount", json!(1e30)), Err(NoticeFault::BadAmount));
}

#[test]
fn what_is_unclear_is_refused() {
    assert_eq!(with("id", json!("abc")), Err(NoticeFault::BadId));
    assert_eq!(with("id", json!({})), Err(NoticeFault::BadId));
    assert_eq!(with("id", json!(null)).map(|transfer| transfer.source), Ok(TransferSource::Unnamed));
    assert_eq!(with("transferType", json!("both")), Err(NoticeFault::BadDirection));
    assert_eq!(with("content", json!("x".repeat(1_001))), Err(NoticeFault::TooLong { field: "content" }));
    assert_eq!(notice_from_json(b"[]"), Err(NoticeFault::NotJson));
    assert_eq!(notice_from_json(b"\xff"), Err(NoticeFault::NotJson));
}

#[test]
fn an_unreadable_time_is_no_time() {
    for text in ["", "yesterday", "2023-13-01 00:00:00", "2023-03-25T14:02:37Z"] {
        assert_eq!(with("transactionDate", json!(text)).map(|transfer| transfer.booked_at), Ok(None), "{text}");
    }
}

proptest! {
    #[test]
    fn hostile_bodies_are_read_or_refused(body in "\\PC{0,200}") {
        let _read = notice_from_json(body.as_bytes());
    }

    #[test]
    fn no_digit_of_an_amount_is_lost(amount in 1_i64..) {
        prop_assert_eq!(with("transferAmount", json!(amount)).map(|transfer| transfer.amount), Ok(amount));
        prop_assert_eq!(with("transferAmount", json!(amount.to_string())).map(|transfer| transfer.amount), Ok(amount));
    }
}
