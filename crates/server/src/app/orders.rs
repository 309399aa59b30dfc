//! Placing and reading orders.

mod command;
pub mod lists;
mod numbers;
mod place;
pub mod platform;

pub use super::idempotency::RequestKey;
pub use command::{Commanded, command};
pub use lists::OrderLists;
pub use numbers::NumberBlock;
pub use place::{Ordered, Placed, place};

use super::{App, Fault};
use bytes::Bytes;
use ordermill_core::account::User;
use ordermill_core::event::Event;
use ordermill_core::id::OrderId;
use ordermill_core::order::Order;
use ordermill_core::refusal::Refusal;
use ordermill_store::{OrderQuery, OrderRef, Page};

/// The most events one answer carries.
pub const EVENTS_MAX: usize = 500;

/// Who may see which orders.
#[derive(Debug, Clone, Copy)]
pub enum Viewer<'a> {
    /// Their own.
    Customer(&'a User),
    /// Everybody's.
    Staff,
}

impl<'a> Viewer<'a> {
    /// What an account may see.
    pub const fn of(user: &'a User) -> Self {
        if user.role.is_staff() { Self::Staff } else { Self::Customer(user) }
    }

    fn may_see(self, order: &Order) -> bool {
        match self {
            Self::Customer(user) => order.customer.id == Some(user.id),
            Self::Staff => true,
        }
    }
}

/// One order by id or code. Another customer's order is not there, rather than forbidden.
pub async fn find(app: &App, viewer: Viewer<'_>, id_or_code: &str) -> Result<Order, Fault> {
    let missing = || Fault::from(Refusal::NotFound { what: "order" });
    let by = named(app, id_or_code).ok_or_else(missing)?;
    let order = app.store.order(&by).await?.ok_or_else(missing)?;
    if viewer.may_see(&order) { Ok(order) } else { Err(missing()) }
}

/// The order that one of our own rows names.
async fn find_by_id(app: &App, id: OrderId) -> Result<Order, Fault> {
    let order = app.store.order(&OrderRef::Id(id)).await?;
    order.ok_or_else(|| Fault::Internal(format!("a row names order {id}, which does not exist")))
}

/// What a person or a program calls an order: its id or its code.
pub fn named(app: &App, id_or_code: &str) -> Option<OrderRef> {
    let by_id = OrderId::parse(id_or_code).map(OrderRef::Id);
    by_id.or_else(|| ordermill_core::code::parse_number(&app.config.orders.code_prefix, id_or_code).map(OrderRef::Number))
}

/// The orders somebody may see, newest first.
pub async fn list(app: &App, viewer: Viewer<'_>, mut query: OrderQuery) -> Result<Page<Order>, Fault> {
    if let Viewer::Customer(user) = viewer {
        query.customer = Some(user.id);
    }
    Ok(app.store.orders(&query).await?)
}

/// The same, when the search may name one order.
pub async fn search(app: &App, viewer: Viewer<'_>, named: Option<&OrderRef>, query: OrderQuery) -> Result<Page<Order>, Fault> {
    let Some(named) = named else { return list(app, viewer, query).await };
    let found = app.store.order(named).await?.filter(|order| viewer.may_see(order) && query.matches(order));
    Ok(Page::of(found.into_iter().collect(), None, query.limit))
}

/// The same as it is sent. A customer's own list may be one from a moment ago, if nothing of it has changed since; staff's
/// never is.
pub async fn rendered(
    app: &App,
    viewer: Viewer<'_>,
    named: Option<&OrderRef>,
    query: OrderQuery,
    render: impl FnOnce(&Page<Order>) -> Bytes,
) -> Result<Bytes, Fault> {
    match (viewer, named) {
        (Viewer::Customer(user), None) => {
            let make = || async { list(app, viewer, query.clone()).await.map(|page| render(&page)) };
            app.order_lists.get_or_make(user.id, &query, make).await
        }
        _ => search(app, viewer, named, query).await.map(|page| render(&page)),
    }
}

/// An order's timeline after a number.
pub async fn events(app: &App, viewer: Viewer<'_>, id_or_code: &str, after: i64) -> Result<Vec<Event>, Fault> {
    let order = find(app, viewer, id_or_code).await?;
    Ok(app.store.events(order.id, after, EVENTS_MAX).await?)
}
