//! API keys: made, told once, recognised by their digest, taken back. What a key may do is its scopes' and the table of
//! access's to say. This file must not keep a secret: it goes to whoever asked for it and nowhere else.

use super::audit::Act;
use super::commit::{DECISIONS, commit};
use super::idempotency::RequestKey;
use super::{App, Fault};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ordermill_core::api_key::{ApiKey, PREFIX, Scope, shown_part};
use ordermill_core::change::{Change, Key, Row};
use ordermill_core::digest::Digest;
use ordermill_core::event::Actor;
use ordermill_core::id::ApiKeyId;
use ordermill_core::refusal::Refusal;
use ordermill_core::time::Timestamp;
use ordermill_store::{CommitError, Page};
use quick_cache::sync::Cache;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long an entry of the cache is believed: a key revoked on another node lives that much longer on this one.
const FRESH_MS: i64 = 5_000;
/// How many keys are remembered.
const CAPACITY: usize = 10_000;

/// Keys seen lately, so that a busy program costs one read now and then instead of one per request.
pub struct KeyCache {
    seen: Cache<Digest, Seen>,
    /// Counts what was revoked on this node. A key read before the last revocation is read again, also when it was that
    /// revocation's rival and is put in here after it.
    revocations: AtomicU64,
}

#[derive(Clone)]
struct Seen {
    key: ApiKey,
    at: Timestamp,
    revocations: u64,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self { seen: Cache::new(CAPACITY), revocations: AtomicU64::new(0) }
    }
}

impl KeyCache {
    fn get(&self, secret: &Digest, now: Timestamp) -> Option<ApiKey> {
        let seen = self.seen.get(secret)?;
        let is_fresh = (0..FRESH_MS).contains(&now.ms_since(seen.at)) && seen.revocations == self.revocations.load(Ordering::SeqCst);
        is_fresh.then_some(seen.key)
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From when on it opens nothing any more.
    pub expires_at: Option<Timestamp>,
}

/// A key that stands.
#[derive(Debug, Clone)]
pub struct Made {
    /// The key.
    pub key: ApiKey,
    /// The secret, told once and never stored: none when an earlier copy of the request was told it.
    pub secret: Option<String>,
}

/// Makes a key.
pub async fn create(app: &App, new: NewKey, actor: &Actor, request: Option<RequestKey>) -> Result<Made, Fault> {
    if let Some(earlier) = earlier(app, request).await? {
        return Ok(earlier);
    }
    let now = app.now();
    if new.scopes.is_empty() {
        return Err(Refusal::invalid("scopes", "a key that may do nothing is good for nothing").into());
    }
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Refusal::invalid("expiresAt", "a time that is still to come").into());
    }
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(app.random::<32>()));
    let key = ApiKey {
        id: app.api_key_id(),
        secret: Digest::of(secret.as_bytes()),
        shown: shown_part(&secret),
        name: new.name,
        scopes: new.scopes,
        created_by: actor.clone(),
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        version: 1,
    };
    let mut change = Change::new(app.change_id());
    change.insert(Row::ApiKey(key.clone()));
    let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.name()).collect();
    let reason = format!("{}: {}", key.name, scopes.join(", "));
    change.insert(Row::Audit(Act { actor, action: "api_key.created", subject: key.id.to_string(), reason }.entry(app)));
    if let Some(request) = request {
        request.remember(&mut change, key.id, now);
    }
    match commit(app, &Arc::new(change)).await {
        Ok(()) => Ok(Made { key, secret: Some(secret) }),
        Err(CommitError::Conflict(conflict)) => match request.map(|request| request.winner(&conflict)).transpose()?.flatten() {
            Some(winner) => Ok(Made { key: find(app, winner.api_key()).await?, secret: None }),
            None => Err(CommitError::Conflict(conflict).into()),
        },
        Err(other) => Err(other.into()),
    }
}

/// What an earlier copy of the request made: looked at first, because a copy's expiry may be over by now.
async fn earlier(app: &App, request: Option<RequestKey>) -> Result<Option<Made>, Fault> {
    let Some(request) = request else { return Ok(None) };
    let Some(result) = request.earlier(app).await? else { return Ok(None) };
    Ok(Some(Made { key: find(app, result.api_key()).await?, secret: None }))
}

/// Takes a key back; one that was taken back stays so. On this node it opens nothing from now on, on others after a few
/// seconds.
pub async fn revoke(app: &App, id: ApiKeyId, actor: &Actor) -> Result<ApiKey, Fault> {
    let change_id = app.change_id();
    for _ in 0..DECISIONS {
        let found = find(app, id).await?;
        if found.revoked_at.is_some() {
            return Ok(found);
        }
        let revoked = found.revoked(app.now());
        let mut change = Change::new(change_id);
        change.replace(Row::ApiKey(revoked.clone()), found.version);
        let (subject, reason) = (id.to_string(), revoked.name.clone());
        change.insert(Row::Audit(Act { actor, action: "api_key.revoked", subject, reason }.entry(app)));
        let committed = commit(app, &Arc::new(change)).await;
        // Also after an answer of "unknown": the key may be gone.
        app.keys.revocations.fetch_add(1, Ordering::SeqCst);
        match committed {
            Ok(()) => return Ok(revoked),
            Err(CommitError::Conflict(_)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(Fault::Unavailable("the key is being changed by too many requests".to_owned()))
}

/// Every key, newest first, those that were taken back among them.
pub async fn list(app: &App, page: &Page<()>) -> Result<Page<ApiKey>, Fault> {
    Ok(app.store.api_keys(page).await?)
}

/// The key with this secret, if it still opens anything. An unknown one costs as much as one that was taken back.
pub async fn authenticate(app: &App, secret: &str) -> Result<Option<ApiKey>, Fault> {
    let digest = Digest::of(secret.as_bytes());
    let now = app.now();
    if let Some(key) = app.keys.get(&digest, now) {
        return Ok(Some(key).filter(|key| key.is_usable(now)));
    }
    let revocations = app.keys.revocations.load(Ordering::SeqCst);
    let stored = app.store.get(&Key::ApiKeySecret(digest)).await?;
    let Some(Row::ApiKey(key)) = stored.map(|stored| stored.row) else { return Ok(None) };
    if !key.is_usable(now) {
        return Ok(None);
    }
    app.keys.seen.insert(digest, Seen { key: key.clone(), at: now, revocations });
    Ok(Some(key))
}

async fn find(app: &App, id: ApiKeyId) -> Result<ApiKey, Fault> {
    match app.store.get(&Key::ApiKey(id)).await?.map(|stored| stored.row) {
        Some(Row::ApiKey(key)) => Ok(key),
        _ => Err(Refusal::NotFound { what: "API key" }.into()),
    }
}
