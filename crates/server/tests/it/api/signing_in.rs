//! Signing out, forgotten passwords, and how often somebody may be wrong.

use crate::test_app::{Answer, Backend, PASSWORD, TestApp, on_both_stores};
use futures_util::future::join_all;
use ordermill_core::account::{LOGIN_FAILURES_MAX, OneTimeToken, RESET_MAILS_MAX, RESET_TOKEN_TTL_MS};
use ordermill_core::change::{Change, Row};
use ordermill_core::contact::Email;
use ordermill_core::digest::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

on_both_stores! {
    logging_out_ends_this_session_at_once_and_no_other;
    a_forgotten_password_is_set_anew_and_every_session_ends;
    whether_an_address_has_an_account_is_not_told;
    a_token_works_once_for_an_hour_and_only_until_a_password_is_set;
    of_two_uses_of_a_token_at_once_one_wins;
    ten_failures_close_the_account_and_a_new_password_opens_it;
    a_success_forgets_the_failures;
    of_fifty_guesses_at_once_ten_are_answered;
    one_client_address_may_only_try_so_often;
    an_unknown_address_costs_as_much_as_a_wrong_password;
    ten_thousand_tries_at_one_account_cost_ten;
    ten_thousand_tries_from_one_client_cost_what_its_limit_says;
}

const NEW_PASSWORD: &str = "another horse, another battery";

impl TestApp {
    async fn log_in(&self, email: &str, password: &str) -> Answer {
        self.post("/api/users/login", "", &json!({ "email": email, "password": password })).await
    }

    async fn forget(&self, email: &str) -> Answer {
        self.post("/api/users/password/forgot", "", &json!({ "email": email })).await
    }

    async fn reset(&self, token: &str, password: &str) -> Answer {
        self.post("/api/users/password/reset", "", &json!({ "token": token, "password": password })).await
    }

    /// Asks for a new password; the token in the mail.
    async fn mailed_token(&self, email: &str) -> String {
        assert_eq!(self.forget(email).await.status, 202);
        self.run_jobs().await;
        let mail = self.catcher.list().into_iter().rev().find(|mail| mail.to.contains(email)).expect("a mail");
        let (_, rest) = mail.text.split_once(&format!("{}/reset-password?token=", self.url)).expect("a link");
        assert!(mail.html.contains("reset-password?token="), "{}", mail.html);
        rest.split_whitespace().next().expect("a token").to_owned()
    }
}

async fn logging_out_ends_this_session_at_once_and_no_other(backend: Backend) {
    let app = TestApp::start(backend).await;
    let first = app.customer("an@example.com").await;
    let second = app.log_in("an@example.com", PASSWORD).await.text("/token");
    for token in [&first, &second] {
        assert_eq!(app.get("/api/users/me", token).await.status, 200, "now it is in the cache");
    }
    app.post("/api/users/logout", &first, &json!({ "everywhere": true })).await.assert_problem(422, "invalid_request");
    let request = app.http.post(app.at("/api/users/logout")).bearer_auth(&first);
    let out = Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!((out.status, out.body), (204, Value::String(String::new())));
    app.get("/api/users/me", &first).await.assert_problem(401, "unauthenticated");
    app.post("/api/users/logout", &first, &json!({})).await.assert_problem(401, "unauthenticated");
    assert_eq!(app.get("/api/users/me", &second).await.status, 200, "another device stays signed in");
}

async fn a_forgotten_password_is_set_anew_and_every_session_ends(backend: Backend) {
    let app = TestApp::start(backend).await;
    let old = app.customer("an@example.com").await;
    let other = app.customer("binh@example.com").await;
    assert_eq!(app.get("/api/users/me", &old).await.status, 200);
    let token = app.mailed_token("an@example.com").await;
    app.reset(&token, "short").await.assert_problem(422, "invalid_request");
    assert_eq!(app.reset(&token, NEW_PASSWORD).await.status, 204, "a password that is refused does not use the token up");
    app.get("/api/users/me", &old).await.assert_problem(401, "unauthenticated");
    assert_eq!(app.get("/api/users/me", &other).await.status, 200);
    app.log_in("an@example.com", PASSWORD).await.assert_problem(401, "invalid_credentials");
    let again = app.log_in("an@example.com", NEW_PASSWORD).await;
    assert_eq!(app.get("/api/users/me", &again.text("/token")).await.status, 200);
    let mail = app.catcher.list().pop().expect("a mail");
    assert_eq!(mail.subject, "Đặt lại mật khẩu");
    assert!(mail.text.starts_with("Xin chào Nguyễn Văn An,"), "{}", mail.text);
    app.fsck().await;
}

