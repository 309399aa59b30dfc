//! Orders that another service places for its people, and their payments. The order itself is placed as every order is;
//! this file must not know a second way.

use super::place::replay_or;
use super::{Ordered, Placed, RequestKey, Viewer, find, place};
use crate::app::{App, Fault, accounts, payments};
use ordermill_core::account::{Role, User};
use ordermill_core::change::{Key, Row};
use ordermill_core::event::Actor;
use ordermill_core::id::{ProductId, UserId};
use ordermill_core::order::intent::may_pay_by_card;
use ordermill_core::order::place::Wanted;
use ordermill_core::order::{Order, PaymentMethod};
use ordermill_core::refusal::Refusal;

/// What a platform orders, for whom.
#[derive(Debug, Clone)]
pub struct PlatformOrder {
    /// For whom.
    pub buyer: UserId,
    /// What they are: an account of another role is not found.
    pub role: Role,
    /// What.
    pub product: ProductId,
    /// How much of it.
    pub quantity: i64,
    /// The program that asks.
    pub placed_by: Actor,
}

/// Places an order for somebody, to be paid by card.
pub async fn place_for(app: &App, asked: PlatformOrder, request: Option<RequestKey>) -> Result<Placed, Fault> {
    let PlatformOrder { buyer, role, product, quantity, placed_by } = asked;
    let buyer = find_buyer(app, buyer).await?.filter(|user| user.role == role);
    let buyer = match (buyer, request) {
        (Some(buyer), _) => buyer,
        // Who they were when an earlier copy came is what counts.
        (None, Some(request)) => return replay_or(app, request, Refusal::StudentNotFound { role: role.name() }).await,
        (None, None) => return Err(Refusal::StudentNotFound { role: role.name() }.into()),
    };
    let wanted = Wanted {
        lines: vec![(product, quantity)],
        expected_total: None,
        method: PaymentMethod::Stripe,
        shipping_address: None,
        note: None,
    };
    place(app, &buyer, Ordered { wanted, is_cart: false, placed_by }, request).await.map_err(told_to_a_platform)
}

/// The payment of such an order, made if it is not there yet.
pub async fn payment(app: &App, id_or_code: &str, request: Option<RequestKey>) -> Result<Placed, Fault> {
    let order = find(app, Viewer::Staff, id_or_code).await?;
    if !is_buyers(app, &order).await? {
        return Err(Refusal::NotFound { what: "order" }.into());
    }
    let is_replay = match (may_pay_by_card(&order), request) {
        (Ok(()), Some(request)) => request.remember_alone(app, order.id).await?,
        (Ok(()), None) => false,
        (Err(refusal), Some(request)) => return replay_or(app, request, refusal).await,
        (Err(refusal), None) => return Err(refusal.into()),
    };
    let order = if order.needs_intent() { payments::intent::make_now(app, order).await } else { order };
    Ok(Placed { order, is_replay })
}

/// Whether an order is that of somebody for whom a platform may order. Guests' and staff's are not there for it.
async fn is_buyers(app: &App, order: &Order) -> Result<bool, Fault> {
    match order.customer.id {
        Some(id) => Ok(find_buyer(app, id).await?.is_some()),
        None => Ok(false),
    }
}

/// The account of somebody who buys.
async fn find_buyer(app: &App, id: UserId) -> Result<Option<User>, Fault> {
    match app.store.get(&Key::User(id)).await?.map(|stored| stored.row) {
        Some(Row::User(user)) => Ok(Some(user).filter(|user| !user.role.is_staff() && accounts::may_sign_in(app, user))),
        _ => Ok(None),
    }
}

/// A platform cannot say where a parcel goes: what it named is the product.
fn told_to_a_platform(fault: Fault) -> Fault {
    match fault {
        Fault::Refused(Refusal::Invalid { path, .. }) if path == "shippingAddress" => {
            Refusal::invalid("productId", "this is sent as a parcel, and an order through the platform has no address").into()
        }
        other => other,
    }
}
