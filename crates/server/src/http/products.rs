//! What is for sale, for everybody.

pub(super) mod staff;

use super::Shared;
use super::list::{Query, page_limit};
use super::openapi::{List, vocabulary};
use super::problem::Problem;
use super::version::with_etag;
use crate::app::catalogue;
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use ordermill_core::admit::StockLevel;
use ordermill_core::catalogue::{Product, ProductKind};
use ordermill_core::id::ProductId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which products.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
    /// A part of the sku or title.
    q: Option<String>,
}

/// Something for sale.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Product)]
pub(super) struct ProductBody {
    #[schema(format = "uuid")]
    id: String,
    sku: String,
    title: String,
    #[schema(schema_with = vocabulary::product_kind)]
    kind: ProductKind,
    /// The product's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    unit_amount: i64,
    currency: String,
    /// How many there are; a link never runs out and has `null`.
    #[schema(required)]
    available: Option<i64>,
    /// Whether it may be ordered; told to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    version: i64,
}

/// Products, sorted by sku
#[utoipa::path(get, path = "/api/products", tag = "catalogue", params(ListQuery),
    responses((status = 200, description = "A page.", body = List<ProductBody>)))]
pub(super) async fn list(State(shared): State<Shared>, Query(query): Query<ListQuery>) -> Result<Answer<List<ProductBody>>, Problem> {
    let limit = page_limit(query.limit)?;
    let products = catalogue::products(&shared.app).await?;
    let wanted = query.q.unwrap_or_default().to_lowercase();
    // The cursor is the last sku of the page before.
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
    let data = page.iter().zip(stock).map(|(product, level)| ProductBody::of(product, level)).collect();
    let next_cursor = if has_more { page.last().map(|product| product.sku.clone()) } else { None };
    Ok(Answer(List { data, next_cursor }))
}

/// One product
#[utoipa::path(get, path = "/api/products/{id}", tag = "catalogue", params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The product; its version is the `ETag`.", body = ProductBody)))]
pub(super) async fn show(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    let missing = || Problem::new("not_found", "there is no such product");
    let id = ProductId::parse(&id).ok_or_else(missing)?;
    let products = catalogue::products(&shared.app).await?;
    let product = products.get(id).filter(|product| product.is_active).ok_or_else(missing)?;
    let stock = shared.app.store.stock(std::slice::from_ref(&product.sku)).await.map_err(crate::app::Fault::from)?;
    let body = ProductBody::of(product, stock.first().copied().unwrap_or_default());
    Ok(with_etag(Answer(body).into_response(), product.version))
}

impl ProductBody {
    pub(super) fn of(product: &Product, level: StockLevel) -> Self {
        Self {
            id: product.id.to_string(),
            sku: product.sku.clone(),
            title: product.title.clone(),
            kind: product.kind,
            url: product.url.clone(),
            unit_amount: product.unit_amount,
            currency: product.currency.to_string(),
            available: match product.kind {
                ProductKind::Physical => Some(level.available),
                ProductKind::Digital => None,
            },
            active: None,
            version: product.version,
        }
    }

    /// The same with what only staff sees.
    pub(super) fn for_staff(product: &Product, level: StockLevel) -> Self {
        Self { active: Some(product.is_active), ..Self::of(product, level) }
    }
}
