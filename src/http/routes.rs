//! One table of routes: it answers requests and it writes the OpenAPI document, so that neither can lie.
//!
//! ```text
//!  path ── no template fits ──► not ours: the next tree may have it, else 404
//!    └─ fits, method does not ──► 405 with Allow        (HEAD goes where GET goes)
//!         └─ fits ── unknown query parameter ──► 400
//!              └─ handler(state, call) ──► an answer or a fault
//! ```

use std::{collections::BTreeMap, io, ops::RangeInclusive, pin::Pin, sync::Arc};

use bytes::Bytes;
use data_encoding::HEXUPPER;
use futures_util::{Stream, StreamExt as _};
use percent_encoding::percent_decode_str;
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;
use warp::{
    Filter, Rejection, Reply,
    filters::BoxedFilter,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
    ws::Ws,
};

use super::{
    Limits, Peer,
    body::{self, Bulk, Chunks, Held},
    caller::{self, Proof},
    openapi::Shape,
    problem::{Code, Fault, guard},
};

/// A request on its way to its handler.
pub struct Call {
    /// Who is at the other end.
    pub peer: Peer,
    /// Its headers.
    pub headers: HeaderMap,
    pub(crate) proof: Proof,
    /// A browser's cookie is what proves who asks.
    browser: bool,
    method: Method,
    limits: Limits,
    params: BTreeMap<&'static str, String>,
    query: BTreeMap<String, String>,
    /// The query as it was sent.
    raw: String,
    chunks: Option<Chunks>,
    ws: Option<Ws>,
}

type Outcome = Result<Response, Fault>;
type Handler<S> =
    Arc<dyn Fn(S, Call) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// One operation: what it is, for the document, and what does it.
#[derive(Clone)]
pub struct Route<S> {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) about: &'static str,
    pub(super) open: bool,
    pub(super) query: Vec<Parameter>,
    pub(super) takes: Option<Shape>,
    /// It takes bytes of any kind and number.
    pub(super) streams: bool,
    pub(super) answer: (StatusCode, Option<Shape>),
    pub(super) faults: &'static [Code],
    handler: Handler<S>,
}

impl<S: 'static> Route<S> {
    /// An operation that `handler` does; it answers 200 without a described body until told otherwise.
    pub fn new<F, A>(method: Method, path: &'static str, about: &'static str, handler: F) -> Self
    where
        F: Fn(S, Call) -> A + Send + Sync + 'static,
        A: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            method,
            path,
            about,
            open: false,
            query: Vec::new(),
            takes: None,
            streams: false,
            answer: (StatusCode::OK, None),
            faults: &[],
            handler: Arc::new(move |state, call| Box::pin(handler(state, call))),
        }
    }

    /// Anybody may ask, without proof.
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// A query parameter it knows.
    pub fn query(mut self, name: &'static str, about: &'static str) -> Self {
        self.query.push(Parameter { name, about });
        self
    }

    /// The body it takes.
    pub fn takes<T: ToSchema>(mut self) -> Self {
        self.takes = Some(Shape::one::<T>());
        self
    }

    /// That its body is bytes, which are taken as they come.
    pub fn takes_bytes(mut self) -> Self {
        self.streams = true;
        self
    }

    /// What it answers.
    pub fn answers<T: ToSchema>(mut self, status: StatusCode) -> Self {
        self.answer = (status, Some(Shape::one::<T>()));
        self
    }

    /// That it answers a list.
    pub fn lists<T: ToSchema>(mut self) -> Self {
        self.answer = (StatusCode::OK, Some(Shape::list::<T>()));
        self
    }

    /// That it answers without a JSON body.
    pub fn bare(mut self, status: StatusCode) -> Self {
        self.answer = (status, None);
        self
    }

    /// Its own faults, beside those that every route has.
    pub fn faults(mut self, faults: &'static [Code]) -> Self {
        self.faults = faults;
        self
    }
}

