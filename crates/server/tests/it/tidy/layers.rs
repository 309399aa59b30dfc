//! Which part may know which: the dependency rules inside the crates, as one table.

use super::paths::paths;
use super::source::Source;
use super::{Finding, NOTHING, lines_found, over_sources};

/// What the code of some folders must not name, tests apart.
struct Rule {
    /// Where the rule holds: beginnings of paths.
    within: &'static [&'static str],
    /// Where it does not, though it would.
    except: &'static [&'static str],
    /// What must not be named: one word or a path.
    never: &'static [&'static str],
    /// Why, and what to do instead.
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        within: &["crates/core/src/"],
        except: &[],
        never: &[
            "std::time",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::process",
            "std::thread",
            "SystemTime",
            "Instant",
            "ring::rand",
            "rand",
            "tokio",
            "async",
            "await",
        ],
        why: "core is pure: time, randomness and bytes are its arguments",
    },
    Rule {
        within: &["crates/core/src/"],
        except: &[],
        never: &["ordermill_store", "ordermill"],
        why: "core knows neither stores nor servers",
    },
    Rule {
        within: &["crates/store/src/"],
        except: &[],
        never: &["ordermill", "axum", "hyper", "reqwest", "clap"],
        why: "a store knows neither the server nor its clients",
    },
    Rule {
        within: &["crates/server/src/app/", "crates/server/src/app.rs"],
        except: &[],
        never: &["axum", "hyper", "hyper_util", "tower", "tower_http", "http_body_util", "clap"],
        why: "`app` takes plain values: parse in `http` or `cli`",
    },
    Rule {
        within: &["crates/server/src/"],
        // The metrics are named where they are put together with the rest.
        except: &["crates/server/src/http", "crates/server/src/cli", "crates/server/src/app.rs"],
        never: &["crate::http"],
        why: "nothing but an entry point knows the HTTP surface",
    },
    Rule {
        within: &["crates/server/src/"],
        except: &["crates/server/src/simulator", "crates/server/src/cli"],
        never: &["crate::simulator", "StripeSimulator"],
        why: "the server must not know whether it talks to a look-alike",
    },
    Rule {
        within: &["crates/server/src/simulator"],
        except: &[],
        never: &["ordermill_core::order", "ordermill_store", "crate::app::orders", "crate::app::payments", "crate::providers"],
        why: "a look-alike that shares our code shares our mistakes",
    },
    Rule {
        within: &["crates/store/src/", "crates/server/src/"],
        except: &[
            "crates/store/src/open.rs",
            "crates/store/src/memory",
            "crates/store/src/sqlite",
            "crates/store/src/postgres",
            // The suite compares every store with the model.
            "crates/store/src/conformance",
        ],
        never: &["MemoryStore", "SqliteStore", "PostgresStore", "rusqlite", "tokio_postgres", "deadpool_postgres"],
        why: "only `open` names backends: hold an `Arc<dyn Store>`",
    },
    Rule {
        within: &["crates/store/src/", "crates/server/src/"],
        except: &[
            "crates/server/src/config",
            // A process that is to die at a step is told so before it reads any settings.
            "crates/store/src/failpoint.rs",
            // For tests: whether a server runs for the whole test run.
            "crates/store/src/postgres/throwaway.rs",
        ],
        never: &["env::var", "env::var_os", "env::vars", "env::vars_os", "env::set_var", "env::remove_var"],
        why: "only `config` reads the environment: pass the value on",
    },
];

fn begins_with_any(path: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| path.starts_with(beginning))
}

fn crossed_layers(source: &Source) -> Vec<Finding> {
    let holds = |rule: &&Rule| begins_with_any(&source.path, rule.within) && !begins_with_any(&source.path, rule.except);
    let rules: Vec<&Rule> = RULES.iter().filter(holds).collect();
    if rules.is_empty() {
        return Vec::new();
    }
    let named = paths(source).into_iter().filter(|path| !source.is_test(path.at));
    named
        .flat_map(|path| {
            let broken = rules.iter().flat_map(|rule| rule.never.iter().map(move |never| (rule, never)));
            let broken: Vec<Finding> = broken
                .filter(|(_, never)| path.names(never))
                .map(|(rule, never)| source.finding(path.at, format!("names `{never}`: {}", rule.why)))
                .collect();
            broken
        })
        .collect()
}

