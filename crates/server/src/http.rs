//! The HTTP surface: one line per route, and the layers that every request goes through. Handlers parse, call `app` and
//! render; they decide nothing.

pub mod access;
mod accounts;
mod admin;
mod arriving;
mod body;
mod carts;
mod client;
pub mod control;
mod dev;
mod docs;
mod idempotency;
mod identity;
mod leftover;
mod limits;
mod list;
pub mod metrics;
mod openapi;
pub mod operations;
mod orders;
mod per_address;
mod platform;
mod problem;
mod products;
pub mod serve;
mod text;
mod version;
mod waiting;
mod webhooks;

pub use identity::LocalOperator;
pub use operations::Readiness;
pub use problem::Problem;

use crate::app::App;
use crate::mail::Catcher;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use ordermill_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The largest request body.
pub const BODY_MAX: usize = 256 * 1024;
/// The largest body of a webhook: whatever a provider signed should be kept, however odd it is. Nothing larger than this is
/// read of any request.
pub const WEBHOOK_BODY_MAX: usize = 1024 * 1024;

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
    let check = middleware::from_fn_with_state(shared.clone(), access::check);
    let [api_share, webhooks_share] = metrics::SHARES.map(|share| shared.app.metrics.shed(share));
    let share = |requests_max, shed| middleware::from_fn_with_state(limits::Share::new(requests_max, shed), limits::admit);
    let (api, _) = api().split_for_parts();
    let (webhooks, _) = webhooks().split_for_parts();
    // Shed first, then held off by address, before anybody is looked up. Webhooks keep a share of their own: a flood of shoppers must not make a
    // provider give up.
    let addresses = per_address::Limits::new(&settings, Arc::clone(&shared.app.clock));
    let addresses = middleware::from_fn_with_state(addresses, per_address::admit);
    let api = api.route_layer(check.clone()).route_layer(addresses).layer(share(settings.requests_max, api_share));
    let webhooks = webhooks
        .route_layer(check)
        .layer(DefaultBodyLimit::max(WEBHOOK_BODY_MAX))
        .layer(share(settings.webhook_requests_max, webhooks_share));
    let mut routes = api.merge(webhooks).merge(Router::from(open()));
    if shared.catcher.is_some() {
        routes = routes.route("/dev/mail", get(dev::mail));
    }
    routes
        .fallback(problem::no_such_route)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(shared.clone())
        .merge(extra)
        .layer(tower_http::timeout::RequestBodyDeadlineLayer::new(Duration::from_millis(settings.body_timeout_ms)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(tower_http::limit::RequestBodyLimitLayer::new(WEBHOOK_BODY_MAX))
        .layer(middleware::from_fn_with_state(shared, limits::around))
        .layer(middleware::from_fn(leftover::drain))
}

fn api() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::login))
        .routes(routes!(accounts::passwords::logout))
        .routes(routes!(accounts::passwords::forgot))
        .routes(routes!(accounts::passwords::reset))
        .routes(routes!(accounts::me, accounts::edit_me))
        .routes(routes!(accounts::notifications::show, accounts::notifications::choose))
        .routes(routes!(products::list, products::staff::create))
        .routes(routes!(products::show, products::staff::change))
        .routes(routes!(products::staff::adjust_stock))
        .routes(routes!(carts::show, carts::clear))
        .routes(routes!(carts::put_item))
        .routes(routes!(carts::remove_item))
        .routes(routes!(orders::list, orders::create))
        .routes(routes!(orders::create_at_the_old_address))
        .routes(routes!(orders::show))
        .routes(routes!(orders::events))
        .routes(routes!(orders::commands::set_status))
        .routes(routes!(orders::commands::cancel))
        .routes(routes!(platform::create))
        .routes(routes!(platform::payment))
        .merge(admin::router())
}

fn webhooks() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(webhooks::stripe)).routes(routes!(webhooks::stripe_short))
}

/// What answers everybody, also when the process is full.
fn open() -> OpenApiRouter<Shared> {
    operations::probes()
        .routes(routes!(openapi::serve))
        .routes(routes!(docs::page))
        .routes(routes!(docs::start))
        .routes(routes!(docs::bundle))
        .routes(routes!(docs::style))
}

/// The API's description.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::complete(api().merge(webhooks()).merge(open()).into_openapi())
}

/// The API's description as it is printed, served and checked in.
pub fn openapi_text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn time_text(time: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(time.micros().div_euclid(1_000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}
