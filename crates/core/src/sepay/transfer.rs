//! One bank transfer, whichever way we heard of it. This file must not decide what a transfer pays.

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the money went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To us.
    In,
    /// From us: it pays no order.
    Out,
}

impl Direction {
    /// The name that `SePay` and our keys use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// How a transfer is named where we heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferSource {
    /// By a webhook or the first API: a number.
    Numbered(i64),
    /// By the second API: a UUID, which is not the webhook's number.
    Uuid(String),
    /// By a body without any id, of which only tests and simulators are senders.
    Unnamed,
}

/// One movement on one of our accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its name at the place we heard of it.
    pub source: TransferSource,
    /// The bank's brand, such as `Vietcombank`; empty when not told.
    pub gateway: String,
    /// Our account; empty when not told.
    pub account_number: String,
    /// The virtual account, if it came by one.
    pub sub_account: Option<String>,
    /// The code that `SePay` found in the text.
    pub code: Option<String>,
    /// The text of the transfer, as the bank passed it on.
    pub content: String,
    /// Which way.
    pub direction: Direction,
    /// How much, in đồng; above zero.
    pub amount: i64,
    /// The bank's own reference.
    pub reference: Option<String>,
    /// When the bank booked it, if told in a form we know.
    pub booked_at: Option<Timestamp>,
}

impl Transfer {
    /// The unique name at the place we heard of it: `sepay:92704`, `sepay-v2:0d7a…`.
    pub fn source_key(&self) -> Option<String> {
        match &self.source {
            TransferSource::Numbered(id) => Some(format!("sepay:{id}")),
            TransferSource::Uuid(uuid) => Some(format!("sepay-v2:{}", uuid.to_ascii_lowercase())),
            TransferSource::Unnamed => None,
        }
    }

    /// The unique name at the bank, the same whichever way we heard of it; needs the bank's reference.
    pub fn bank_key(&self) -> Option<String> {
        let reference = self.reference.as_deref()?;
        Some(format!("bank:{}|{reference}|{}|{}", self.account_number, self.direction.name(), self.amount))
    }
}
