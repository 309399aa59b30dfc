//! What the pure code costs: deciding an order, admitting a batch, verifying and reading a webhook, allocating money.
//! Run with `cargo bench -p ordermill-core`. It measures; it must not assert.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ordermill_core::admit::{Found, StockLevel, admit, disjoint_prefix};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Change, StockKey};
use ordermill_core::contact::Email;
use ordermill_core::event::Actor;
use ordermill_core::id::{ChangeId, OrderId, PaymentId, ProductId, UserId};
use ordermill_core::locale::Locale;
use ordermill_core::money::{Currency, allocate};
use ordermill_core::order::place::{Terms, Wanted, place};
use ordermill_core::order::{Address, Context, Customer, Order, PaymentMethod};
use ordermill_core::route::Routing;
use ordermill_core::stripe;
use ordermill_core::time::Timestamp;
use std::collections::VecDeque;
use std::hint::black_box;

const BATCH: u8 = 128;
const NOW: Timestamp = Timestamp::from_millis(1_768_705_445_000);

fn product(number: u8) -> Product {
    Product {
        id: ProductId::new(NOW.unix_ms(), [number; 10]),
        sku: format!("SKU-{number}"),
        title: "A product with a title of usual length".to_owned(),
        kind: ProductKind::Physical,
        url: None,
        unit_amount: 25_000,
        currency: Currency::VND,
        is_active: true,
        version: 1,
    }
}

fn decide(number: u8, products: &[Product; 2]) -> (Order, Change) {
    let wanted = Wanted {
        lines: products.iter().map(|product| (product.id, 2)).collect(),
        expected_total: Some(100_000),
        method: PaymentMethod::BankTransfer,
        shipping_address: Some(Address { name: "An".to_owned(), country: "VN".to_owned(), ..Address::default() }),
        note: None,
    };
    let customer = Customer {
        id: Some(UserId::new(NOW.unix_ms(), [number; 10])),
        email: Email::parse("an@example.com").expect("an address"),
        phone: None,
        name: None,
        locale: Locale::Vi,
    };
    let terms = Terms {
        order_id: OrderId::new(NOW.unix_ms(), [number; 10]),
        payment_id: PaymentId::new(NOW.unix_ms(), [number; 10]),
        number: i64::from(number) + 1,
        code_prefix: "DH".to_owned(),
        ttl_card_ms: 1_800_000,
        ttl_transfer_ms: 86_400_000,
    };
    let context =
        Context { change_id: ChangeId::new(NOW.unix_ms(), [number; 10]), now: NOW, actor: Actor::system(), routing: Routing::default() };
    let product = |id| products.iter().find(|product| product.id == id);
    place(&wanted, customer, &terms, product, context).expect("an order")
}

fn orders(criterion: &mut Criterion) {
    let products = [product(1), product(2)];
    criterion.bench_function("place an order of two lines", |bench| bench.iter(|| decide(black_box(7), &products)));
    let changes: Vec<Change> = (0..BATCH).map(|number| decide(number, &products).1).collect();
    criterion.bench_function("check one change", |bench| bench.iter(|| black_box(&changes[0]).check()));
    let mut found = Found::default();
    for product in &products {
        found.stock.insert(StockKey::main(&product.sku), StockLevel { available: 1_000_000, reserved: 0 });
    }
    let batch: Vec<&Change> = changes.iter().collect();
    criterion.bench_function("admit a batch of 128 orders", |bench| bench.iter(|| admit(black_box(&batch), &found)));
    criterion.bench_function("choose a batch of 128 orders", |bench| {
        let waiting = || changes.iter().collect::<VecDeque<_>>();
        bench.iter_batched(waiting, |mut waiting| disjoint_prefix(&mut waiting, 256, |change| change), BatchSize::SmallInput);
    });
}

fn webhooks(criterion: &mut Criterion) {
    let body = br#"{"id":"evt_1","object":"event","created":1710001230,"livemode":false,"type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent","amount":250000,"amount_received":250000,"currency":"vnd","status":"succeeded","metadata":{"orderCode":"DH000123"}}}}"#;
    let header = stripe::sign("whsec_current", NOW.unix_s(), body);
    let secrets = ["whsec_current", "whsec_previous"];
    criterion.bench_function("verify a webhook", |bench| bench.iter(|| stripe::verify(black_box(&header), body, &secrets, NOW.unix_s())));
    criterion.bench_function("read a webhook", |bench| bench.iter(|| stripe::parse(black_box(body))));
}

fn money(criterion: &mut Criterion) {
    let weights: Vec<i64> = (1..=40).map(|line| line * 1_000).collect();
    criterion.bench_function("allocate over 40 lines", |bench| bench.iter(|| allocate(black_box(123_457), &weights)));
}

criterion_group!(benches, orders, webhooks, money);
criterion_main!(benches);