/// The one file of the server that commits.
const COMMITTER: &str = "crates/server/src/app/commit.rs";

fn stray_commits(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("crates/server/src/") || source.path == COMMITTER {
        return Vec::new();
    }
    let is_method = |at: &usize| source.code[..*at].trim_end().ends_with(['.', ':']) && !source.code[..*at].ends_with("commit::");
    let calls = source.words("commit").filter(is_method);
    let calls = calls.filter(|at| source.code[at + "commit".len()..].trim_start().starts_with('(') && !source.is_test(*at));
    calls.map(|at| source.finding(at, format!("only {COMMITTER} calls `Store::commit`: an unknown outcome is settled there"))).collect()
}

/// Command-line flags that a variable may stand for would be a second reader of the environment.
fn flags_from_the_environment(source: &Source) -> Vec<Finding> {
    let arguments = source.code.match_indices("#[arg(").filter_map(|(at, mark)| {
        let open = at + mark.len() - 1;
        let attribute = &source.code[open..source.after_closing(open)];
        attribute.split(',').any(|part| part.trim_start_matches(['(', ' ', '\n']).starts_with("env")).then_some(at)
    });
    arguments.map(|at| source.finding(at, "only `config` reads the environment: a flag has no variable of its own")).collect()
}

#[test]
fn no_layer_is_crossed() {
    over_sources(crossed_layers);
}

#[test]
fn only_one_place_commits() {
    over_sources(stray_commits);
}

#[test]
fn flags_do_not_read_the_environment() {
    over_sources(flags_from_the_environment);
}

#[test]
fn control_impure_core_is_found() {
    let text = "use std::{fmt, time::Instant};\nuse crate::time::Timestamp;\nasync fn a() {}\nuse ring::{hmac, rand};\n\
                #[cfg(test)]\nmod tests { use std::fs; }\n";
    assert_eq!(lines_found(crossed_layers, "crates/core/src/a.rs", text), [1, 1, 3, 4, 4]);
    assert_eq!(lines_found(crossed_layers, "crates/store/src/a.rs", text), NOTHING);
}

#[test]
fn control_crossed_layers_are_found() {
    let app = "use axum::Router;\nfn a(b: hyper::Body, c: crate::app::App) {}\n// tower\n";
    assert_eq!(lines_found(crossed_layers, "crates/server/src/app/a.rs", app), [1, 2]);
    assert_eq!(lines_found(crossed_layers, "crates/server/src/http/a.rs", app), NOTHING);
    let backend = "let store = ordermill_store::sqlite::SqliteStore::open(path);\n";
    assert_eq!(lines_found(crossed_layers, "crates/server/src/cli/a.rs", backend), [1]);
    assert_eq!(lines_found(crossed_layers, "crates/store/src/open.rs", backend), NOTHING);
    let variable = "use std::env;\nlet a = env::var(\"A\");\nlet b = env!(\"B\");\n";
    assert_eq!(lines_found(crossed_layers, "crates/server/src/worker.rs", variable), [2]);
    assert_eq!(lines_found(crossed_layers, "crates/server/src/config/environment.rs", variable), NOTHING);
    let server = "use crate::http::Problem;\nuse crate::simulator::stripe::StripeSimulator;\n";
    assert_eq!(lines_found(crossed_layers, "crates/server/src/worker/email.rs", server), [1, 2, 2]);
    assert_eq!(lines_found(crossed_layers, "crates/server/src/simulator/a.rs", "use ordermill_core::order::Order;\n"), [1]);
}

#[test]
fn control_stray_commits_are_found() {
    let text = "store.commit(&change).await?;\ncommit(app, &change).await?;\nStore::commit(&*store, c);\nself\n    .commit\n    (c);\n\
                crate::app::commit::commit(app, &c);\nuse crate::app::commit::commit;\n";
    assert_eq!(lines_found(stray_commits, "crates/server/src/worker.rs", text), [1, 3, 5]);
    assert_eq!(lines_found(stray_commits, COMMITTER, text), NOTHING);
}

#[test]
fn control_flags_from_the_environment_are_found() {
    let text = "#[arg(long, env = \"A\")]\nlisten: String,\n#[arg(long = \"env\")]\nb: u8,\n#[arg(env)]\nc: u8,\n";
    assert_eq!(lines_found(flags_from_the_environment, "crates/server/src/cli.rs", text), [1, 5]);
}
