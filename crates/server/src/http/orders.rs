//! Orders of the signed-in customer (staff: of everybody).

pub(super) mod commands;
mod render;
mod request;

pub(super) use render::{EventBody, OrderBody, Timeline};
pub(super) use request::check_takes_cards;

use super::Shared;
use super::body::Json;
use super::idempotency::{Repeatable, answered};
use super::identity::{OrderReader, SignedIn};
use super::list::{Query, page_limit, parse_time, word};
use super::openapi::{List, vocabulary};
use super::problem::Problem;
use super::text::checked_text;
use super::version::with_etag;
use crate::app::App;
use crate::app::orders;
use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ordermill_core::account::User;
use ordermill_core::contact::Email;
use ordermill_core::order::{Order, OrderStatus};
use ordermill_core::payment::PaymentStatus;
use ordermill_store::{OrderQuery, OrderRef, Page};
use request::CreateRequest;
use serde::Deserialize;
use utoipa::IntoParams;

/// Order
#[utoipa::path(post, path = "/api/orders", tag = "orders", request_body = CreateRequest,
    responses((status = 201, description = "The order stands.", body = OrderBody)))]
pub(super) async fn create(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    SignedIn(user): SignedIn,
    body: Json<CreateRequest>,
) -> Result<Response, Problem> {
    place(&shared, &user, &repeatable, body).await
}

/// Order, at the address that older clients use
#[utoipa::path(post, path = "/api/orders/create", tag = "orders", request_body = CreateRequest,
    responses((status = 201, description = "The order stands.", body = OrderBody)))]
pub(super) async fn create_at_the_old_address(
    State(shared): State<Shared>,
    repeatable: Repeatable,
    SignedIn(user): SignedIn,
    body: Json<CreateRequest>,
) -> Result<Response, Problem> {
    place(&shared, &user, &repeatable, body).await
}

async fn place(shared: &Shared, user: &User, repeatable: &Repeatable, body: Json<CreateRequest>) -> Result<Response, Problem> {
    let request = repeatable.request_key(&body.raw);
    let ordered = body.value.into_ordered(&shared.app, user)?;
    let placed = orders::place(&shared.app, user, ordered, request).await?;
    let response = (StatusCode::CREATED, Answer(OrderBody::of(&shared.app, &placed.order))).into_response();
    Ok(with_etag(answered(response, placed.is_replay), placed.order.version))
}

/// The longest search text, in characters.
const QUERY_MAX: usize = 100;

/// Which orders.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// The `nextCursor` of the page before; for orders it is a number, and only orders with smaller numbers follow.
    cursor: Option<String>,
    /// Only these.
    #[param(schema_with = vocabulary::order_status)]
    status: Option<String>,
    /// Only these.
    #[param(schema_with = vocabulary::payment_status)]
    payment_status: Option<String>,
    /// A code, a number, an e-mail address, or a part of a name, phone number, title or sku.
    #[param(max_length = 100)]
    q: Option<String>,
    /// Only orders from this time on. Times and texts are looked for in at most 1,000 orders a page: far back, a page may be
    /// short or even empty and still have a `nextCursor`. Follow it, or begin with the `cursor` of a number near by.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Only orders from before this time.
    #[param(format = DateTime)]
    to: Option<String>,
}

impl ListQuery {
    /// The query in the store's words, and the one order that it names, if it does.
    pub(super) fn into_query(self, app: &App) -> Result<(Option<OrderRef>, OrderQuery), Problem> {
        let mut query = OrderQuery {
            status: word("status", self.status, OrderStatus::from_name)?,
            payment_status: word("paymentStatus", self.payment_status, PaymentStatus::from_name)?,
            created_from: self.from.map(|text| parse_time("from", &text)).transpose()?,
            created_to: self.to.map(|text| parse_time("to", &text)).transpose()?,
            cursor: self.cursor,
            limit: page_limit(self.limit)?,
            ..OrderQuery::default()
        };
        match self.q.map(|text| checked_text("q", &text, QUERY_MAX)).transpose()? {
            None => {}
            Some(text) if text.is_empty() => {}
            Some(text) => match (named(app, &text), Email::parse(&text)) {
                (Some(order), _) => return Ok((Some(order), query)),
                (None, Some(email)) => query.email = Some(email.as_str().to_owned()),
                (None, None) => query.text = Some(text),
            },
        }
        Ok((None, query))
    }
}

/// The order that a search text names by id, code or number.
fn named(app: &App, text: &str) -> Option<OrderRef> {
    let by_number = text.parse().ok().filter(|number| *number > 0).map(OrderRef::Number);
    by_number.or_else(|| orders::named(app, text))
}

/// My orders (staff and programs: everybody's), newest first
#[utoipa::path(get, path = "/api/orders", tag = "orders", params(ListQuery),
    responses((status = 200, description = "A page.", body = List<OrderBody>)))]
pub(super) async fn list(State(shared): State<Shared>, reader: OrderReader, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let (named, query) = query.into_query(&shared.app)?;
    let body = orders::rendered(&shared.app, reader.viewer(), named.as_ref(), query, |page| rendered(&shared.app, page)).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn rendered(app: &App, page: &Page<Order>) -> Bytes {
    let data = page.rows.iter().map(|order| OrderBody::of(app, order)).collect();
    let list: List<OrderBody> = List { data, next_cursor: page.cursor.clone() };
    serde_json::to_vec(&list).expect("an order has nothing that JSON cannot say").into()
}

/// One order
#[utoipa::path(get, path = "/api/orders/{order}", tag = "orders", params(("order" = String, Path, description = "Its id or code.")),
    responses((status = 200, description = "The order; its version is the `ETag`.", body = OrderBody)))]
pub(super) async fn show(State(shared): State<Shared>, reader: OrderReader, Path(order): Path<String>) -> Result<Response, Problem> {
    let order = orders::find(&shared.app, reader.viewer(), &order).await?;
    let response = Answer(OrderBody::of(&shared.app, &order)).into_response();
    Ok(with_etag(response, order.version))
}

/// From where.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Only events with a greater number.
    after: Option<i64>,
}

/// An order's timeline
#[utoipa::path(get, path = "/api/orders/{order}/events", tag = "orders",
    params(("order" = String, Path, description = "Its id or code."), EventsQuery),
    responses((status = 200, description = "At most 500 events.", body = Timeline)))]
pub(super) async fn events(
    State(shared): State<Shared>,
    reader: OrderReader,
    Path(order): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Answer<Timeline>, Problem> {
    let events = orders::events(&shared.app, reader.viewer(), &order, query.after.unwrap_or(0).max(0)).await?;
    Ok(Answer(Timeline { data: events.iter().map(EventBody::of).collect() }))
}
