//! The HTTP surface: one line per route, and the layers that every request goes through. Handlers parse, call `app` and
//! render; they decide nothing.

mod accounts;
mod admin;
mod body;
pub mod control;
mod dev;
mod identity;
mod leftover;
mod limits;
pub mod metrics;
pub mod operations;
mod orders;
mod problem;
mod products;
pub mod serve;
mod webhooks;

pub use identity::LocalOperator;
pub use operations::Readiness;
pub use problem::Problem;

use crate::app::App;
use crate::mail::Catcher;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, patch, post};
use std::sync::Arc;
use std::time::Duration;

/// The largest request body. Everything larger is refused before it is read.
pub const BODY_MAX: usize = 256 * 1024;

/// What handlers share.
#[derive(Clone)]
pub struct Shared {
    /// Everything else.
    pub app: Arc<App>,
    /// Whether new work is taken in.
    pub readiness: Arc<Readiness>,
    /// The mail catcher, in `dev`.
    pub catcher: Option<Arc<Catcher>>,
}

/// Every route of the API. `extra` adds what only `dev` has, such as the simulated provider.
pub fn router(shared: Shared, extra: Router) -> Router {
    let settings = shared.app.config.server.clone();
    let api = Router::new()
        .route("/api/users/register", post(accounts::register))
        .route("/api/users/login", post(accounts::login))
        .route("/api/users/me", get(accounts::me).merge(patch(accounts::edit_me)))
        .route("/api/products", get(products::list))
        .route("/api/products/{id}", get(products::show))
        .route("/api/orders", get(orders::list).merge(post(orders::create)))
        .route("/api/orders/create", post(orders::create))
        .route("/api/orders/{order}", get(orders::show))
        .route("/api/orders/{order}/events", get(orders::events))
        .nest("/api/admin", admin::router())
        .layer(middleware::from_fn_with_state(limits::Share::new(settings.requests_max), limits::admit));
    // Webhooks keep a share of their own: a flood of shoppers must not make a provider give up.
    let webhooks = Router::new()
        .route("/api/webhook/stripe", post(webhooks::stripe))
        .route("/webhook/stripe", post(webhooks::stripe))
        .layer(middleware::from_fn_with_state(limits::Share::new(settings.webhook_requests_max), limits::admit));
    let mut routes = api.merge(webhooks).merge(operations::probes());
    if shared.catcher.is_some() {
        routes = routes.route("/dev/mail", get(dev::mail));
    }
    routes
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(shared.clone())
        .merge(extra)
        .layer(tower_http::timeout::RequestBodyTimeoutLayer::new(Duration::from_millis(settings.body_timeout_ms)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(tower_http::limit::RequestBodyLimitLayer::new(BODY_MAX))
        .layer(middleware::from_fn_with_state(shared, limits::around))
        .layer(middleware::from_fn(leftover::drain))
}
