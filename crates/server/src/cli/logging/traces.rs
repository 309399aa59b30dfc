//! Traces: the spans that log lines carry (requests, jobs), sent to a collector by OTLP/HTTP. They hold what the lines hold and
//! nothing more. A collector that is away costs spans, never a request.

use crate::config::Config;
use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// How long the collector may take over a batch.
const SEND_MAX: Duration = Duration::from_secs(5);
/// How long the end of the process may wait for the last batch.
const LAST_MAX: Duration = Duration::from_secs(3);
/// Who the spans are from.
const NAME: &str = "ordermill";

/// The way to the collector, if one is set.
#[derive(Debug)]
pub(in crate::cli) struct Traces {
    provider: Option<SdkTracerProvider>,
    /// Why there is no way.
    pub(super) trouble: Option<String>,
}

impl Traces {
    pub(super) fn start(config: &Config) -> Self {
        let Some(endpoint) = &config.otel.endpoint else { return Self { provider: None, trouble: None } };
        match provider(endpoint) {
            Ok(provider) => Self { provider: Some(provider), trouble: None },
            Err(why) => Self { provider: None, trouble: Some(why) },
        }
    }

    /// What takes the spans.
    pub(super) fn layer<S>(&self) -> Option<OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.as_ref()?.tracer(NAME);
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(LAST_MAX)
        {
            tracing::debug!(%error, "the last traces were not sent");
        }
    }
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let http = reqwest::Client::builder().timeout(SEND_MAX).redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    let client = Sender { http: http.map_err(|error| error.to_string())?, runtime: Handle::current() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(SEND_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let resource = Resource::builder_empty().with_service_name(NAME).with_attribute(version()).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

fn version() -> opentelemetry::KeyValue {
    opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))
}

/// Sends batches on our own runtime: the exporter's thread has none.
#[derive(Debug)]
struct Sender {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let request = http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
            let answer = request.send().await?;
            // What a collector says beyond its status helps nobody here.
            reqwest::Result::Ok(answer.status())
        });
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = sent.await??;
        Ok(response)
    }
}
