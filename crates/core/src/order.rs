//! The order: what was bought, by whom, how far it is, and which money belongs to it.
//!
//! An order changes only through the functions of this module's parts: [`place`] makes one, [`receive`] lets a payment
//! fact move it, [`command`] a person, [`intent`] notes what the provider calls its payment. Each returns a [`crate::change::Change`]. Which
//! state may follow which stands as data in [`lifecycle`].

pub mod command;
mod edit;
pub mod intent;
pub mod lifecycle;
pub mod place;
pub mod receive;

pub use edit::Context;
pub use lifecycle::{OrderStatus, Trigger};

use crate::catalogue::ProductKind;
use crate::contact::{Email, Phone};
use crate::id::{OrderId, PaymentId, ProductId, UserId};
use crate::locale::Locale;
use crate::money::Currency;
use crate::payment::{Facts, PaymentStatus, Provider, Summary};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How the customer means to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    /// By card or wallet through Stripe.
    Stripe,
    /// By bank transfer, seen by `SePay`.
    BankTransfer,
    /// In cash on delivery.
    Cod,
}

impl PaymentMethod {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Stripe, Self::BankTransfer, Self::Cod];

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::BankTransfer => "bank_transfer",
            Self::Cod => "cod",
        }
    }

    /// Who moves the money.
    pub const fn provider(self) -> Provider {
        match self {
            Self::Stripe => Provider::Stripe,
            Self::BankTransfer => Provider::Sepay,
            Self::Cod => Provider::Cash,
        }
    }
}

/// Who ordered. A copy: the mail goes where the customer was when ordering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The account; a guest has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// Where mails go.
    pub email: Email,
    /// Where SMS go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The language of mails and pages.
    pub locale: Locale,
}

/// Where a parcel goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Who receives it.
    pub name: String,
    /// Whom the carrier calls.
    pub phone: String,
    /// Street and number.
    pub line1: String,
    /// Phường/xã.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ward: Option<String>,
    /// Quận/huyện.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub district: Option<String>,
    /// Tỉnh/thành phố.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub province: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// ISO 3166 alpha-2.
    pub country: String,
}

/// One product of an order, with the price it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product_id: ProductId,
    /// Its sku.
    pub sku: String,
    /// Its title when ordered.
    pub title: String,
    /// Shipped or delivered as a link.
    pub kind: ProductKind,
    /// How many.
    pub quantity: i64,
    /// The price of one.
    pub unit_amount: i64,
    /// The price of all.
    pub total_amount: i64,
}

/// What an order does to stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StockHold {
    /// Nothing: it has no goods, or gave them back.
    None,
    /// Its goods are promised to it.
    Reserved,
    /// Its goods are no longer in the count.
    Taken,
}

/// The customer's current way of paying. What money really moved stands in the order's facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Our id of the attempt; goes into the provider's metadata.
    pub id: PaymentId,
    /// How the customer pays.
    pub method: PaymentMethod,
    /// What is asked for.
    pub amount: i64,
    /// The provider's name for it, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What the customer's browser needs to pay (Stripe's client secret); never logged, never in an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Its number, unique, with gaps.
    pub number: i64,
    /// Its number as people see it, such as `DH000123`.
    pub code: String,
    /// Who ordered.
    pub customer: Customer,
    /// How far it is.
    pub status: OrderStatus,
    /// What its money adds up to.
    pub payment_status: PaymentStatus,
    /// The one currency of all its amounts.
    pub currency: Currency,
    /// What was bought, one line per product.
    pub lines: Vec<Line>,
    /// Σ of the lines.
    pub subtotal_amount: i64,
    /// What is taken off.
    pub discount_amount: i64,
    /// What shipping costs.
    pub shipping_amount: i64,
    /// What is to be paid.
    pub total_amount: i64,
    /// What may be missing without the order counting as unpaid.
    pub tolerance_amount: i64,
    /// How the customer pays.
    pub payment: Payment,
    /// Every money object that belongs to it.
    pub facts: Facts,
    /// What it does to stock.
    pub stock_hold: StockHold,
    /// Where parcels go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// The customer's note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When an unpaid order ends; none once it is paid or never ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The number of its last event.
    pub version: i64,
}

impl Order {
    /// What its facts add up to.
    pub fn summary(&self) -> Summary {
        self.facts.summary(self.total_amount, self.tolerance_amount, self.currency)
    }

    /// The goods it needs from stock, summed per sku and sorted, so that every change locks them in the same order.
    pub fn goods(&self) -> Vec<(&str, i64)> {
        let mut goods = std::collections::BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.kind == ProductKind::Physical) {
            let sum: &mut i64 = goods.entry(line.sku.as_str()).or_default();
            *sum = sum.saturating_add(line.quantity);
        }
        goods.into_iter().collect()
    }

    /// Whether the provider still has to be asked for a payment the customer can use.
    pub fn needs_intent(&self) -> bool {
        self.payment.method == PaymentMethod::Stripe && self.payment.reference.is_none() && self.status == OrderStatus::Pending
    }
}
