//! What is for sale, for everybody.

use super::Shared;
use super::problem::Problem;
use crate::app::catalogue;
use axum::Json as Answer;
use axum::extract::{Path, Query, State};
use ordermill_core::admit::StockLevel;
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::id::ProductId;
use serde::Deserialize;
use serde_json::{Value, json};

/// How many rows a list returns unless told otherwise.
pub(super) const LIMIT_DEFAULT: usize = 20;
/// How many rows a list returns at most.
pub(super) const LIMIT_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    q: Option<String>,
}

/// The page size that a request asks for.
pub(super) fn page_limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::new("invalid_request", format!("limit: between 1 and {LIMIT_MAX}")).at("limit", "out of range")),
    }
}

/// `GET /api/products`: sorted by sku; the cursor is the last sku of the page before.
pub(super) async fn list(
    State(shared): State<Shared>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Answer<Value>, Problem> {
    let Query(query) = query.map_err(|rejection| Problem::new("invalid_request", rejection.body_text()))?;
    let limit = page_limit(query.limit)?;
    let products = catalogue::products(&shared.app).await?;
    let wanted = query.q.unwrap_or_default().to_lowercase();
    let after = query.cursor.unwrap_or_default();
    let mut page: Vec<&Product> = products
        .list
        .iter()
        .filter(|product| product.is_active && product.sku > after)
        .filter(|product| product.sku.to_lowercase().contains(&wanted) || product.title.to_lowercase().contains(&wanted))
        .take(limit + 1)
        .collect();
    let has_more = page.len() > limit;
    page.truncate(limit);
    let skus: Vec<String> = page.iter().map(|product| product.sku.clone()).collect();
    let stock = shared.app.store.stock(&skus).await.map_err(crate::app::Fault::from)?;
    let data: Vec<Value> = page.iter().zip(stock).map(|(product, level)| render(product, level)).collect();
    let next = if has_more { page.last().map(|product| product.sku.clone()) } else { None };
    Ok(Answer(json!({ "data": data, "nextCursor": next })))
}

/// `GET /api/products/{id}`
pub(super) async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Answer<Value>, Problem> {
    let missing = || Problem::new("not_found", "there is no such product");
    let id = ProductId::parse(&id).ok_or_else(missing)?;
    let products = catalogue::products(&shared.app).await?;
    let product = products.get(id).filter(|product| product.is_active).ok_or_else(missing)?;
    let stock = shared.app.store.stock(std::slice::from_ref(&product.sku)).await.map_err(crate::app::Fault::from)?;
    Ok(Answer(render(product, stock.first().copied().unwrap_or_default())))
}

fn render(product: &Product, level: StockLevel) -> Value {
    let available = match product.kind {
        ProductKind::Physical => json!(level.available),
        // A link never runs out.
        ProductKind::Digital => Value::Null,
    };
    let mut body = json!({
        "id": product.id,
        "sku": product.sku,
        "title": product.title,
        "kind": product.kind,
        "unitAmount": product.unit_amount,
        "currency": product.currency,
        "available": available,
        "version": product.version,
    });
    if let (Some(url), Some(body)) = (&product.url, body.as_object_mut()) {
        body.insert("url".to_owned(), json!(url));
    }
    body
}
