//! What somebody wants to hear of by mail. What nobody can do without is not theirs to switch off.

use crate::app::accounts::{self, ProfileEdit};
use crate::http::Shared;
use crate::http::body::Json;
use crate::http::identity::SignedIn;
use crate::http::problem::Problem;
use axum::Json as Answer;
use axum::extract::State;
use ordermill_core::account::Notifications;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which mails somebody gets.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Notifications)]
pub(in crate::http) struct NotificationsBody {
    /// A mail when an order of mine is received, with how to pay it.
    order_received: bool,
}

/// Which mails I get
///
/// Confirmations of payments are not among these settings: they always go out.
#[utoipa::path(get, path = "/api/users/me/notifications", tag = "accounts",
    responses((status = 200, description = "The settings.", body = NotificationsBody)))]
pub(in crate::http) async fn show(SignedIn(user): SignedIn) -> Answer<NotificationsBody> {
    Answer(NotificationsBody::of(user.notifications))
}

/// Choose which mails I get
///
/// Confirmations of payments cannot be switched off. Orders on other nodes follow the choice within five seconds.
#[utoipa::path(put, path = "/api/users/me/notifications", tag = "accounts", request_body = NotificationsBody,
    responses((status = 200, description = "The settings as they are now.", body = NotificationsBody)))]
pub(in crate::http) async fn choose(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    body: Json<NotificationsBody>,
) -> Result<Answer<NotificationsBody>, Problem> {
    let NotificationsBody { order_received } = body.value;
    let edit = ProfileEdit { notifications: Some(Notifications { order_received }), ..ProfileEdit::default() };
    let user = accounts::edit_profile(&shared.app, user.id, &edit).await?;
    Ok(Answer(NotificationsBody::of(user.notifications)))
}

impl NotificationsBody {
    const fn of(notifications: Notifications) -> Self {
        let Notifications { order_received } = notifications;
        Self { order_received }
    }
}
