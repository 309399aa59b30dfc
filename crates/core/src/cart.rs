//! What a customer put aside to order: products and quantities, no prices. Prices, stock and currencies are looked at when
//! the order is placed, so a cart may hold what cannot be ordered any more. This file must not read the catalogue.

use crate::change::MAX_LINES;
use crate::id::{ProductId, UserId};
use crate::order::place::MAX_QUANTITY;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// So much of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// The product; one line each.
    pub product_id: ProductId,
    /// How many, from 1.
    pub quantity: i64,
}

/// The one cart of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// Whose it is.
    pub customer: UserId,
    /// In the order in which products were put in.
    pub lines: Vec<CartLine>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts the writes of this row, from 1; 0 while nothing was ever written.
    pub version: i64,
}

impl Cart {
    /// The cart of a customer who never put anything in: nothing is stored of it.
    pub const fn empty(customer: UserId, now: Timestamp) -> Self {
        Self { customer, lines: Vec::new(), updated_at: now, version: 0 }
    }

    /// The next cart, with this much of a product, whatever it held of it before.
    pub fn set(&self, product_id: ProductId, quantity: i64, now: Timestamp) -> Result<Self, Refusal> {
        if !(1..=MAX_QUANTITY).contains(&quantity) {
            return Err(Refusal::invalid("quantity", format!("a quantity is between 1 and {MAX_QUANTITY}")));
        }
        let mut lines = self.lines.clone();
        match lines.iter_mut().find(|line| line.product_id == product_id) {
            Some(line) => line.quantity = quantity,
            None if self.lines.len() >= MAX_LINES => {
                return Err(Refusal::TooManyLines { max: MAX_LINES, found: self.lines.len().saturating_add(1) });
            }
            None => lines.push(CartLine { product_id, quantity }),
        }
        Ok(self.next(lines, now))
    }

    /// The next cart, without a product.
    pub fn remove(&self, product_id: ProductId, now: Timestamp) -> Result<Self, Refusal> {
        let lines: Vec<CartLine> = self.lines.iter().copied().filter(|line| line.product_id != product_id).collect();
        if lines.len() == self.lines.len() {
            return Err(Refusal::NotFound { what: "line of the cart" });
        }
        Ok(self.next(lines, now))
    }

    /// The next cart, with nothing in it. The row stays, so that whoever saw an older cart cannot write over this one.
    #[must_use]
    pub fn cleared(&self, now: Timestamp) -> Self {
        self.next(Vec::new(), now)
    }

    fn next(&self, lines: Vec<CartLine>, now: Timestamp) -> Self {
        Self { customer: self.customer, lines, updated_at: now, version: self.version.saturating_add(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_768_705_445_000);
    const LATER: Timestamp = Timestamp::from_millis(1_768_705_446_000);

    fn product(n: u8) -> ProductId {
        ProductId::new(1, [n; 10])
    }

    fn cart() -> Cart {
        Cart::empty(UserId::new(1, [1; 10]), NOW)
    }

    fn lines(cart: &Cart) -> Vec<(ProductId, i64)> {
        cart.lines.iter().map(|line| (line.product_id, line.quantity)).collect()
    }

    #[test]
    fn a_product_has_one_line_that_keeps_its_place() {
        let cart = cart().set(product(2), 1, NOW).unwrap().set(product(1), 3, NOW).unwrap();
        assert_eq!(lines(&cart), [(product(2), 1), (product(1), 3)]);
        let changed = cart.set(product(2), 7, LATER).unwrap();
        assert_eq!(lines(&changed), [(product(2), 7), (product(1), 3)]);
        assert_eq!((cart.version, changed.version, changed.updated_at), (2, 3, LATER));
        assert_eq!(changed.customer, cart.customer);
    }

    #[test]
    fn a_quantity_outside_of_the_limits_is_refused() {
        for quantity in [i64::MIN, -1, 0, MAX_QUANTITY + 1, i64::MAX] {
            let refused = cart().set(product(1), quantity, NOW);
            assert!(matches!(&refused, Err(Refusal::Invalid { path, .. }) if path == "quantity"), "{quantity}: {refused:?}");
        }
        for quantity in [1, MAX_QUANTITY] {
            assert_eq!(lines(&cart().set(product(1), quantity, NOW).unwrap()), [(product(1), quantity)]);
        }
    }

    #[test]
    fn a_full_cart_takes_no_further_product() {
        let full = (0_u8..).take(MAX_LINES).fold(cart(), |cart, n| cart.set(product(n), 1, NOW).unwrap());
        assert_eq!(full.lines.len(), MAX_LINES);
        let refused = full.set(product(u8::MAX), 1, NOW);
        assert_eq!(refused, Err(Refusal::TooManyLines { max: MAX_LINES, found: MAX_LINES + 1 }));
        assert_eq!(full.set(product(0), 2, NOW).unwrap().lines.len(), MAX_LINES, "a product that is in it can still change");
        assert!(full.remove(product(3), NOW).unwrap().set(product(u8::MAX), 1, NOW).is_ok());
    }

    #[test]
    fn a_product_is_taken_out_once() {
        let cart = cart().set(product(1), 1, NOW).unwrap().set(product(2), 2, NOW).unwrap();
        let less = cart.remove(product(1), LATER).unwrap();
        assert_eq!((lines(&less), less.version, less.updated_at), (vec![(product(2), 2)], 3, LATER));
        assert_eq!(less.remove(product(1), LATER), Err(Refusal::NotFound { what: "line of the cart" }));
    }

    #[test]
    fn a_cleared_cart_stays_with_a_higher_version() {
        let cleared = cart().set(product(1), 1, NOW).unwrap().cleared(LATER);
        assert_eq!((cleared.lines, cleared.version, cleared.updated_at), (vec![], 2, LATER));
    }
}
