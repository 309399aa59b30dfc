//! Lets a payment fact move its order, once, whoever brings it: webhook, worker or poller. All of it (the raw event, the
//! payment row, the order, ledger, timeline, jobs, the end of the job that brought it) is one change.

use crate::app::commit::{DECISIONS, commit};
use crate::app::{App, Fault, orders};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::event::{Actor, EventKind};
use ordermill_core::id::{ChangeId, OrderId};
use ordermill_core::inbox::{InboxEntry, InboxState};
use ordermill_core::job::Finish;
use ordermill_core::order::Order;
use ordermill_core::order::receive::{GoodsOutlook, receive};
use ordermill_core::payment::{Fact, FactKind, OrderLinks, Owner};
use ordermill_store::{CommitError, OrderRef};
use std::sync::Arc;

/// A fact and how the message that brought it names its order.
#[derive(Debug, Clone)]
pub struct Tidings {
    /// What happened to the money.
    pub fact: Fact,
    /// Whose money it is.
    pub links: OrderLinks,
}

/// What goes into the same commit besides the order.
#[derive(Debug, Clone)]
pub enum Companion {
    /// The raw event, new.
    NewEntry(InboxEntry),
    /// The raw event that waited, now applied, and the end of the job that applied it.
    OpenEntry(InboxEntry, Finish),
    /// Nothing: one of several facts that a hint led to.
    Nothing,
}

/// What became of a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Ingested {
    /// It is part of this order now (or was already).
    Applied(OrderId),
    /// It names an order of ours that does not exist.
    NoOrder,
    /// It is about nothing of ours.
    NotOurs,
    /// It names nothing but this payment, which no order has: the provider knows whose it is, and the payment's own event
    /// may still come.
    OfUnknownPayment(String),
    /// The companion was there already: somebody else ingested the same event.
    Duplicate(Option<Box<Row>>),
    /// The job that brought it is no longer ours.
    LostLease,
}

/// Finds the order and lets the fact move it. Nothing is written unless the order is found.
pub async fn ingest(app: &App, tidings: &Tidings, companion: &Companion, change_id: ChangeId) -> Result<Ingested, Fault> {
    let mut outlook = GoodsOutlook::Hopeful;
    for _ in 0..DECISIONS {
        let Some(order) = find_order(app, tidings).await? else {
            return Ok(match tidings.links.owner(&app.config.orders.code_prefix) {
                Owner::Ours => Ingested::NoOrder,
                Owner::OfPayment(reference) => Ingested::OfUnknownPayment(reference.to_owned()),
                Owner::Stranger => Ingested::NotOurs,
            });
        };
        tracing::Span::current().record("order", &order.code);
        let context = app.context(Actor::provider(tidings.fact.provider), change_id);
        let decided = receive(&order, &tidings.fact, outlook, context);
        let is_news = decided.is_some();
        let (after, mut change) = decided.unwrap_or_else(|| (order.clone(), Change::new(change_id)));
        accompany(&mut change, companion, order.id);
        if !is_news && matches!(companion, Companion::Nothing) {
            return Ok(Ingested::Applied(order.id));
        }
        let change = Arc::new(change);
        match commit(app, &change).await {
            Ok(()) => {
                count(app, &change, &after);
                return Ok(Ingested::Applied(order.id));
            }
            Err(CommitError::Conflict(conflict)) => {
                if let Some(key) = companion_key(companion)
                    && conflict.is_taken(&key)
                {
                    return Ok(Ingested::Duplicate(conflict.existing(&key).cloned().map(Box::new)));
                }
                if conflict.lost_lease() {
                    return Ok(Ingested::LostLease);
                }
                if conflict.short_stock().next().is_some() {
                    outlook = GoodsOutlook::Gone;
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the order is being changed by too many others".to_owned()))
}

/// By the money object's own reference first, then by the payment it belongs to, then by what its metadata says.
async fn find_order(app: &App, tidings: &Tidings) -> Result<Option<Order>, Fault> {
    let Tidings { fact, links } = tidings;
    let payment = match fact.kind {
        FactKind::Payment(_) => None,
        FactKind::Refund(_) | FactKind::Dispute(_) => links.payment_reference.clone(),
    };
    let references = [Some(fact.reference.clone()), payment];
    let named = [&links.order_id, &links.order_code, &links.client_reference];
    let by_reference = references.into_iter().flatten().map(|reference| OrderRef::Reference(fact.provider, reference));
    let by_name = named.into_iter().flatten().filter_map(|name| orders::named(app, name));
    for by in by_reference.chain(by_name) {
        if let Some(order) = app.store.order(&by).await? {
            return Ok(Some(order));
        }
    }
    Ok(None)
}

fn accompany(change: &mut Change, companion: &Companion, order_id: OrderId) {
    let applied = |entry: &InboxEntry| InboxEntry {
        state: InboxState::Applied,
        order_id: Some(order_id),
        outcome: "applied".to_owned(),
        ..entry.clone()
    };
    match companion {
        Companion::NewEntry(entry) => change.insert(Row::Inbox(applied(entry))),
        Companion::OpenEntry(entry, finish) => {
            let next = InboxEntry { version: entry.version + 1, ..applied(entry) };
            change.replace(Row::Inbox(next), entry.version);
            change.finish(finish.clone());
        }
        Companion::Nothing => {}
    }
}

fn companion_key(companion: &Companion) -> Option<Key> {
    match companion {
        Companion::NewEntry(entry) => Some(Key::Inbox(entry.provider, entry.event_id.clone())),
        Companion::OpenEntry(..) | Companion::Nothing => None,
    }
}

/// Counts what happened and says so, once, after it was written.
fn count(app: &App, change: &Change, order: &Order) {
    for event in &change.events {
        tracing::info!(order = order.code, event = event.kind.name(), status = order.status.name(), "an order heard of its payment");
    }
    if change.events.iter().any(|event| event.kind == EventKind::OrderPaid) {
        app.metrics.order_paid(order.updated_at.ms_since(order.created_at));
    }
}
