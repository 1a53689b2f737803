//! The admin listener: is it alive, is it ready, how is it going. It asks for no proof, so it listens on loopback.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use crate::http::problem::guard;

/// Why the box is not ready; empty when it is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    // By part, so that a part that recovers takes back its own reason. Never held across an await.
    reasons: Arc<RwLock<HashMap<&'static str, String>>>,
}

impl Readiness {
    /// `part` is not ready, and why.
    pub fn lacks(&self, part: &'static str, why: impl Into<String>) {
        let mut reasons = self.reasons.write().unwrap_or_else(PoisonError::into_inner);
        reasons.insert(part, why.into());
    }

    /// `part` is ready.
    pub fn has(&self, part: &'static str) {
        let mut reasons = self.reasons.write().unwrap_or_else(PoisonError::into_inner);
        reasons.remove(part);
    }

    /// What is missing, a line per part.
    pub fn missing(&self) -> Vec<String> {
        let reasons = self.reasons.read().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<_> = reasons
            .iter()
            .map(|(part, why)| format!("{part}: {why}"))
            .collect();
        lines.sort();
        lines
    }
}

/// `/live`, `/ready` and `/metrics`. `check` is asked at each `/ready` beside `readiness` (the store: does it work
/// now?) and says what is wrong; `page` makes the metrics' text.
pub fn routes<C, CF, P, PF>(readiness: Readiness, check: C, page: P) -> BoxedFilter<(Response,)>
where
    C: Fn() -> CF + Clone + Send + Sync + 'static,
    CF: Future<Output = Result<(), String>> + Send,
    P: Fn() -> PF + Clone + Send + Sync + 'static,
    PF: Future<Output = String> + Send,
{
    let live = warp::path!("live").map(|| "alive\n".into_response());
    let ready = warp::path!("ready").then(move || {
        let (check, readiness) = (check.clone(), readiness.clone());
        async move {
            let mut missing = readiness.missing();
            missing.extend(check().await.err());
            match missing.is_empty() {
                true => "ready\n".into_response(),
                false => {
                    let why = format!("{}\n", missing.join("\n"));
                    warp::reply::with_status(why, StatusCode::SERVICE_UNAVAILABLE).into_response()
                }
            }
        }
    });
    let metrics = warp::path!("metrics").then(move || {
        let page = page.clone();
        async move {
            let mut response = page().await.into_response();
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    });
    let all = live.or(ready).unify().or(metrics).unify();
    let asked = warp::get().or(warp::head()).unify();
    asked.and(all).map(guard).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Limits, tests::Box};

    #[tokio::test]
    async fn ready_says_what_is_missing_until_nothing_is() {
        let readiness = Readiness::default();
        readiness.lacks("http", "not bound yet");
        let store = Arc::new(RwLock::new(Err("store: the disk is full".to_owned())));
        let asked = store.clone();
        let check = move || std::future::ready(asked.read().unwrap().clone());
        let routes = routes(readiness.clone(), check, || async { "# EOF\n".into() });
        let open = Box::open(routes, Limits::default()).await;
        let get = async |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n");
            let answer = open.ask(&request).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head[9..12].to_owned(), body.to_owned())
        };
        let (status, body) = get("/ready").await;
        assert_eq!(status, "503");
        assert_eq!(body, "http: not bound yet\nstore: the disk is full\n");
        readiness.has("http");
        *store.write().unwrap() = Ok(());
        assert_eq!(get("/ready").await, ("200".into(), "ready\n".into()));
        assert_eq!(get("/live").await.0, "200");
        assert_eq!(get("/metrics").await, ("200".into(), "# EOF\n".into()));
        assert_eq!(get("/nothing").await.0, "404");
    }
}
