//! The API's description for people: Swagger UI, from this binary alone. The page may load nothing from anywhere else and
//! run nothing that stands in a page.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

const PAGE: &str = include_str!("../../assets/swagger-ui/index.html");
const START: &str = include_str!("../../assets/swagger-ui/start.js");
const BUNDLE_GZ: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz");
const STYLE_GZ: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz");

/// Scripts, styles and requests from here; pictures also from within the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// This description, to be read by people
#[utoipa::path(get, path = "/docs", tag = "operations", responses((status = 200, description = "A page.", body = String, content_type = "text/html")))]
pub(super) async fn page() -> Response {
    let mut response = ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// The page's script
#[utoipa::path(get, path = "/docs/start.js", tag = "operations",
    responses((status = 200, description = "A script.", body = String, content_type = "text/javascript")))]
pub(super) async fn start() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], START)
}

/// Swagger UI
#[utoipa::path(get, path = "/docs/swagger-ui-bundle.js", tag = "operations",
    responses((status = 200, description = "A script.", body = String, content_type = "text/javascript")))]
pub(super) async fn bundle() -> impl IntoResponse {
    compressed("text/javascript; charset=utf-8", BUNDLE_GZ)
}

/// Swagger UI's style
#[utoipa::path(get, path = "/docs/swagger-ui.css", tag = "operations",
    responses((status = 200, description = "A style sheet.", body = String, content_type = "text/css")))]
pub(super) async fn style() -> impl IntoResponse {
    compressed("text/css; charset=utf-8", STYLE_GZ)
}

/// A file as it lies in the binary; every browser takes gzip.
fn compressed(content_type: &'static str, file: &'static [u8]) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, content_type), (header::CONTENT_ENCODING, "gzip"), (header::VARY, "accept-encoding")], file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ordermill_core::digest::Digest;

    #[test]
    fn the_files_are_those_that_were_looked_at() {
        let sums = include_str!("../../assets/swagger-ui/README.md");
        for (name, file) in [("swagger-ui-bundle.js.gz", BUNDLE_GZ), ("swagger-ui.css.gz", STYLE_GZ)] {
            assert!(sums.contains(&format!("| `{name}` | `{}` |", Digest::of(file))), "{name} is another file");
        }
    }

    #[test]
    fn the_page_asks_nobody_else() {
        for text in [PAGE, START] {
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"), "{text}");
        }
    }
}