async fn whether_an_address_has_an_account_is_not_told(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    let (known, unknown) = (app.forget("An@Example.com").await, app.forget("nobody@example.com").await);
    assert_eq!((known.status, &known.body), (202, &unknown.body));
    assert_eq!(unknown.status, 202);
    let stored = everything(&app).await;
    assert_eq!(stored.matches("email.password_reset.v1").count(), 1, "{stored}");
    let token = app.mailed_token("an@example.com").await;
    assert!(!everything(&app).await.contains(&token), "only its digest is kept");
    // However often somebody asks, a mailbox is not filled; the answer stays the same.
    for _ in 0..RESET_MAILS_MAX {
        assert_eq!(app.forget("an@example.com").await.body, known.body);
    }
    app.run_jobs().await;
    assert_eq!(app.catcher.list().len(), usize::try_from(RESET_MAILS_MAX).expect("a count"));
    assert!(app.catcher.list().iter().all(|mail| mail.to.contains("an@example.com")));
    app.forget("no address").await.assert_problem(422, "invalid_request");
}

/// Every row and job, as text.
async fn everything(app: &TestApp) -> String {
    let mut text = String::new();
    for table in ordermill_store::Table::ALL {
        let page = app.app.store.scan(table, None, 500).await.expect("the store answers");
        text += &serde_json::to_string(&page.rows).expect("records are JSON");
    }
    text
}

async fn a_token_works_once_for_an_hour_and_only_until_a_password_is_set(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    let (first, second) = (app.mailed_token("an@example.com").await, app.mailed_token("an@example.com").await);
    assert_ne!(first, second);
    let user = ordermill::app::accounts::find_user(&app.app, &Email::parse("an@example.com").expect("an address")).await;
    let user = user.expect("the store answers").expect("an account");
    let mut change = Change::new(app.app.change_id());
    let an_hour_ago = app.app.now().plus_ms(-RESET_TOKEN_TTL_MS);
    change.insert(Row::OneTimeToken(OneTimeToken::for_reset(Digest::of(b"too old"), &user, an_hour_ago)));
    app.app.store.commit(&Arc::new(change)).await.expect("a token");
    app.reset("too old", NEW_PASSWORD).await.assert_problem(422, "invalid_token");
    app.reset("nobody's", NEW_PASSWORD).await.assert_problem(422, "invalid_token");
    assert_eq!(app.reset(&first, NEW_PASSWORD).await.status, 204);
    app.reset(&first, "a third password").await.assert_problem(422, "invalid_token");
    app.reset(&second, "a third password").await.assert_problem(422, "invalid_token");
    assert_eq!(app.log_in("an@example.com", NEW_PASSWORD).await.status, 200);
}

async fn of_two_uses_of_a_token_at_once_one_wins(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    let token = app.mailed_token("an@example.com").await;
    let passwords = ["first password", "second password"];
    let (first, second) = tokio::join!(app.reset(&token, passwords[0]), app.reset(&token, passwords[1]));
    let (winner, loser) = if first.status == 204 { (0, second) } else { (1, first) };
    loser.assert_problem(422, "invalid_token");
    assert_eq!(app.log_in("an@example.com", passwords[winner]).await.status, 200);
    app.log_in("an@example.com", passwords[1 - winner]).await.assert_problem(401, "invalid_credentials");
}

async fn ten_failures_close_the_account_and_a_new_password_opens_it(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    app.customer("binh@example.com").await;
    for email in ["an@example.com", "nobody@example.com"] {
        for _ in 0..LOGIN_FAILURES_MAX {
            app.log_in(email, "wrong password").await.assert_problem(401, "invalid_credentials");
        }
        for password in ["wrong password", PASSWORD] {
            let closed = app.log_in(&email.to_uppercase(), password).await;
            closed.assert_problem(429, "too_many_attempts");
            let seconds: u32 = closed.header("retry-after").parse().expect("seconds");
            assert!((1..=901).contains(&seconds), "{seconds}");
        }
    }
    assert_eq!(app.log_in("binh@example.com", PASSWORD).await.status, 200, "somebody else's failures are nobody else's");
    let token = app.mailed_token("an@example.com").await;
    assert_eq!(app.reset(&token, NEW_PASSWORD).await.status, 204);
    assert_eq!(app.log_in("an@example.com", NEW_PASSWORD).await.status, 200);
}

async fn a_success_forgets_the_failures(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    for _ in 0..2 {
        for _ in 1..LOGIN_FAILURES_MAX {
            app.log_in("an@example.com", "wrong password").await.assert_problem(401, "invalid_credentials");
        }
        assert_eq!(app.log_in("an@example.com", PASSWORD).await.status, 200);
    }
}

