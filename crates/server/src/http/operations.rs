//! Whether the process lives, whether it takes work in, what it counts.

use super::Shared;
use super::metrics::{StoreFault, StoreVerb};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Whether new work is taken in; turned off first when the process is told to stop.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
}

impl Readiness {
    /// From now on not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The probes on the main listener.
pub(super) fn probes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(ready))
}

/// The routes of the operations listener: the probes and the metrics.
pub fn ops_router(shared: Shared) -> Router {
    Router::from(probes()).route("/metrics", get(metrics)).with_state(shared)
}

/// Whether new work is taken in.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadyBody {
    ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// The process lives
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, description = "It does.", body = String)))]
async fn live() -> &'static str {
    "ok\n"
}

/// The process takes work in
///
/// Ready means: the store answers, its schema is ours, it takes writes, and we are not stopping.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "It does.", body = ReadyBody), (status = 503, description = "It does not.", body = ReadyBody)))]
async fn ready(State(shared): State<Shared>) -> Response {
    let why = match shared.app.store.health().await {
        _ if shared.readiness.is_draining() => Some("draining".to_owned()),
        Err(error) => Some(error.to_string()),
        Ok(health) if !health.pending_migrations.is_empty() => Some(format!("{} migrations pending", health.pending_migrations.len())),
        Ok(health) => health.read_only,
    };
    match why {
        None => axum::Json(ReadyBody { ready: true, why }).into_response(),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(ReadyBody { ready: false, why })).into_response(),
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let app = &shared.app;
    let begun = app.now();
    let queues = app.store.queues().await;
    let fault = queues.as_ref().err().map(StoreFault::of);
    app.count_store(StoreVerb::Queues, begun, fault);
    let text = app.metrics.render(queues.ok(), app.started_at);
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}
