//! Registering, signing in, one's own account.

pub(super) mod notifications;
pub(super) mod passwords;

use super::body::Json;
use super::dev::Arrival;
use super::identity::SignedIn;
use super::openapi::vocabulary;
use super::problem::Problem;
use super::text::{invalid, needed_line};
use super::{Shared, time_text};
use crate::app::accounts::{self, Edit, ProfileEdit, Registration, SignedIn as Session};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use ordermill_core::account::{Role, User};
use ordermill_core::contact::{Email, Phone};
use ordermill_core::locale::Locale;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The longest name, in characters.
const NAME_MAX: usize = 200;
/// The longest push token, in bytes.
const FCM_TOKEN_MAX: usize = 4_096;

/// An account in its owner's and staff's eyes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(super) struct UserBody {
    #[schema(format = "uuid")]
    id: String,
    email: String,
    #[schema(schema_with = vocabulary::role)]
    role: Role,
    #[schema(required)]
    name: Option<String>,
    /// E.164.
    #[schema(required)]
    phone: Option<String>,
    #[schema(schema_with = vocabulary::locale)]
    locale: Locale,
    #[schema(format = DateTime)]
    created_at: String,
}

/// Somebody signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub(super) struct SessionBody {
    /// Told once; send it as `Authorization: Bearer`.
    token: String,
    #[schema(format = DateTime)]
    expires_at: String,
    user: UserBody,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegisterRequest {
    email: String,
    #[schema(min_length = 8, max_length = 128)]
    password: String,
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    phone: Option<String>,
    #[schema(schema_with = vocabulary::locale)]
    locale: Option<String>,
}

/// Register
#[utoipa::path(post, path = "/api/users/register", tag = "accounts", request_body = RegisterRequest,
    responses((status = 201, description = "Registered and signed in.", body = SessionBody)))]
pub(super) async fn register(
    State(shared): State<Shared>,
    body: Json<RegisterRequest>,
) -> Result<(StatusCode, Answer<SessionBody>), Problem> {
    let request = body.value;
    let registration = Registration {
        email: parse_email(&request.email)?,
        password: request.password,
        role: Role::Customer,
        name: request.name.as_deref().map(parse_name).transpose()?,
        phone: request.phone.as_deref().map(parse_phone).transpose()?,
        locale: request.locale.as_deref().map(parse_locale).transpose()?.unwrap_or_default(),
        is_dev: false,
    };
    let session = accounts::register(&shared.app, registration).await?;
    Ok((StatusCode::CREATED, Answer(SessionBody::of(&session))))
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LoginRequest {
    email: String,
    password: String,
}

/// Sign in
#[utoipa::path(post, path = "/api/users/login", tag = "accounts", request_body = LoginRequest,
    responses((status = 200, description = "Signed in.", body = SessionBody)))]
pub(super) async fn login(
    State(shared): State<Shared>,
    Arrival(way): Arrival,
    body: Json<LoginRequest>,
) -> Result<Answer<SessionBody>, Problem> {
    let LoginRequest { email, password } = body.value;
    if password.chars().count() > accounts::PASSWORD_MAX {
        return Err(Problem::new("invalid_credentials", "the e-mail address or the password is wrong"));
    }
    let session = accounts::login(&shared.app, &email, password, way).await?;
    Ok(Answer(SessionBody::of(&session)))
}

/// My account
#[utoipa::path(get, path = "/api/users/me", tag = "accounts", responses((status = 200, description = "The account.", body = UserBody)))]
pub(super) async fn me(SignedIn(user): SignedIn) -> Answer<UserBody> {
    Answer(UserBody::of(&user))
}

/// A field that may be left out, emptied (`null`) or set.
#[derive(Default)]
enum Field {
    #[default]
    LeftOut,
    Emptied,
    Set(String),
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Emptied, Self::Set))
    }
}

impl Field {
    /// The edit that this field asks for, its text read by `parse`.
    fn edit<T>(self, parse: impl Fn(&str) -> Result<T, Problem>) -> Result<Edit<T>, Problem> {
        Ok(match self {
            Self::LeftOut => Edit::Keep,
            Self::Emptied => Edit::Set(None),
            Self::Set(text) => Edit::Set(Some(parse(&text)?)),
        })
    }
}

/// What is to change: members left out stay as they are, `null` empties.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EditRequest {
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    name: Field,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Field,
    #[schema(schema_with = vocabulary::locale)]
    locale: Option<String>,
    /// The push token of the person's device.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 4096)]
    user_fcm_token: Field,
}

/// Change my account
#[utoipa::path(patch, path = "/api/users/me", tag = "accounts", request_body = EditRequest,
    responses((status = 200, description = "The account as it is now.", body = UserBody)))]
pub(super) async fn edit_me(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    body: Json<EditRequest>,
) -> Result<Answer<UserBody>, Problem> {
    let request = body.value;
    let edit = ProfileEdit {
        name: request.name.edit(parse_name)?,
        phone: request.phone.edit(parse_phone)?,
        locale: request.locale.as_deref().map(parse_locale).transpose()?,
        fcm_token: request.user_fcm_token.edit(parse_fcm_token)?,
        notifications: None,
    };
    let user = accounts::edit_profile(&shared.app, user.id, &edit).await?;
    Ok(Answer(UserBody::of(&user)))
}

/// An e-mail address in a body.
pub(super) fn parse_email(text: &str) -> Result<Email, Problem> {
    Email::parse(text).ok_or_else(|| invalid("email", "this is not an e-mail address"))
}

/// A person's name in a body.
pub(super) fn parse_name(text: &str) -> Result<String, Problem> {
    needed_line("name", text, NAME_MAX)
}

fn parse_phone(text: &str) -> Result<Phone, Problem> {
    Phone::parse(text).ok_or_else(|| invalid("phone", "this is not a phone number"))
}

fn parse_locale(text: &str) -> Result<Locale, Problem> {
    Locale::parse(text).ok_or_else(|| invalid("locale", "the locales are vi and en"))
}

fn parse_fcm_token(token: &str) -> Result<String, Problem> {
    let is_token = (1..=FCM_TOKEN_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(token.to_owned()) } else { Err(invalid("userFcmToken", "this is not a push token")) }
}

impl SessionBody {
    fn of(session: &Session) -> Self {
        Self { token: session.token.clone(), expires_at: time_text(session.expires_at), user: UserBody::of(&session.user) }
    }
}

impl UserBody {
    pub(super) fn of(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.as_str().to_owned(),
            role: user.role,
            name: user.name.clone(),
            phone: user.phone.as_ref().map(|phone| phone.as_str().to_owned()),
            locale: user.locale,
            created_at: time_text(user.created_at),
        }
    }
}
