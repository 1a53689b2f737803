//! What the web door is told beside its address.

use url::Url;

use super::{
    keys::{HTTP_REDIRECTS, HTTP_URL},
    values::Values,
};
use crate::http::redirect::Place;

/// How people know the box, and where it may send them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// What links to the box begin with, with a slash at its end; none: its address in the network.
    pub url: Option<Url>,
    /// Hosts beside the box that people may be sent to.
    pub redirects: Vec<Place>,
}

impl Web {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            url: values.parse(HTTP_URL, base),
            redirects: values.parse(HTTP_REDIRECTS, places),
        }
    }
}

fn base(text: &str) -> Result<Option<Url>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("`{text}` is not an address like https://box.example.org/");
    let mut url = Url::parse(text).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain || !bare {
        return Err(wrong());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(Some(url))
}

fn places(text: &str) -> Result<Vec<Place>, String> {
    let places = text.split(',').map(str::trim);
    places
        .filter(|place| !place.is_empty())
        .map(str::parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn a_base_for_links_ends_with_a_slash_and_hosts_are_a_list() {
        let config = load("", &[], &[]).unwrap();
        assert_eq!((config.web.url, config.web.redirects.len()), (None, 0));
        let sets = [
            "http.url=https://box.example.org/games",
            "http.redirects=a.example, b.example:81",
        ];
        let config = load("", &[], &sets).unwrap();
        let url = config.web.url.unwrap();
        assert_eq!(url.as_str(), "https://box.example.org/games/");
        assert_eq!(config.web.redirects.len(), 2);
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_key() {
        for set in [
            "http.url=box.example.org",
            "http.url=ftp://box.example.org/",
            "http.url=https://a:b@box.example.org/",
            "http.url=https://box.example.org/?a=b",
            "http.redirects=https://a.example/",
            "http.redirects=a.example,*",
        ] {
            let faults = load("", &[], &[set]).unwrap_err();
            let key = set.split('=').next().unwrap();
            assert!(faults.len() == 1 && faults[0].contains(key), "{faults:?}");
        }
    }
}
