//! What staff does to the catalogue, and programs that keep it in step with another system.

use super::ProductBody;
use crate::app::catalogue::{self, Edited, NewProduct, ProductEdit};
use crate::http::Shared;
use crate::http::body::Json;
use crate::http::idempotency::{Repeatable, answered};
use crate::http::identity::OperatorOrProgram;
use crate::http::list::word;
use crate::http::openapi::vocabulary;
use crate::http::problem::Problem;
use crate::http::text::{invalid, needed_line};
use crate::http::version::{if_match, with_etag};
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ordermill_core::catalogue::ProductKind;
use ordermill_core::id::ProductId;
use ordermill_core::money::Currency;
use ordermill_core::order::place::MAX_TOTAL;
use serde::Deserialize;
use utoipa::ToSchema;

/// The longest sku, in characters.
const SKU_MAX: usize = 100;
/// The longest title, in characters.
const TITLE_MAX: usize = 300;
/// The longest page address, in characters.
const URL_MAX: usize = 1_000;
/// The longest reason, in characters.
const REASON_MAX: usize = 500;
/// The most that stock moves at once.
const DELTA_MAX: i64 = 1_000_000_000;

/// A product to be added.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct CreateProductRequest {
    /// The seller's own name for it; for ever.
    #[schema(min_length = 1, max_length = 100)]
    sku: String,
    #[schema(min_length = 1, max_length = 300)]
    title: String,
    #[schema(schema_with = vocabulary::product_kind)]
    kind: String,
    /// The product's page; digital orders are matched by it.
    #[schema(max_length = 1000)]
    url: Option<String>,
    /// In minor units.
    #[schema(minimum = 0, maximum = 999_999_999_999_i64)]
    unit_amount: i64,
    /// ISO 4217; the shop's currency when left out.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// How many there are to begin with.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    stock: Option<i64>,
}

/// What of a product may change.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct ChangeProductRequest {
    #[schema(min_length = 1, max_length = 300)]
    title: String,
    #[schema(minimum = 0, maximum = 999_999_999_999_i64)]
    unit_amount: i64,
    /// Whether it may be ordered.
    active: bool,
}

/// How stock moves, and why.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct AdjustStockRequest {
    /// Not 0.
    #[schema(minimum = -1_000_000_000, maximum = 1_000_000_000)]
    delta: i64,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Add a product
#[utoipa::path(post, path = "/api/products", tag = "catalogue", request_body = CreateProductRequest,
    responses((status = 201, description = "The product.", body = ProductBody)))]
pub(in crate::http) async fn create(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: OperatorOrProgram,
    body: Json<CreateProductRequest>,
) -> Result<Response, Problem> {
    let Json { value: request, raw } = body;
    let unknown = || invalid("kind", "physical or digital");
    let kind = word("kind", Some(request.kind), ProductKind::from_name)?.ok_or_else(unknown)?;
    let stock = request.stock.unwrap_or(0);
    if !(0..=DELTA_MAX).contains(&stock) || (stock > 0 && kind == ProductKind::Digital) {
        return Err(invalid("stock", "between 0 and 1000000000, and only of what is shipped"));
    }
    let currency = request.currency.unwrap_or_else(|| shared.app.config.orders.currency.to_string());
    let new = NewProduct {
        sku: needed_line("sku", &request.sku, SKU_MAX)?,
        title: needed_line("title", &request.title, TITLE_MAX)?,
        kind,
        url: request.url.map(|url| checked_url(&url)).transpose()?,
        unit_amount: checked_amount(request.unit_amount)?,
        currency: Currency::parse(&currency).ok_or_else(|| invalid("currency", "an ISO 4217 code such as VND"))?,
        stock,
    };
    let made = catalogue::create(&shared.app, new, &operator.actor(), repeatable.request_key(&raw)).await?;
    Ok(respond(StatusCode::CREATED, &made))
}

/// Change a product
///
/// Its sku, page, kind and currency are for ever: orders and stock lie under them.
#[utoipa::path(put, path = "/api/products/{id}", tag = "catalogue", request_body = ChangeProductRequest,
    params(("id" = String, Path, description = "Its id."),
        ("if-match" = Option<String>, Header, description = "The `ETag` that the client has seen.")),
    responses((status = 200, description = "The product as it is now.", body = ProductBody)))]
pub(in crate::http) async fn change(
    State(shared): State<Shared>,
    operator: OperatorOrProgram,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Json<ChangeProductRequest>,
) -> Result<Response, Problem> {
    let request = body.value;
    let edit = ProductEdit {
        title: needed_line("title", &request.title, TITLE_MAX)?,
        unit_amount: checked_amount(request.unit_amount)?,
        is_active: request.active,
    };
    let edited = catalogue::change(&shared.app, parse_id(&id)?, &edit, if_match(&headers)?, &operator.actor()).await?;
    Ok(respond(StatusCode::OK, &edited))
}

/// Count a product's stock up or down
#[utoipa::path(post, path = "/api/products/{id}/stock", tag = "catalogue", request_body = AdjustStockRequest,
    params(("id" = String, Path, description = "The product's id.")),
    responses((status = 200, description = "The product as it is now.", body = ProductBody)))]
pub(in crate::http) async fn adjust_stock(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    operator: OperatorOrProgram,
    Path(id): Path<String>,
    body: Json<AdjustStockRequest>,
) -> Result<Response, Problem> {
    let Json { value: AdjustStockRequest { delta, reason }, raw } = body;
    if delta == 0 || !(-DELTA_MAX..=DELTA_MAX).contains(&delta) {
        return Err(invalid("delta", "not 0, and at most 1000000000 up or down"));
    }
    let reason = needed_line("reason", &reason, REASON_MAX)?;
    let request = repeatable.request_key(&raw);
    let edited = catalogue::adjust_stock(&shared.app, parse_id(&id)?, delta, &reason, &operator.actor(), request).await?;
    Ok(respond(StatusCode::OK, &edited))
}

fn respond(status: StatusCode, edited: &Edited) -> Response {
    let body = ProductBody::for_staff(&edited.product, edited.level);
    with_etag(answered((status, Answer(body)).into_response(), edited.is_replay), edited.product.version)
}

fn parse_id(text: &str) -> Result<ProductId, Problem> {
    ProductId::parse(text).ok_or_else(|| Problem::new("not_found", "there is no such product"))
}

fn checked_amount(amount: i64) -> Result<i64, Problem> {
    if (0..=MAX_TOTAL).contains(&amount) { Ok(amount) } else { Err(invalid("unitAmount", &format!("between 0 and {MAX_TOTAL}"))) }
}

fn checked_url(text: &str) -> Result<String, Problem> {
    let text = needed_line("url", text, URL_MAX)?;
    let is_web = reqwest::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_web { Ok(text) } else { Err(invalid("url", "an http:// or https:// address")) }
}
