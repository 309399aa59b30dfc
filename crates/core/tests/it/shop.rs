//! A small shop for tests: ids from a counter, products in đồng, orders placed by core itself.

use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Change, Setting};
use ordermill_core::contact::Email;
use ordermill_core::event::Actor;
use ordermill_core::id::{ChangeId, OrderId, PaymentId, ProductId};
use ordermill_core::locale::Locale;
use ordermill_core::money::Currency;
use ordermill_core::order::place::{Terms, Wanted, place};
use ordermill_core::order::{Address, Context, Customer, Order, PaymentMethod};
use ordermill_core::payment::{Fact, FactKind, Provider};
use ordermill_core::refusal::Refusal;
use ordermill_core::route::Routing;
use ordermill_core::time::Timestamp;
use std::cell::Cell;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_768_705_445_000);
pub(crate) const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Default)]
pub(crate) struct Shop {
    drawn: Cell<u64>,
}

impl Shop {
    fn bytes(&self) -> [u8; 10] {
        self.drawn.set(self.drawn.get() + 1);
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.drawn.get().to_be_bytes());
        bytes
    }

    pub(crate) fn change_id(&self) -> ChangeId {
        ChangeId::new(NOW.unix_ms(), self.bytes())
    }

    pub(crate) fn change(&self) -> Change {
        Change::new(self.change_id())
    }

    pub(crate) fn order_id(&self) -> OrderId {
        OrderId::new(NOW.unix_ms(), self.bytes())
    }

    pub(crate) fn context(&self) -> Context {
        Context { change_id: self.change_id(), now: NOW, actor: Actor::system(), routing: Routing::default() }
    }

    pub(crate) fn product(&self, sku: &str, kind: ProductKind, unit_amount: i64) -> Product {
        Product {
            id: ProductId::new(NOW.unix_ms(), self.bytes()),
            sku: sku.to_owned(),
            title: sku.to_owned(),
            kind,
            url: None,
            unit_amount,
            currency: Currency::VND,
            is_active: true,
            version: 1,
        }
    }

    pub(crate) fn terms(&self, number: i64) -> Terms {
        Terms {
            order_id: self.order_id(),
            payment_id: PaymentId::new(NOW.unix_ms(), self.bytes()),
            number,
            code_prefix: "DH".to_owned(),
            ttl_card_ms: 30 * MINUTE_MS,
            ttl_transfer_ms: 24 * 60 * MINUTE_MS,
        }
    }

    /// Places an order of products from this catalogue.
    pub(crate) fn place(&self, wanted: &Wanted, catalogue: &[Product]) -> Result<(Order, Change), Refusal> {
        let product = |id| catalogue.iter().find(|product| product.id == id);
        place(wanted, customer(), &self.terms(1), product, self.context())
    }

    /// An order of one shirt and one e-book for 300 000 đồng, to be paid by card.
    pub(crate) fn order(&self) -> Order {
        let catalogue = [self.product("shirt", ProductKind::Physical, 250_000), self.product("ebook", ProductKind::Digital, 50_000)];
        let wanted = wanted(PaymentMethod::Stripe, catalogue.iter().map(|product| (product.id, 1)));
        self.place(&wanted, &catalogue).expect("an order").0
    }
}

pub(crate) fn customer() -> Customer {
    Customer { id: None, email: Email::parse("an@example.com").expect("an address"), phone: None, name: None, locale: Locale::Vi }
}

pub(crate) fn wanted(method: PaymentMethod, lines: impl IntoIterator<Item = (ProductId, i64)>) -> Wanted {
    let address = Address { name: "An".to_owned(), country: "VN".to_owned(), ..Address::default() };
    Wanted { lines: lines.into_iter().collect(), expected_total: None, method, shipping_address: Some(address), note: None }
}

pub(crate) fn fact(reference: &str, kind: FactKind, amount: i64) -> Fact {
    Fact { provider: Provider::Stripe, reference: reference.to_owned(), kind, amount, currency: Currency::VND }
}

pub(crate) fn setting(name: &str, version: i64) -> Setting {
    Setting { name: name.to_owned(), value: String::new(), version }
}

/// Calls `visit` with every order of the items (Heap's algorithm).
pub(crate) fn permutations<T: Clone>(items: &[T], visit: &mut impl FnMut(&[T])) {
    fn go<T: Clone>(count: usize, items: &mut [T], visit: &mut impl FnMut(&[T])) {
        if count <= 1 {
            visit(items);
            return;
        }
        for index in 0..count {
            go(count - 1, items, visit);
            items.swap(if count.is_multiple_of(2) { index } else { 0 }, count - 1);
        }
    }
    go(items.len(), &mut items.to_vec(), visit);
}

#[test]
fn there_are_as_many_permutations_as_there_should_be() {
    let mut seen = std::collections::HashSet::new();
    permutations(&[1, 2, 3, 4, 5], &mut |order| assert!(seen.insert(order.to_vec())));
    assert_eq!(seen.len(), 120);
}
