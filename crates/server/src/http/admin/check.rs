//! `fsck` over HTTP: a stream of JSON lines, progress first, the report last.

use crate::http::Shared;
use crate::http::idempotency::Repeatable;
use crate::http::identity::Operator;
use crate::http::problem::Problem;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ordermill_store::fsck::{self, Progress};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Check every invariant on the store as it is
///
/// Makes nothing, so a copy of the request simply checks again.
#[utoipa::path(post, path = "/api/admin/fsck", tag = "operators",
    responses((status = 200, description = "JSON lines: `progress` again and again, then one `report` or `error`.",
        body = String, content_type = "application/x-ndjson")))]
pub(super) async fn fsck(State(shared): State<Shared>, _repeatable: Repeatable, _operator: Operator) -> Result<Response, Problem> {
    let (lines, receiver) = mpsc::unbounded_channel::<Value>();
    let store = Arc::clone(&shared.app.store);
    tokio::spawn(async move {
        let progress = lines.clone();
        let mut report_progress = move |step: Progress| {
            // Nobody listening any more is no reason to stop: the report is cheap to finish and reading is harmless.
            drop(progress.send(json!({ "progress": step })));
        };
        let last = match fsck::run(store.as_ref(), &mut report_progress).await {
            Ok(report) => json!({ "report": report }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        drop(lines.send(last));
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(format!("{line}\n"))), receiver))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}
