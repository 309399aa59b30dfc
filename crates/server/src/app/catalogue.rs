//! What is for sale: a copy of the catalogue that is at most two seconds old, and the acts that change it.
//! Prices come from here and nowhere else.

mod edit;

pub use edit::{Edited, ProductEdit, adjust_stock, change, create, find};

use super::commit::commit;
use super::{App, Fault};
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::change::{Cause, Change, Key, Row, StockKey, StockMove};
use ordermill_core::event::Actor;
use ordermill_core::id::ProductId;
use ordermill_core::money::Currency;
use ordermill_core::refusal::Refusal;
use ordermill_core::time::Timestamp;
use ordermill_store::{CatalogueStamp, CommitError};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// Older than this and one request asks the store whether anything changed, while the others go on.
const REFRESH_MS: i64 = 1_000;
/// Older than this and every request waits for the answer.
const STALE_MS: i64 = 2_000;

/// The products as they were a moment ago.
#[derive(Debug, Clone)]
pub struct Products {
    stamp: CatalogueStamp,
    seen_at: Timestamp,
    by_id: Arc<HashMap<ProductId, usize>>,
    /// Sorted by sku. Shared with the copy before it when nothing changed.
    pub list: Arc<[Product]>,
}

impl Products {
    /// One product.
    pub fn get(&self, id: ProductId) -> Option<&Product> {
        self.by_id.get(&id).and_then(|index| self.list.get(*index))
    }
}

/// The process's copy of the catalogue.
#[derive(Default)]
pub struct CatalogueCache {
    seen: RwLock<Option<Arc<Products>>>,
    refreshing: Mutex<()>,
}

impl CatalogueCache {
    fn seen(&self) -> Option<Arc<Products>> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, products: Option<Arc<Products>>) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = products;
    }
}

/// The catalogue, at most two seconds old.
pub async fn products(app: &App) -> Result<Arc<Products>, Fault> {
    let cache = &app.catalogue;
    let age_of = |products: &Products| app.now().ms_since(products.seen_at);
    let guard = match cache.seen() {
        Some(products) if (0..REFRESH_MS).contains(&age_of(&products)) => return Ok(products),
        Some(products) if (0..STALE_MS).contains(&age_of(&products)) => match cache.refreshing.try_lock() {
            Ok(guard) => guard,
            Err(_) => return Ok(products),
        },
        _ => cache.refreshing.lock().await,
    };
    // Somebody else may have refreshed while this request waited for the lock.
    let seen = cache.seen();
    if let Some(products) = seen.as_ref().filter(|products| (0..REFRESH_MS).contains(&age_of(products))) {
        return Ok(Arc::clone(products));
    }
    let seen_at = app.now();
    let products = match (app.store.catalogue(seen.as_ref().map(|products| products.stamp)).await?, seen) {
        (None, Some(same)) => Products { seen_at, ..Products::clone(&same) },
        (None, None) => return Err(Fault::Internal("the store says that an unknown catalogue did not change".to_owned())),
        (Some(catalogue), _) => {
            let by_id: HashMap<_, _> = catalogue.products.iter().enumerate().map(|(index, product)| (product.id, index)).collect();
            Products { stamp: catalogue.stamp, seen_at, by_id: Arc::new(by_id), list: catalogue.products.into() }
        }
    };
    let products = Arc::new(products);
    cache.remember(Some(Arc::clone(&products)));
    drop(guard);
    Ok(products)
}

/// A product to be added.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// The seller's own name for it.
    pub sku: String,
    /// What people read.
    pub title: String,
    /// Shipped or delivered as a link.
    pub kind: ProductKind,
    /// The product's page.
    pub url: Option<String>,
    /// The price of one, in minor units.
    pub unit_amount: i64,
    /// The price's currency.
    pub currency: Currency,
    /// How many there are to begin with.
    pub stock: i64,
}

/// Adds a product with its first stock, unless its sku exists: then the existing one is returned as it is.
pub async fn add_product(app: &App, new: NewProduct, actor: Actor) -> Result<Product, Fault> {
    let (product, change) = first_stock(app, new, &actor);
    match commit(app, &Arc::new(change)).await {
        Ok(()) => {}
        Err(CommitError::Conflict(conflict)) => match conflict.existing(&Key::Sku(product.sku.clone())) {
            Some(Row::Product(existing)) => return Ok(existing.clone()),
            _ => return Err(Refusal::UrlTaken.into()),
        },
        Err(other) => return Err(other.into()),
    }
    app.catalogue.remember(None);
    Ok(product)
}

/// The change that makes a product with its first stock.
fn first_stock(app: &App, new: NewProduct, actor: &Actor) -> (Product, Change) {
    let NewProduct { sku, title, kind, url, unit_amount, currency, stock } = new;
    let product = Product { id: app.product_id(), sku, title, kind, url, unit_amount, currency, is_active: true, version: 1 };
    let mut change = Change::new(app.change_id());
    if stock > 0 && kind == ProductKind::Physical {
        let (key, cause) = (StockKey::main(product.sku.clone()), Cause::Change(change.id));
        change.stock.push(StockMove { key, available_delta: stock, reserved_delta: 0, cause });
    }
    change.insert(Row::Product(product.clone()));
    change.insert(Row::Audit(edit::audit(app, actor, "product.added", &product.sku, format!("{stock} in stock"))));
    (product, change)
}
