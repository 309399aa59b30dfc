//! The account's cart, at the prices of now.

use super::Shared;
use super::body::Json;
use super::identity::SignedIn;
use super::openapi::vocabulary;
use super::problem::Problem;
use crate::app::{App, Fault, cart, catalogue};
use axum::Json as Answer;
use axum::extract::{Path, State};
use ordermill_core::cart::Cart;
use ordermill_core::catalogue::ProductKind;
use ordermill_core::id::ProductId;
use ordermill_core::refusal::Refusal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A cart at the prices of now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Cart)]
pub(super) struct CartBody {
    items: Vec<ItemBody>,
    /// What the items cost together; `null` when they have several currencies, or one is not for sale any more.
    #[schema(required)]
    subtotal_amount: Option<i64>,
    /// The items' one currency.
    #[schema(required)]
    currency: Option<String>,
    version: i64,
}

/// So much of one product.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartItem)]
pub(super) struct ItemBody {
    #[schema(format = "uuid")]
    product_id: String,
    quantity: i64,
    /// The product as it is now; `null` when it is not for sale any more.
    #[schema(required)]
    product: Option<ItemProduct>,
}

/// What a product costs now, and how much of it there is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartItemProduct)]
pub(super) struct ItemProduct {
    sku: String,
    title: String,
    #[schema(schema_with = vocabulary::product_kind)]
    kind: ProductKind,
    unit_amount: i64,
    total_amount: i64,
    currency: String,
    /// How many there are; a link never runs out and has `null`.
    #[schema(required)]
    available: Option<i64>,
}

/// How much of which product.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutItemRequest {
    #[schema(format = "uuid")]
    product_id: String,
    #[schema(minimum = 1, maximum = 10000)]
    quantity: i64,
}

/// My cart
#[utoipa::path(get, path = "/api/carts", tag = "cart", responses((status = 200, description = "The cart.", body = CartBody)))]
pub(super) async fn show(State(shared): State<Shared>, SignedIn(user): SignedIn) -> Result<Answer<CartBody>, Problem> {
    let cart = cart::of(&shared.app, user.id).await?;
    Ok(Answer(CartBody::of(&shared.app, &cart).await?))
}

/// Put so much of a product into my cart, whatever was in it before
#[utoipa::path(put, path = "/api/carts/items", tag = "cart", request_body = PutItemRequest,
    responses((status = 200, description = "The cart as it is now.", body = CartBody)))]
pub(super) async fn put_item(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    body: Json<PutItemRequest>,
) -> Result<Answer<CartBody>, Problem> {
    let PutItemRequest { product_id, quantity } = body.value;
    let id = ProductId::parse(&product_id).ok_or(Refusal::UnknownProduct { product_id })?;
    let cart = cart::set_item(&shared.app, &user, id, quantity).await?;
    Ok(Answer(CartBody::of(&shared.app, &cart).await?))
}

/// Take a product out of my cart
#[utoipa::path(delete, path = "/api/carts/items/{id}", tag = "cart", params(("id" = String, Path, description = "The product's id.")),
    responses((status = 200, description = "The cart as it is now.", body = CartBody)))]
pub(super) async fn remove_item(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    Path(id): Path<String>,
) -> Result<Answer<CartBody>, Problem> {
    let id = ProductId::parse(&id).ok_or_else(|| Problem::new("not_found", "there is no such line of the cart"))?;
    let cart = cart::remove_item(&shared.app, &user, id).await?;
    Ok(Answer(CartBody::of(&shared.app, &cart).await?))
}

/// Take everything out of my cart
#[utoipa::path(delete, path = "/api/carts", tag = "cart", responses((status = 200, description = "The cart as it is now.", body = CartBody)))]
pub(super) async fn clear(State(shared): State<Shared>, SignedIn(user): SignedIn) -> Result<Answer<CartBody>, Problem> {
    let cart = cart::clear(&shared.app, &user).await?;
    Ok(Answer(CartBody::of(&shared.app, &cart).await?))
}

impl CartBody {
    async fn of(app: &App, cart: &Cart) -> Result<Self, Fault> {
        let products = catalogue::products(app).await?;
        let for_sale = |id| products.get(id).filter(|product| product.is_active);
        let skus: Vec<String> =
            cart.lines.iter().map(|line| for_sale(line.product_id).map_or_else(String::new, |found| found.sku.clone())).collect();
        let stock = app.store.stock(&skus).await?;
        let item = |(line, level): (&ordermill_core::cart::CartLine, ordermill_core::admit::StockLevel)| ItemBody {
            product_id: line.product_id.to_string(),
            quantity: line.quantity,
            product: for_sale(line.product_id).map(|product| ItemProduct {
                sku: product.sku.clone(),
                title: product.title.clone(),
                kind: product.kind,
                unit_amount: product.unit_amount,
                total_amount: product.unit_amount.saturating_mul(line.quantity),
                currency: product.currency.to_string(),
                available: (product.kind == ProductKind::Physical).then_some(level.available),
            }),
        };
        let items: Vec<ItemBody> = cart.lines.iter().zip(stock).map(item).collect();
        let (subtotal_amount, currency) = total(&items);
        Ok(Self { items, subtotal_amount, currency, version: cart.version })
    }
}

/// What the items cost together, if that can be said.
fn total(items: &[ItemBody]) -> (Option<i64>, Option<String>) {
    let mut sum = 0_i64;
    let mut currency: Option<&str> = None;
    for item in items {
        let Some(product) = &item.product else { return (None, None) };
        if currency.is_some_and(|currency| currency != product.currency) {
            return (None, None);
        }
        currency = Some(&product.currency);
        sum = sum.saturating_add(product.total_amount);
    }
    (currency.map(|_| sum), currency.map(ToOwned::to_owned))
}
