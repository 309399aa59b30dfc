//! What is for sale. Prices here are the only prices: a client's total is at most a guard (see [`crate::order`]).

use crate::id::ProductId;
use crate::money::{Currency, Money};
use serde::{Deserialize, Serialize};

/// Whether a product is sent by a carrier or delivered as a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductKind {
    /// Has stock and is shipped.
    Physical,
    /// Has no stock and is delivered as a link.
    Digital,
}

impl ProductKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Physical, Self::Digital];

    /// The name in storage and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::Digital => "digital",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// The seller's own name for it, unique; stock is kept by it.
    pub sku: String,
    /// What people read.
    pub title: String,
    /// Shipped or delivered as a link.
    pub kind: ProductKind,
    /// The product's page, unique; digital orders are matched by it.
    pub url: Option<String>,
    /// The list price of one, in minor units of `currency`.
    pub unit_amount: i64,
    /// The price's currency.
    pub currency: Currency,
    /// Whether it may be ordered.
    pub is_active: bool,
    /// Counts the writes of this row, from 1.
    pub version: i64,
}

impl Product {
    /// The list price of one.
    pub const fn unit_price(&self) -> Money {
        Money { amount: self.unit_amount, currency: self.currency }
    }
}

/// The only place goods lie in, until there is a second.
pub const MAIN_LOCATION: &str = "main";
