//! What staff does to the catalogue: products come, change their price and title, and go out of sale; stock is counted up
//! and down with a reason. A sku, a page, a kind and a currency are for ever: orders and stock lie under them.

use super::{NewProduct, first_stock};
use crate::app::commit::{DECISIONS, commit};
use crate::app::idempotency::RequestKey;
use crate::app::{App, Fault};
use ordermill_core::admit::StockLevel;
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{AuditEntry, Cause, Change, Key, Row, StockKey, StockMove};
use ordermill_core::event::Actor;
use ordermill_core::id::ProductId;
use ordermill_core::refusal::Refusal;
use ordermill_store::CommitError;
use std::sync::Arc;

/// What of a product may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductEdit {
    /// What people read.
    pub title: String,
    /// The price of one, in minor units.
    pub unit_amount: i64,
    /// Whether it may be ordered.
    pub is_active: bool,
}

/// A product and its stock, as an act left them.
#[derive(Debug, Clone)]
pub struct Edited {
    /// The product.
    pub product: Product,
    /// Its stock.
    pub level: StockLevel,
    /// Whether an earlier copy of the request did it.
    pub is_replay: bool,
}

/// Adds a product with its first stock.
pub async fn create(app: &App, new: NewProduct, actor: &Actor, request: Option<RequestKey>) -> Result<Edited, Fault> {
    let (product, mut change) = first_stock(app, new, actor);
    if let Some(request) = request {
        request.remember(&mut change, product.id, app.now());
    }
    match commit(app, &Arc::new(change)).await {
        Ok(()) => {
            app.catalogue.remember(None);
            edited(app, product, false).await
        }
        Err(CommitError::Conflict(conflict)) => {
            if let Some(winner) = request.map(|request| request.winner(&conflict)).transpose()?.flatten() {
                return edited(app, find(app, winner.product()).await?, true).await;
            }
            let is_sku = conflict.is_taken(&Key::Sku(product.sku.clone()));
            Err(if is_sku { Refusal::SkuTaken } else { Refusal::UrlTaken }.into())
        }
        Err(other) => Err(other.into()),
    }
}

/// Changes a product, if it still has the version that the client has seen.
pub async fn change(app: &App, id: ProductId, edit: &ProductEdit, expected_version: Option<i64>, actor: &Actor) -> Result<Edited, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let before = find(app, id).await?;
        if expected_version.is_some_and(|expected| expected != before.version) {
            return Err(Refusal::VersionMismatch { found: before.version }.into());
        }
        let ProductEdit { title, unit_amount, is_active } = edit.clone();
        let after = Product { title, unit_amount, is_active, version: before.version.saturating_add(1), ..before.clone() };
        let reason = format!("{} {}, {}", after.unit_amount, after.currency, if is_active { "for sale" } else { "not for sale" });
        let mut change = Change::new(change_id);
        change.replace(Row::Product(after.clone()), before.version);
        change.insert(Row::Audit(audit(app, actor, "product.changed", &after.sku, reason)));
        match commit(app, &Arc::new(change)).await {
            Ok(()) => {
                app.catalogue.remember(None);
                return edited(app, after, false).await;
            }
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the product changed too often meanwhile".to_owned()))
}

/// Counts a product's stock up or down, and says why.
pub async fn adjust_stock(
    app: &App,
    id: ProductId,
    delta: i64,
    reason: &str,
    actor: &Actor,
    request: Option<RequestKey>,
) -> Result<Edited, Fault> {
    let product = find(app, id).await?;
    if product.kind != ProductKind::Physical {
        return Err(Refusal::invalid("delta", "what is delivered as a link has no stock").into());
    }
    let mut change = Change::new(app.change_id());
    let key = StockKey::main(product.sku.clone());
    change.stock.push(StockMove { key: key.clone(), available_delta: delta, reserved_delta: 0, cause: Cause::Change(change.id) });
    change.insert(Row::Audit(audit(app, actor, "stock.adjusted", &product.sku, format!("{delta:+}: {reason}"))));
    if let Some(request) = request {
        request.remember(&mut change, product.id, app.now());
    }
    match commit(app, &Arc::new(change)).await {
        Ok(()) => edited(app, product, false).await,
        Err(CommitError::Conflict(conflict)) => {
            if request.map(|request| request.winner(&conflict)).transpose()?.flatten().is_some() {
                return edited(app, product, true).await;
            }
            let short = conflict.short_stock().find(|(short, _)| **short == key).map(|(_, level)| level);
            match short {
                Some(level) => Err(Refusal::StockTooLow { available: level.available }.into()),
                None => Err(CommitError::Conflict(conflict).into()),
            }
        }
        Err(other) => Err(other.into()),
    }
}

/// One product as the store has it, also when it is not for sale.
pub async fn find(app: &App, id: ProductId) -> Result<Product, Fault> {
    match app.store.get(&Key::Product(id)).await?.map(|stored| stored.row) {
        Some(Row::Product(product)) => Ok(product),
        _ => Err(Refusal::NotFound { what: "product" }.into()),
    }
}

async fn edited(app: &App, product: Product, is_replay: bool) -> Result<Edited, Fault> {
    let levels = app.store.stock(std::slice::from_ref(&product.sku)).await?;
    Ok(Edited { product, level: levels.first().copied().unwrap_or_default(), is_replay })
}

/// An entry of the audit trail about goods.
pub(super) fn audit(app: &App, actor: &Actor, action: &str, sku: &str, reason: String) -> AuditEntry {
    AuditEntry {
        id: app.audit_id(),
        at: app.now(),
        actor: actor.clone(),
        action: action.to_owned(),
        subject: sku.to_owned(),
        reason,
        outcome: None,
    }
}