/// All routes of a tree.
#[derive(Clone)]
pub struct Table<S>(Arc<Vec<Route<S>>>);

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// The table of `routes`; the first that fits is taken.
    pub fn new(routes: Vec<Route<S>>) -> Self {
        Self(Arc::new(routes))
    }

    /// The routes, in order.
    pub fn routes(&self) -> &[Route<S>] {
        &self.0
    }

    /// The filter that answers them, and rejects every other path.
    pub fn filter(&self, state: S) -> BoxedFilter<(Response,)> {
        let table = self.clone();
        let ws = warp::ws().map(Some);
        let ws = ws.or(warp::any().map(|| None)).unify();
        let query = warp::query::<Vec<(String, String)>>().map(Some);
        let query = query.or(warp::any().map(|| None)).unify();
        let raw = warp::query::raw().or(warp::any().map(String::new)).unify();
        // Before anything is taken: the next tree wants the body, too.
        let ours = self.clone();
        let ours = warp::path::full().and_then(move |path: warp::path::FullPath| {
            let fits = |route: &Route<S>| fit(route.path, path.as_str()).is_some();
            let fits = ours.0.iter().any(fits);
            async move { fits.then_some(()).ok_or_else(warp::reject::not_found) }
        });
        ours.untuple_one()
            .and(warp::method())
            .and(warp::path::full())
            .and(query)
            .and(raw)
            .and(warp::header::headers_cloned())
            .and(warp::ext::get::<Peer>())
            .and(warp::ext::get::<Limits>())
            .and(ws)
            .and(warp::body::stream())
            .and_then(
                move |method: Method,
                      path: warp::path::FullPath,
                      query: Option<Vec<(String, String)>>,
                      raw,
                      headers: HeaderMap,
                      peer,
                      limits,
                      ws,
                      stream| {
                    let call = Call {
                        peer,
                        headers,
                        proof: Proof::None,
                        browser: false,
                        method,
                        limits,
                        params: BTreeMap::new(),
                        query: BTreeMap::new(),
                        raw,
                        chunks: Some(body::chunks(stream)),
                        ws,
                    };
                    table.answer(state.clone(), path.as_str(), query, call)
                },
            )
            .boxed()
    }

    /// Whether something answers there.
    #[cfg(test)]
    pub(crate) fn routes_to(&self, path: &str, method: &Method) -> bool {
        matches!(self.find(path, method), Some(Ok(_)))
    }

    fn answer(
        &self,
        state: S,
        path: &str,
        query: Option<Vec<(String, String)>>,
        mut call: Call,
    ) -> impl Future<Output = Result<Response, Rejection>> + Send + use<S> {
        let found = self.find(path, &call.method).map(|found| {
            let (route, params) = found?;
            call.params = params;
            call.query = known(route, query)?;
            call.proof = Proof::of(call.peer, &call.headers)?;
            let changes = caller::changes(&call.method) || call.ws.is_some();
            // What needs no proof is judged by its origin alone: a stale cookie must not keep one from logging in.
            let shown = if route.open {
                &Proof::None
            } else {
                &call.proof
            };
            shown.same_site(&call.headers, changes)?;
            call.browser = matches!(shown, Proof::Cookie(_));
            Ok(route.handler.clone())
        });
        async move {
            let outcome = match found.ok_or_else(warp::reject::not_found)? {
                Ok(handler) => handler(state, call).await,
                Err(fault) => Err(fault),
            };
            Ok(guard(outcome.unwrap_or_else(Fault::into_response)))
        }
    }

    /// The route of a path and a method; `None` when no template fits the path.
    #[expect(
        clippy::type_complexity,
        reason = "a route and what its template took, or why not"
    )]
    fn find(
        &self,
        path: &str,
        method: &Method,
    ) -> Option<Result<(&Route<S>, BTreeMap<&'static str, String>), Fault>> {
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut allowed = Vec::new();
        for route in self.0.iter() {
            let Some(params) = fit(route.path, path) else {
                continue;
            };
            if route.method == *wanted {
                return Some(Ok((route, params)));
            }
            allowed.push(route.method.as_str());
            if route.method == Method::GET {
                allowed.push("HEAD");
            }
        }
        (!allowed.is_empty()).then(|| {
            let allow = allowed.join(", ");
            let detail = format!("{method} is not possible here; these are: {allow}");
            let allow = HeaderValue::try_from(allow).expect("method names are header text");
            Err(Fault::new(Code::MethodNotAllowed, detail).header(header::ALLOW, allow))
        })
    }
}

