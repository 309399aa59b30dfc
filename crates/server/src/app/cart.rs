//! The one cart of every account. It holds products and quantities, no prices; ordering from it empties it in the order's
//! own commit (`orders::place`).

use super::commit::{DECISIONS, commit};
use super::{App, Fault, catalogue};
use ordermill_core::account::User;
use ordermill_core::cart::Cart;
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::id::{ProductId, UserId};
use ordermill_core::refusal::Refusal;
use ordermill_core::time::Timestamp;
use ordermill_store::CommitError;
use std::sync::Arc;

/// The account's cart; an empty one when nothing was ever put in.
pub async fn of(app: &App, customer: UserId) -> Result<Cart, Fault> {
    match app.store.get(&Key::Cart(customer)).await?.map(|stored| stored.row) {
        Some(Row::Cart(cart)) => Ok(cart),
        _ => Ok(Cart::empty(customer, app.now())),
    }
}

/// Puts so much of a product in, whatever was in before.
pub async fn set_item(app: &App, user: &User, product: ProductId, quantity: i64) -> Result<Cart, Fault> {
    let products = catalogue::products(app).await?;
    if products.get(product).is_none_or(|product| !product.is_active) {
        return Err(Refusal::UnknownProduct { product_id: product.to_string() }.into());
    }
    edit(app, user, |cart, now| cart.set(product, quantity, now)).await
}

/// Takes a product out.
pub async fn remove_item(app: &App, user: &User, product: ProductId) -> Result<Cart, Fault> {
    edit(app, user, |cart, now| cart.remove(product, now)).await
}

/// Takes everything out.
pub async fn clear(app: &App, user: &User) -> Result<Cart, Fault> {
    edit(app, user, |cart, now| Ok(if cart.lines.is_empty() { cart.clone() } else { cart.cleared(now) })).await
}

/// Lets a change of a cart's row ride in a change: inserted the first time, replaced later.
pub fn write(change: &mut Change, before: &Cart, after: Cart) {
    if before.version == 0 {
        change.insert(Row::Cart(after));
    } else {
        change.replace(Row::Cart(after), before.version);
    }
}

async fn edit(app: &App, user: &User, next: impl Fn(&Cart, Timestamp) -> Result<Cart, Refusal>) -> Result<Cart, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let before = of(app, user.id).await?;
        let after = next(&before, app.now())?;
        if after.version == before.version {
            return Ok(before);
        }
        let mut change = Change::new(change_id);
        write(&mut change, &before, after.clone());
        match commit(app, &Arc::new(change)).await {
            Ok(()) => return Ok(after),
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the cart changed too often meanwhile".to_owned()))
}
