//! Orders and events as clients see them. What a customer's browser needs to pay is part of the order; what only we need
//! never leaves.

use crate::app::App;
use crate::http::openapi::vocabulary;
use crate::http::time_text;
use ordermill_core::event::{Actor, Event, EventKind};
use ordermill_core::order::{Address, Order, OrderStatus, PaymentMethod};
use ordermill_core::payment::{FactKind, PaymentProgress, PaymentStatus, Provider};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// An order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(in crate::http) struct OrderBody {
    #[schema(value_type = String, format = "uuid")]
    id: String,
    number: i64,
    /// What people call it, such as `DH000123`.
    code: String,
    #[schema(schema_with = vocabulary::order_status)]
    status: OrderStatus,
    #[schema(schema_with = vocabulary::payment_status)]
    payment_status: PaymentStatus,
    currency: String,
    lines: Vec<LineBody>,
    subtotal_amount: i64,
    discount_amount: i64,
    shipping_amount: i64,
    total_amount: i64,
    paid_amount: i64,
    refunded_amount: i64,
    credit_amount: i64,
    customer: CustomerBody,
    #[schema(required)]
    shipping_address: Option<AddressBody>,
    #[schema(required)]
    note: Option<String>,
    /// Deliveries of digital goods.
    tasks: Vec<Value>,
    /// Parcels.
    shipments: Vec<Value>,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The number of the last event; the `ETag`.
    version: i64,
    payment: PaymentBody,
}

/// One product of an order, with the price it had.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLine)]
struct LineBody {
    #[schema(format = "uuid")]
    product_id: String,
    sku: String,
    title: String,
    #[schema(schema_with = vocabulary::product_kind)]
    kind: ordermill_core::catalogue::ProductKind,
    quantity: i64,
    unit_amount: i64,
    total_amount: i64,
}

/// Who ordered, as they were then.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderCustomer)]
struct CustomerBody {
    /// The account; a guest has none.
    #[schema(required, format = "uuid")]
    id: Option<String>,
    email: String,
    #[schema(required)]
    phone: Option<String>,
    #[schema(required)]
    name: Option<String>,
    #[schema(schema_with = vocabulary::locale)]
    locale: ordermill_core::locale::Locale,
}

/// Where a parcel goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderAddress)]
struct AddressBody {
    name: String,
    phone: String,
    line1: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ward: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    district: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    province: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    /// ISO 3166 alpha-2.
    country: String,
}

/// How the order is being paid; which members there are depends on `provider`.
#[derive(Serialize, ToSchema)]
#[serde(tag = "provider", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[schema(as = OrderPayment)]
enum PaymentBody {
    /// By card, through Stripe.
    Stripe {
        #[schema(format = "uuid")]
        id: String,
        /// Stripe's word for it; `creating` until Stripe knows of it.
        status: &'static str,
        amount: i64,
        #[schema(required)]
        payment_intent_id: Option<String>,
        /// What the customer's browser needs to pay.
        #[schema(required)]
        client_secret: Option<String>,
    },
    /// By bank transfer.
    Sepay {
        #[schema(format = "uuid")]
        id: String,
        #[schema(schema_with = vocabulary::payment_status)]
        status: PaymentStatus,
        amount: i64,
        #[schema(required)]
        bank_bin: Option<String>,
        #[schema(required)]
        account_number: Option<String>,
        #[schema(required)]
        account_name: Option<String>,
        /// What the transfer must say.
        transfer_content: String,
    },
    /// In cash on delivery.
    Cash {
        #[schema(format = "uuid")]
        id: String,
        #[schema(schema_with = vocabulary::payment_status)]
        status: PaymentStatus,
        amount: i64,
    },
}

impl OrderBody {
    pub(in crate::http) fn of(app: &App, order: &Order) -> Self {
        let summary = order.summary();
        Self {
            id: order.id.to_string(),
            number: order.number,
            code: order.code.clone(),
            status: order.status,
            payment_status: order.payment_status,
            currency: order.currency.to_string(),
            lines: lines(order),
            subtotal_amount: order.subtotal_amount,
            discount_amount: order.discount_amount,
            shipping_amount: order.shipping_amount,
            total_amount: order.total_amount,
            paid_amount: summary.captured_amount,
            refunded_amount: summary.refunded_amount,
            credit_amount: summary.credit_amount,
            customer: customer(order),
            shipping_address: order.shipping_address.as_ref().map(AddressBody::of),
            note: order.note.clone(),
            tasks: Vec::new(),
            shipments: Vec::new(),
            expires_at: order.expires_at.map(time_text),
            created_at: time_text(order.created_at),
            updated_at: time_text(order.updated_at),
            version: order.version,
            payment: PaymentBody::of(app, order),
        }
    }
}

fn lines(order: &Order) -> Vec<LineBody> {
    let render = |line: &ordermill_core::order::Line| LineBody {
        product_id: line.product_id.to_string(),
        sku: line.sku.clone(),
        title: line.title.clone(),
        kind: line.kind,
        quantity: line.quantity,
        unit_amount: line.unit_amount,
        total_amount: line.total_amount,
    };
    order.lines.iter().map(render).collect()
}

fn customer(order: &Order) -> CustomerBody {
    let customer = &order.customer;
    CustomerBody {
        id: customer.id.map(|id| id.to_string()),
        email: customer.email.as_str().to_owned(),
        phone: customer.phone.as_ref().map(|phone| phone.as_str().to_owned()),
        name: customer.name.clone(),
        locale: customer.locale,
    }
}

impl AddressBody {
    fn of(address: &Address) -> Self {
        let Address { name, phone, line1, ward, district, province, postal_code, country } = address.clone();
        Self { name, phone, line1, ward, district, province, postal_code, country }
    }
}

impl PaymentBody {
    fn of(app: &App, order: &Order) -> Self {
        let payment = &order.payment;
        let (id, status, amount) = (payment.id.to_string(), order.payment_status, payment.amount);
        match payment.method {
            PaymentMethod::Stripe => Self::Stripe {
                id,
                status: stripe_status(order),
                amount,
                payment_intent_id: payment.reference.clone(),
                client_secret: payment.client_secret.clone(),
            },
            PaymentMethod::BankTransfer => Self::Sepay {
                id,
                status,
                amount,
                bank_bin: app.config.sepay.bank_bin.clone(),
                account_number: app.config.sepay.account_number.clone(),
                account_name: app.config.sepay.account_name.clone(),
                transfer_content: order.code.clone(),
            },
            PaymentMethod::Cod => Self::Cash { id, status, amount },
        }
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
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderEvent)]
pub(in crate::http) struct EventBody {
    id: String,
    /// Such as `order.paid`; new types may come.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: EventKind,
    v: i32,
    #[schema(format = "uuid")]
    order_id: String,
    seq: i64,
    #[schema(format = DateTime)]
    at: String,
    /// Who did it: `customer:<id>`, `staff:<id>`, `operator:<name>`, a provider, or `system`.
    #[schema(value_type = String)]
    actor: Actor,
    data: Value,
}

impl EventBody {
    pub(in crate::http) fn of(event: &Event) -> Self {
        Self {
            id: event.id(),
            kind: event.kind.clone(),
            v: event.v,
            order_id: event.order_id.to_string(),
            seq: event.seq,
            at: time_text(event.at),
            actor: event.actor.clone(),
            data: event.data.clone(),
        }
    }
}

/// An order's timeline.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Timeline {
    /// Oldest first, without gaps.
    pub(in crate::http) data: Vec<EventBody>,
}
