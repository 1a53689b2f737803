//! The one page there is: the first run's, which turns the printed link into an administrator.

use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderValue, header},
    reply::Response,
};

use crate::http::problem::guard;

/// These pages run their own scripts and styles and nobody else's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// `/setup` and what it loads. Other paths are rejected, so that other trees can follow.
pub fn pages() -> BoxedFilter<(Response,)> {
    let page = warp::path!("setup").map(|| {
        let html = include_str!("../../data/web/setup.html");
        answer("text/html; charset=utf-8", html)
    });
    let script = warp::path!("setup.js").map(|| {
        let script = include_str!("../../data/web/setup.js");
        answer("text/javascript; charset=utf-8", script)
    });
    let style = warp::path!("setup.css").map(|| {
        let style = include_str!("../../data/web/setup.css");
        answer("text/css; charset=utf-8", style)
    });
    let all = page.or(script).unify().or(style).unify();
    // The path first: what is nowhere is nowhere, however one asks for it.
    all.and(warp::get().or(warp::head()).unify()).boxed()
}

fn answer(kind: &'static str, body: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    guard(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Limits, tests::Box};

    #[tokio::test]
    async fn the_printed_link_leads_to_a_page_that_runs_its_own_script_and_no_other() {
        let open = Box::open(pages(), Limits::default()).await;
        let get = async |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n");
            open.ask(&request).await
        };
        let page = get("/setup?token=secret").await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("script-src 'self'"), "{page}");
        assert!(!page.contains("secret"), "{page}");
        for (at, _) in page.match_indices("=\"/") {
            let path = page[at + 2..].split('"').next().unwrap();
            if !path.starts_with("/api/") {
                let loaded = get(path).await;
                assert!(loaded.starts_with("HTTP/1.1 200"), "{path}: {loaded}");
            }
        }
        assert!(get("/setup/more").await.starts_with("HTTP/1.1 404"));
    }
}
