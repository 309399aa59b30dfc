//! `SePay`'s words turned into ours: proof of who sent a message, the bank transfer it tells of, and the order codes in a
//! transfer's text.
//!
//! This file and its folder must not call `SePay`, read a clock or know an order: they judge one message at a time.

mod matching;
mod notice;
mod signature;
mod transfer;

pub use matching::{Candidate, Trust, candidates};
pub use notice::{NoticeFault, notice_from_fields, notice_from_json};
pub use signature::{SIGNATURE_TOLERANCE_S, SignatureFault, sign, verify_api_key, verify_signature};
pub use transfer::{Direction, Transfer, TransferSource};

#[cfg(test)]
mod matching_tests;
#[cfg(test)]
mod notice_tests;
#[cfg(test)]
mod signature_tests;