/// What `template` takes from `path`, when it fits; a trailing slash is forgiven.
fn fit(template: &'static str, path: &str) -> Option<BTreeMap<&'static str, String>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/');
    let mut params = BTreeMap::new();
    for want in template.split('/') {
        let segment = segments.next()?;
        match want
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            Some(_) if segment.is_empty() => return None,
            Some(name) => {
                params.insert(name, segment.to_owned());
            }
            None if want == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(params)
}

/// A segment of a path, with each `%` and two digits the byte that they are; none when that is no UTF-8.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [high.to_ascii_uppercase(), low.to_ascii_uppercase()];
                (HEXUPPER.decode(&digits).ok()?[0], after)
            }
            (b'%', _) => return None,
            (byte, after) => (byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The query, if the route knows all of it.
fn known<S>(
    route: &Route<S>,
    query: Option<Vec<(String, String)>>,
) -> Result<BTreeMap<String, String>, Fault> {
    let malformed = || Fault::new(Code::BadQuery, "the query is malformed");
    let mut taken = BTreeMap::new();
    for (name, value) in query.ok_or_else(malformed)? {
        if !route.query.iter().any(|known| known.name == name) {
            let known: Vec<_> = route.query.iter().map(|known| known.name).collect();
            let detail = match known.is_empty() {
                true => format!("no query parameter `{name}` here: there are none"),
                false => format!("no query parameter `{name}` here: {}", known.join(", ")),
            };
            return Err(Fault::new(Code::BadQuery, detail));
        }
        taken.insert(name, value);
    }
    Ok(taken)
}

impl Call {
    /// The id that the path's `{name}` is. What is no number is no id of ours.
    pub fn id(&self, name: &str) -> Result<u64, Fault> {
        let text = self.params.get(name).map_or("", String::as_str);
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).ok_or_else(|| {
            Fault::new(
                Code::NotFound,
                "the id in the path is not a number: nothing is here",
            )
        })
    }

    /// The text that the path's `{name}` is. What is no text is nothing of ours.
    pub fn word(&self, name: &str) -> Result<String, Fault> {
        let text = self.params.get(name).and_then(|text| decoded(text));
        text.ok_or_else(|| Fault::new(Code::NotFound, "the path makes no sense: nothing is here"))
    }

    /// A query parameter as it was sent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A query parameter as the bytes that it is, which need not be text.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).collect::<Vec<u8>>();
        let pairs = self.raw.split('&').rev();
        let mut named = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name.as_bytes()).then_some(value)
        });
        named.next().map(decode)
    }

    /// A header as text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How many bytes the body is to have, when it was said.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.parse().ok()
    }

    /// The body as it comes, without a limit: who takes it has one. A connection on which nothing moves is closed, and
    /// so the body breaks off.
    pub(crate) fn stream(&mut self) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
        let chunks = self.chunks.take().expect("a handler reads its body once");
        Box::pin(chunks.map(|chunk| chunk.map_err(io::Error::other)))
    }

    /// A query parameter that is a number within `bounds`.
    pub fn number(&self, name: &str, bounds: RangeInclusive<u64>) -> Result<Option<u64>, Fault> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            let (from, to) = bounds.clone().into_inner();
            let most = if to == u64::MAX {
                "any".into()
            } else {
                to.to_string()
            };
            let detail = format!("`{name}` must be a number from {from} to {most}");
            Fault::new(Code::BadQuery, detail)
        })
    }

    /// The body as `T`.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        body::json(&self.body().await?)
    }

    /// The body as `T`, or `None` without one.
    pub async fn json_if_any<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fault> {
        match self.body().await? {
            empty if empty.is_empty() => Ok(None),
            body => body::json(&body).map(Some),
        }
    }

    /// A page can send a form across sites without asking, but not JSON: so that is what browsers must send.
    async fn body(&mut self) -> Result<Vec<u8>, Fault> {
        let chunks = self.chunks.take().expect("a handler reads its body once");
        let length = self.announced();
        let Limits {
            body, body_time, ..
        } = self.limits;
        let bytes = body::read(chunks, length, body, body_time).await?;
        if self.browser && !bytes.is_empty() && !self.says_json() {
            let detail = "with a session cookie, the body's content-type must be application/json";
            return Err(Fault::new(Code::NotJson, detail));
        }
        Ok(bytes)
    }

    /// The body as the fields of a form: what a page without scripts sends.
    pub(crate) async fn form(&mut self) -> Result<Vec<(String, String)>, Fault> {
        let body = self.body().await?;
        let fields = url::form_urlencoded::parse(&body);
        Ok(fields.into_owned().collect())
    }

    /// Whether only the head of the answer is wanted.
    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// The body of a route that takes large ones. Not for what a browser's cookie proves: nothing says here what it is.
    pub(crate) async fn bulk(&mut self, bulk: &Bulk) -> Result<Held, Fault> {
        let chunks = self.chunks.take().expect("a handler reads its body once");
        let length = self.announced();
        bulk.read(chunks, length).await
    }

    /// The content-length, if one was sent.
    fn announced(&self) -> Option<u64> {
        let length = self.headers.get(header::CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    }

    fn says_json(&self) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE);
        let kind = kind
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    }

    /// The WebSocket that was asked for.
    pub fn upgrade(&mut self) -> Result<Ws, Fault> {
        self.ws.take().ok_or_else(|| {
            Fault::new(Code::UpgradeRequired, "only a WebSocket can have that")
                .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        })
    }
}

/// `value` as the whole answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response, Fault> {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer does not encode");
        Fault::new(Code::Internal, "an internal fault; the box's log says more")
    })?;
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// An answer without a body.
pub(crate) fn bare(status: StatusCode) -> Response {
    status.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_may_have_any_character() {
        for (segment, name) in [
            ("ada", Some("ada")),
            ("a%20b%2fc", Some("a b/c")),
            ("%C3%BC", Some("\u{fc}")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%ff", None),
        ] {
            assert_eq!(decoded(segment).as_deref(), name, "{segment}");
        }
    }
}
