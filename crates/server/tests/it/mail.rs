//! Mails from the order to the mailbox: texts, MIME, the dialogue with real SMTP servers, and the effect ledger that keeps
//! a mail from going out twice (F18, F19, F58).

mod certificate;
mod effects;
mod peer;
mod smtp;
mod texts;
mod wire;
mod world;

use ordermill::app::{Clock, ManualClock};
use ordermill::mail::{Message, MessageId, Sender, SmtpMailer};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::Change;
use ordermill_core::contact::{Email, HeaderSafe};
use ordermill_core::digest::Digest;
use ordermill_core::event::Actor;
use ordermill_core::id::{ChangeId, OrderId, PaymentId, ProductId};
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use ordermill_core::order::place::{Terms, Wanted, place};
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::order::{Context, Customer, Order, PaymentMethod};
use ordermill_core::payment::{Fact, FactKind, PaymentProgress, Provider};
use ordermill_core::route::Routing;
use ordermill_core::time::Timestamp;
use secrecy::SecretString;
use std::sync::Arc;

/// 2026-01-18 03:04:05 UTC.
const NOW: Timestamp = Timestamp::from_millis(1_768_705_445_000);
const FROM: &str = "Cửa hàng Hoa <shop@example.com>";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW))
}

fn mailer(url: &str) -> SmtpMailer {
    mailer_on(url, clock())
}

fn mailer_on(url: &str, clock: Arc<dyn Clock>) -> SmtpMailer {
    SmtpMailer::new(&SecretString::from(url), FROM, 2_000, clock).unwrap()
}

fn header(text: &str) -> HeaderSafe {
    HeaderSafe::parse(text).unwrap()
}

fn message(subject: &str, text: &str) -> Message {
    let from = Sender::parse(FROM).unwrap();
    Message {
        to: Email::parse("ann.lee@example.com").unwrap(),
        to_name: Some(header("Lý Ánh")),
        message_id: MessageId::of(&Digest::of(subject.as_bytes()), &from),
        from,
        subject: header(subject),
        text: text.to_owned(),
        html: format!("<p>{text}</p>"),
    }
}

/// An order for two courses, to be paid by transfer, as a customer of that language sees it.
fn placed_order(locale: Locale) -> (Order, Change) {
    let products = [("RUST-101", "Lập trình Rust căn bản", 250_000, 1), ("SQL-7", "SQL & thiết kế dữ liệu", 99_000, 2)];
    let products: Vec<(Product, i64)> = products
        .into_iter()
        .zip(1..)
        .map(|((sku, title, unit_amount, quantity), seed)| (product(sku, title, unit_amount, seed), quantity))
        .collect();
    let wanted = Wanted {
        lines: products.iter().map(|(product, quantity)| (product.id, *quantity)).collect(),
        expected_total: None,
        method: PaymentMethod::BankTransfer,
        shipping_address: None,
        note: None,
    };
    let customer =
        Customer { id: None, email: Email::parse("ann.lee@example.com").unwrap(), phone: None, name: Some("Lý Ánh".to_owned()), locale };
    let terms = Terms {
        order_id: OrderId::new(NOW.unix_ms(), [7; 10]),
        payment_id: PaymentId::new(NOW.unix_ms(), [8; 10]),
        number: 123,
        code_prefix: "DH".to_owned(),
        ttl_card_ms: 1_800_000,
        ttl_transfer_ms: 86_400_000,
    };
    let find = |id| products.iter().map(|(product, _)| product).find(|product| product.id == id);
    place(&wanted, customer, &terms, find, context(1)).unwrap()
}

/// The same order, paid, and the two changes that made it.
fn paid_order(locale: Locale) -> (Order, [Change; 2]) {
    let (order, placed) = placed_order(locale);
    let fact = Fact {
        provider: Provider::Sepay,
        reference: "bank:1".to_owned(),
        kind: FactKind::Payment(PaymentProgress::Succeeded),
        amount: order.total_amount,
        currency: order.currency,
    };
    let (order, paid) = receive(&order, &fact, GoodsOutlook::Hopeful, context(2)).unwrap();
    (order, [placed, paid])
}

fn product(sku: &str, title: &str, unit_amount: i64, seed: u8) -> Product {
    Product {
        id: ProductId::new(NOW.unix_ms(), [seed; 10]),
        sku: sku.to_owned(),
        title: title.to_owned(),
        kind: ProductKind::Digital,
        url: None,
        unit_amount,
        currency: Currency::VND,
        is_active: true,
        version: 1,
    }
}

fn context(seed: u8) -> Context {
    Context { change_id: ChangeId::new(NOW.unix_ms(), [seed; 10]), now: NOW, actor: Actor::system(), routing: Routing::default() }
}