/// However many guess at once, also on the right password, only ten learn whether they were right.
async fn of_fifty_guesses_at_once_ten_are_answered(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    let answers = join_all((0..50).map(|_| app.log_in("an@example.com", "wrong password"))).await;
    let mut statuses = BTreeMap::<u16, usize>::new();
    for answer in &answers {
        *statuses.entry(answer.status).or_default() += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(401, 10), (429, 40)]));
    app.log_in("an@example.com", PASSWORD).await.assert_problem(429, "too_many_attempts");
}

async fn one_client_address_may_only_try_so_often(backend: Backend) {
    let app = TestApp::start_set(backend, |config| {
        config.server.forgot_per_minute = 2;
        config.server.trusted_proxies = ordermill::config::Cidr::parse("127.0.0.0/8").into_iter().collect();
    })
    .await;
    let ask = async |client: &str, email: &str| {
        app.post_with("/api/users/password/forgot", "", &[("x-forwarded-for", client)], &json!({ "email": email })).await
    };
    for email in ["a@example.com", "b@example.com"] {
        assert_eq!(ask("198.51.100.1", email).await.status, 202);
    }
    let refused = ask("198.51.100.1", "c@example.com").await;
    refused.assert_problem(429, "too_many_attempts");
    let seconds: u32 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=31).contains(&seconds), "{seconds}");
    assert_eq!(ask("203.0.113.9, 198.51.100.2", "c@example.com").await.status, 202, "another client of the same proxy");
    let forged = ask("198.51.100.2, 198.51.100.1", "c@example.com").await;
    forged.assert_problem(429, "too_many_attempts");
    assert_eq!(app.log_in("a@example.com", PASSWORD).await.status, 401, "other routes have limits of their own");
}

/// F61: the answer is the same, and so is the work; the times are for people to look at.
async fn an_unknown_address_costs_as_much_as_a_wrong_password(backend: Backend) {
    const ACCOUNTS: usize = 6;
    let app = TestApp::start(backend).await;
    for number in 0..ACCOUNTS {
        app.customer(&format!("known{number}@example.com")).await;
    }
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..ACCOUNTS * 4 {
        for who in ["known", "unknown", "no address "] {
            let email = format!("{who}{}@example.com", round % ACCOUNTS);
            let (before, began) = (app.app.passwords.hashed(), Instant::now());
            let answer = app.log_in(&email, "wrong password").await;
            times.entry(who).or_default().push(began.elapsed());
            answer.assert_problem(401, "invalid_credentials");
            assert_eq!(app.app.passwords.hashed() - before, 1, "{email}: one hash, whoever it is");
        }
    }
    for (who, mut times) in times {
        times.sort_unstable();
        println!("a wrong password for {who}: median {:?} of {}", times[times.len() / 2], times.len());
    }
}

/// How often a crowd of tries got each status.
async fn crowd(app: &TestApp, email: impl Fn(usize) -> String) -> BTreeMap<u16, usize> {
    const TRIES: usize = 10_000;
    const AT_ONCE: usize = 50;
    let mut statuses = BTreeMap::new();
    for first in (0..TRIES).step_by(AT_ONCE) {
        let emails: Vec<String> = (first..first + AT_ONCE).map(&email).collect();
        for answer in join_all(emails.iter().map(|email| app.log_in(email, "wrong password"))).await {
            *statuses.entry(answer.status).or_default() += 1;
        }
    }
    statuses
}

async fn ten_thousand_tries_at_one_account_cost_ten(backend: Backend) {
    let app = TestApp::start(backend).await;
    app.customer("an@example.com").await;
    for _ in 0..LOGIN_FAILURES_MAX {
        app.log_in("an@example.com", "wrong password").await.assert_problem(401, "invalid_credentials");
    }
    let before = app.app.passwords.hashed();
    assert_eq!(crowd(&app, |_| "an@example.com".to_owned()).await, BTreeMap::from([(429, 10_000)]));
    assert_eq!(app.app.passwords.hashed(), before, "a closed account is refused before anything is hashed");
    app.log_in("an@example.com", PASSWORD).await.assert_problem(429, "too_many_attempts");
}

/// Every try at another address: what one client may do in a minute is all that it costs.
async fn ten_thousand_tries_from_one_client_cost_what_its_limit_says(backend: Backend) {
    let app = TestApp::start_set(backend, |config| config.server.login_per_minute = 30).await;
    let statuses = crowd(&app, |number| format!("customer{number}@example.com")).await;
    let answered = statuses.get(&401).copied().unwrap_or(0);
    println!("of 10,000 tries at as many accounts, {answered} were answered: {statuses:?}");
    // The limit fills up again while the crowd tries; half a minute of it, should the machine be slow, is far from thousands.
    assert!((30..1_000).contains(&answered), "{statuses:?}");
    assert_eq!(statuses.values().sum::<usize>(), 10_000);
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [401, 429]);
    assert_eq!(app.app.passwords.hashed(), answered as u64);
}
