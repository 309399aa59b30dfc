//! Placing an order: from what a customer wants, at the catalogue's prices, to one change that makes it stand.
//!
//! The client's total is only a guard. Stock is reserved in the same change; whether there is enough is for the store
//! to say. This file must not read the catalogue itself: it gets a look-up.

use super::edit::{Context, Edit, Goods};
use super::{Address, Customer, Line, Order, OrderStatus, Payment, PaymentMethod, StockHold};
use crate::catalogue::{Product, ProductKind};
use crate::change::{Change, MAX_LINES};
use crate::code;
use crate::event::EventKind;
use crate::id::{OrderId, PaymentId, ProductId};
use crate::job::{JobKey, NewJob, Payload, Queue};
use crate::money::{Currency, Money};
use crate::payment::{Facts, PaymentStatus};
use crate::refusal::Refusal;
use serde_json::json;

/// The most of one product in one order.
pub const MAX_QUANTITY: i64 = 10_000;
/// The largest total in minor units: Stripe takes at most twelve digits.
pub const MAX_TOTAL: i64 = 999_999_999_999;
/// How long a worker leaves a new order's payment to the request that placed it.
pub const INTENT_GRACE_MS: i64 = 10_000;

/// What the customer wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Product and quantity; one product may appear several times.
    pub lines: Vec<(ProductId, i64)>,
    /// The total the client showed, if it says.
    pub expected_total: Option<i64>,
    /// How it will be paid.
    pub method: PaymentMethod,
    /// Where parcels go.
    pub shipping_address: Option<Address>,
    /// The customer's note.
    pub note: Option<String>,
}

/// What the shop gives an order: its ids, its number and its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The new order's id.
    pub order_id: OrderId,
    /// The id of its payment.
    pub payment_id: PaymentId,
    /// Its number.
    pub number: i64,
    /// What its code begins with.
    pub code_prefix: String,
    /// How long an order to be paid by card waits.
    pub ttl_card_ms: i64,
    /// How long an order to be paid by transfer waits.
    pub ttl_transfer_ms: i64,
}

/// Places an order.
pub fn place<'a>(
    wanted: &Wanted,
    customer: Customer,
    terms: &Terms,
    product: impl Fn(ProductId) -> Option<&'a Product>,
    context: Context,
) -> Result<(Order, Change), Refusal> {
    let (lines, currency) = price_lines(&wanted.lines, product)?;
    let subtotal = sum(&lines, currency)?;
    check_total(wanted, subtotal, currency)?;
    check_method(wanted, currency)?;
    let needs_address = lines.iter().any(|line| line.kind == ProductKind::Physical);
    if needs_address && wanted.shipping_address.is_none() {
        return Err(Refusal::invalid("shippingAddress", "goods that are sent need an address"));
    }
    let now = context.now;
    let expires_at = match wanted.method {
        PaymentMethod::Stripe => Some(now.plus_ms(terms.ttl_card_ms)),
        PaymentMethod::BankTransfer => Some(now.plus_ms(terms.ttl_transfer_ms)),
        PaymentMethod::Cod => None,
    };
    let order = Order {
        id: terms.order_id,
        number: terms.number,
        code: code::format(&terms.code_prefix, terms.number),
        customer,
        status: OrderStatus::Pending,
        payment_status: PaymentStatus::Pending,
        currency,
        lines,
        subtotal_amount: subtotal,
        discount_amount: 0,
        shipping_amount: 0,
        total_amount: subtotal,
        tolerance_amount: 0,
        payment: Payment { id: terms.payment_id, method: wanted.method, amount: subtotal, reference: None, client_secret: None },
        facts: Facts::default(),
        stock_hold: StockHold::None,
        shipping_address: wanted.shipping_address.clone(),
        note: wanted.note.clone(),
        expires_at,
        created_at: now,
        updated_at: now,
        version: 0,
    };
    Ok(begin(order, context))
}

