//! Orders and events as clients see them. What a customer's browser needs to pay is part of the order; what only we need
//! never leaves.

use crate::app::App;
use crate::http::accounts::time_text;
use ordermill_core::event::Event;
use ordermill_core::order::{Order, PaymentMethod};
use ordermill_core::payment::{FactKind, PaymentProgress, Provider};
use serde_json::{Value, json};

/// An order.
pub(in crate::http) fn render_order(app: &App, order: &Order) -> Value {
    let summary = order.summary();
    let lines: Vec<Value> = order
        .lines
        .iter()
        .map(|line| {
            json!({
                "productId": line.product_id, "sku": line.sku, "title": line.title, "kind": line.kind,
                "quantity": line.quantity, "unitAmount": line.unit_amount, "totalAmount": line.total_amount,
            })
        })
        .collect();
    json!({
        "id": order.id,
        "number": order.number,
        "code": order.code,
        "status": order.status,
        "paymentStatus": order.payment_status,
        "currency": order.currency,
        "lines": lines,
        "subtotalAmount": order.subtotal_amount,
        "discountAmount": order.discount_amount,
        "shippingAmount": order.shipping_amount,
        "totalAmount": order.total_amount,
        "paidAmount": summary.captured_amount,
        "refundedAmount": summary.refunded_amount,
        "creditAmount": summary.credit_amount,
        "customer": {
            "id": order.customer.id, "email": order.customer.email, "phone": order.customer.phone,
            "name": order.customer.name, "locale": order.customer.locale,
        },
        "shippingAddress": order.shipping_address,
        "note": order.note,
        "tasks": [],
        "shipments": [],
        "expiresAt": order.expires_at.map(time_text),
        "createdAt": time_text(order.created_at),
        "updatedAt": time_text(order.updated_at),
        "version": order.version,
        "payment": render_payment(app, order),
    })
}

fn render_payment(app: &App, order: &Order) -> Value {
    let payment = &order.payment;
    match payment.method {
        PaymentMethod::Stripe => json!({
            "id": payment.id, "provider": Provider::Stripe, "status": stripe_status(order), "amount": payment.amount,
            "paymentIntentId": payment.reference, "clientSecret": payment.client_secret,
        }),
        PaymentMethod::BankTransfer => json!({
            "id": payment.id, "provider": Provider::Sepay, "status": order.payment_status, "amount": payment.amount,
            "bankBin": app.config.sepay.bank_bin, "accountNumber": app.config.sepay.account_number,
            "accountName": app.config.sepay.account_name, "transferContent": order.code,
        }),
        PaymentMethod::Cod => json!({
            "id": payment.id, "provider": Provider::Cash, "status": order.payment_status, "amount": payment.amount,
        }),
    }
}

/// How far the payment intent is, in Stripe's words; `creating` until Stripe knows of it.
fn stripe_status(order: &Order) -> &'static str {
    let Some(reference) = &order.payment.reference else { return "creating" };
    match order.facts.about(Provider::Stripe, reference).map(|fact| fact.kind) {
        Some(FactKind::Payment(PaymentProgress::Succeeded)) => "succeeded",
        Some(FactKind::Payment(PaymentProgress::Authorised)) => "requires_capture",
        Some(FactKind::Payment(PaymentProgress::Cancelled)) => "canceled",
        _ => "requires_payment_method",
    }
}

/// An event of a timeline.
pub(in crate::http) fn render_event(event: &Event) -> Value {
    json!({
        "id": event.id(), "type": event.kind, "v": event.v, "orderId": event.order_id, "seq": event.seq,
        "at": time_text(event.at), "actor": event.actor, "data": event.data,
    })
}
