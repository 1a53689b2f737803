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
    warp::get().or(warp::head()).unify().and(all).boxed()
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
