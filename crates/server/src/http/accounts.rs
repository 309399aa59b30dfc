//! Registering, signing in, one's own account.

use super::Shared;
use super::body::Json;
use super::identity::SignedIn;
use super::problem::Problem;
use crate::app::accounts::{self, Edit, ProfileEdit, Registration, SignedIn as Session};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use ordermill_core::account::{Role, User};
use ordermill_core::contact::{Email, Phone};
use ordermill_core::locale::Locale;
use ordermill_core::time::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// The longest name, in characters.
const NAME_MAX: usize = 200;
/// The longest push token, in bytes.
const FCM_TOKEN_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegisterRequest {
    email: String,
    password: String,
    name: Option<String>,
    phone: Option<String>,
    locale: Option<String>,
}

/// `POST /api/users/register`
pub(super) async fn register(State(shared): State<Shared>, body: Json<RegisterRequest>) -> Result<(StatusCode, Answer<Value>), Problem> {
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
    Ok((StatusCode::CREATED, Answer(render_session(&session))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LoginRequest {
    email: String,
    password: String,
}

/// `POST /api/users/login`
pub(super) async fn login(State(shared): State<Shared>, body: Json<LoginRequest>) -> Result<Answer<Value>, Problem> {
    let LoginRequest { email, password } = body.value;
    if password.chars().count() > accounts::PASSWORD_MAX {
        return Err(Problem::new("invalid_credentials", "the e-mail address or the password is wrong"));
    }
    let session = accounts::login(&shared.app, &email, password).await?;
    Ok(Answer(render_session(&session)))
}

/// `GET /api/users/me`
pub(super) async fn me(SignedIn(user): SignedIn) -> Answer<Value> {
    Answer(render_user(&user))
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EditRequest {
    #[serde(default)]
    name: Field,
    #[serde(default)]
    phone: Field,
    locale: Option<String>,
    #[serde(default)]
    user_fcm_token: Field,
}

/// `PATCH /api/users/me`
pub(super) async fn edit_me(
    State(shared): State<Shared>,
    SignedIn(user): SignedIn,
    body: Json<EditRequest>,
) -> Result<Answer<Value>, Problem> {
    let request = body.value;
    let edit = ProfileEdit {
        name: request.name.edit(parse_name)?,
        phone: request.phone.edit(parse_phone)?,
        locale: request.locale.as_deref().map(parse_locale).transpose()?,
        fcm_token: request.user_fcm_token.edit(parse_fcm_token)?,
    };
    let user = accounts::edit_profile(&shared.app, user.id, &edit).await?;
    Ok(Answer(render_user(&user)))
}

/// An e-mail address in a body.
pub(super) fn parse_email(text: &str) -> Result<Email, Problem> {
    Email::parse(text).ok_or_else(|| invalid("email", "this is not an e-mail address"))
}

fn parse_name(text: &str) -> Result<String, Problem> {
    let name = text.trim();
    let is_plain = !name.chars().any(char::is_control);
    if is_plain && (1..=NAME_MAX).contains(&name.chars().count()) {
        Ok(name.to_owned())
    } else {
        Err(invalid("name", &format!("a name has 1 to {NAME_MAX} characters and no control characters")))
    }
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

fn invalid(path: &str, message: &str) -> Problem {
    Problem::new("invalid_request", format!("{path}: {message}")).at(path, message)
}

fn render_session(session: &Session) -> Value {
    json!({ "token": session.token, "expiresAt": time_text(session.expires_at), "user": render_user(&session.user) })
}

/// An account as its owner and staff see it.
pub(super) fn render_user(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "role": user.role,
        "name": user.name,
        "phone": user.phone,
        "locale": user.locale,
        "createdAt": time_text(user.created_at),
    })
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn time_text(time: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(time.micros().div_euclid(1_000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}
