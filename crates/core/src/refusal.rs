//! Why the domain says no. Codes are stable: clients branch on them, `docs/problems/` has a page for each, and the HTTP
//! layer alone decides which status a code gets. This file must not know HTTP.

use crate::order::OrderStatus;
use serde::Serialize;
use thiserror::Error;

/// A line that cannot be served from stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShortLine {
    /// The product as the client named it.
    pub product_id: String,
    /// Its sku.
    pub sku: String,
    /// How many were asked for.
    pub requested: i64,
    /// How many there are.
    pub available: i64,
}

/// A refusal: the request was understood and nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such thing, or it is not the asker's.
    #[error("there is no such {what}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
    },
    /// A field does not say what it must.
    #[error("{path}: {message}")]
    Invalid {
        /// Where in the body.
        path: String,
        /// What is wrong there.
        message: String,
    },
    /// More lines than an order may have.
    #[error("an order has at most {max} lines, this one has {found}")]
    TooManyLines {
        /// The limit.
        max: usize,
        /// What was sent.
        found: usize,
    },
    /// A product of the order does not exist or is not sold.
    #[error("product {product_id} is not for sale")]
    UnknownProduct {
        /// As the client named it.
        product_id: String,
    },
    /// Products of two currencies in one order.
    #[error("one order has one currency; these products have {first} and {second}")]
    MixedCurrency {
        /// The first one met.
        first: String,
        /// The other one.
        second: String,
    },
    /// A method that cannot take the order's currency.
    #[error("{method} cannot take {currency}")]
    MethodCurrency {
        /// The payment method.
        method: String,
        /// The order's currency.
        currency: String,
    },
    /// An order from a cart with nothing in it.
    #[error("the cart is empty")]
    CartEmpty,
    /// Another product has this sku.
    #[error("another product has this sku")]
    SkuTaken,
    /// Another product has this page.
    #[error("another product has this page")]
    UrlTaken,
    /// More would be taken out of stock than there is.
    #[error("there are only {available} in stock")]
    StockTooLow {
        /// How many there are.
        available: i64,
    },
    /// A sum that no integer holds or no provider accepts.
    #[error("the order's total is out of range")]
    AmountOutOfRange,
    /// The client expected another total.
    #[error("the order costs {actual} {currency}, the request expected {expected}")]
    TotalMismatch {
        /// What the client sent.
        expected: i64,
        /// What it costs.
        actual: i64,
        /// The currency of both.
        currency: String,
    },
    /// Not enough goods.
    #[error("not enough stock for {} of the lines", lines.len())]
    OutOfStock {
        /// The lines that cannot be served.
        lines: Vec<ShortLine>,
    },
    /// The order cannot go there from where it is.
    #[error("an order that is {from} cannot do that", from = from.name())]
    IllegalTransition {
        /// Where it is.
        from: OrderStatus,
        /// Where it may go.
        allowed: Vec<OrderStatus>,
    },
    /// Money is on the order, so it cannot just be cancelled.
    #[error("money is on the order: give it back before the order is cancelled")]
    OrderHasMoney,
    /// Somebody changed it since the client looked.
    #[error("it has version {found} now, the request expected another")]
    VersionMismatch {
        /// The version it has.
        found: i64,
    },
    /// The order is paid already.
    #[error("a payment of this order already succeeded")]
    PaymentAlreadySucceeded,
    /// Somebody has this e-mail address already.
    #[error("this e-mail address already has an account")]
    EmailTaken,
    /// Nobody whom a platform may order for: no such account, or one of another role.
    #[error("there is no {role} with this id")]
    StudentNotFound {
        /// What the account was said to be.
        role: &'static str,
    },
    /// Nobody would be left who may do everything.
    #[error("this is the last admin: make another one first")]
    LastAdmin,
    /// Wrong e-mail or password; which of the two is not said.
    #[error("the e-mail address or the password is wrong")]
    InvalidCredentials,
    /// A one-time token that is wrong, used or too old; which of these is not said.
    #[error("the token is wrong, was used or is too old")]
    InvalidToken,
    /// Too many failed log-ins of this account.
    #[error("too many attempts; the next one makes sense in {retry_after_s} seconds")]
    TooManyAttempts {
        /// When the next one makes sense.
        retry_after_s: u32,
    },
    /// The key was used for another request.
    #[error("this Idempotency-Key was used with another request")]
    IdempotencyKeyReused,
    /// A limit of the store would be exceeded: the request is too large to become true at once.
    #[error("the request is too large: {what}")]
    TooLarge {
        /// Which limit.
        what: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Invalid { .. } => "invalid_request",
            Self::TooManyLines { .. } => "too_many_lines",
            Self::UnknownProduct { .. } => "unknown_product",
            Self::MixedCurrency { .. } => "mixed_currency",
            Self::MethodCurrency { .. } => "method_currency",
            Self::CartEmpty => "cart_empty",
            Self::SkuTaken => "sku_taken",
            Self::UrlTaken => "url_taken",
            Self::StockTooLow { .. } => "stock_too_low",
            Self::AmountOutOfRange => "amount_out_of_range",
            Self::TotalMismatch { .. } => "total_mismatch",
            Self::OutOfStock { .. } => "out_of_stock",
            Self::IllegalTransition { .. } => "illegal_transition",
            Self::OrderHasMoney => "order_has_money",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::PaymentAlreadySucceeded => "payment_already_succeeded",
            Self::EmailTaken => "email_taken",
            Self::StudentNotFound { .. } => "student_not_found",
            Self::LastAdmin => "last_admin",
            Self::InvalidCredentials => "invalid_credentials",
            Self::InvalidToken => "invalid_token",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::TooLarge { .. } => "too_large",
        }
    }

    /// A field that does not say what it must.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { path: path.into(), message: message.into() }
    }
}