/// The first events of an order, and what they cause.
fn begin(order: Order, context: Context) -> (Order, Change) {
    let mut edit = Edit::new(order, context);
    if !edit.order.goods().is_empty() {
        edit.order.stock_hold = StockHold::Reserved;
    }
    let mut data = json!({
        "number": edit.order.number,
        "totalAmount": edit.order.total_amount,
        "currency": edit.order.currency,
        "paymentMethod": edit.order.payment.method,
        "paymentId": edit.order.payment.id,
    });
    edit.routing().note_created(&mut data, &edit.order);
    edit.record(EventKind::OrderCreated, data);
    edit.move_goods(Goods::Reserve);
    match edit.order.payment.method {
        PaymentMethod::Stripe => {
            let key = JobKey::new(Queue::Stripe, edit.order.id.to_string(), edit.order.version);
            let payload = Payload::StripeCreateIntent { order_id: edit.order.id };
            edit.change().jobs.push(NewJob::new(key, &payload).after(INTENT_GRACE_MS));
        }
        PaymentMethod::Cod => {
            edit.order.status = OrderStatus::Processing;
            edit.record(EventKind::OrderProcessing, json!({ "reason": "paid_on_delivery" }));
        }
        PaymentMethod::BankTransfer => {}
    }
    edit.finish()
}

/// Lines at the catalogue's prices, one per product, and their one currency.
fn price_lines<'a>(
    wanted: &[(ProductId, i64)],
    product: impl Fn(ProductId) -> Option<&'a Product>,
) -> Result<(Vec<Line>, Currency), Refusal> {
    if wanted.len() > MAX_LINES {
        return Err(Refusal::TooManyLines { max: MAX_LINES, found: wanted.len() });
    }
    let mut lines: Vec<Line> = Vec::with_capacity(wanted.len());
    let mut currency = None;
    for (index, (product_id, quantity)) in wanted.iter().enumerate() {
        let known = product(*product_id).filter(|product| product.is_active);
        let known = known.ok_or_else(|| Refusal::UnknownProduct { product_id: product_id.to_string() })?;
        let first = *currency.get_or_insert(known.currency);
        if first != known.currency {
            return Err(Refusal::MixedCurrency { first: first.to_string(), second: known.currency.to_string() });
        }
        let before = lines.iter().find(|line| line.product_id == *product_id).map_or(0, |line| line.quantity);
        let together = before.saturating_add(*quantity);
        if *quantity < 1 || together > MAX_QUANTITY {
            let path = format!("products[{index}].quantity");
            return Err(Refusal::invalid(path, format!("a quantity is between 1 and {MAX_QUANTITY}")));
        }
        let total = known.unit_price().checked_mul(together).map_err(|_| Refusal::AmountOutOfRange)?;
        match lines.iter_mut().find(|line| line.product_id == *product_id) {
            Some(line) => (line.quantity, line.total_amount) = (together, total.amount),
            None => lines.push(Line {
                product_id: *product_id,
                sku: known.sku.clone(),
                title: known.title.clone(),
                kind: known.kind,
                quantity: together,
                unit_amount: known.unit_amount,
                total_amount: total.amount,
            }),
        }
    }
    let currency = currency.ok_or_else(|| Refusal::invalid("products", "an order needs at least one product"))?;
    Ok((lines, currency))
}

fn sum(lines: &[Line], currency: Currency) -> Result<i64, Refusal> {
    let mut sum = Money { amount: 0, currency };
    for line in lines {
        let line = Money { amount: line.total_amount, currency };
        sum = sum.checked_add(line).map_err(|_| Refusal::AmountOutOfRange)?;
    }
    if (1..=MAX_TOTAL).contains(&sum.amount) { Ok(sum.amount) } else { Err(Refusal::AmountOutOfRange) }
}

fn check_total(wanted: &Wanted, actual: i64, currency: Currency) -> Result<(), Refusal> {
    match wanted.expected_total {
        Some(expected) if expected != actual => Err(Refusal::TotalMismatch { expected, actual, currency: currency.to_string() }),
        _ => Ok(()),
    }
}

/// Banks in Viet Nam move đồng only.
fn check_method(wanted: &Wanted, currency: Currency) -> Result<(), Refusal> {
    if wanted.method == PaymentMethod::BankTransfer && currency != Currency::VND {
        return Err(Refusal::MethodCurrency { method: wanted.method.name().to_owned(), currency: currency.to_string() });
    }
    Ok(())
}
