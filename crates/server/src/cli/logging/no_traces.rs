//! Traces in a build without them: none. The same names as `traces.rs`, so that nobody else asks which build this is.

use crate::config::Config;
use tracing_subscriber::layer::Identity;

/// Nothing.
#[derive(Debug)]
pub(in crate::cli) struct Traces {
    /// That this build makes none, if there are to be some.
    pub(super) trouble: Option<String>,
}

impl Traces {
    pub(super) fn start(config: &Config) -> Self {
        Self { trouble: config.otel.endpoint.as_ref().map(|_| "this build has no feature `otel`".to_owned()) }
    }

    #[expect(clippy::unused_self, reason = "the other build's has something to look at")]
    pub(super) fn layer(&self) -> Identity {
        Identity::new()
    }
}
