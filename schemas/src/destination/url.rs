//! The url of a request, with expressions that can change everything but who gets it.
//!
//! What an envelope or a configuration holds must not choose the receiver. So scheme, port and registrable domain stand
//! in the file (`https://{{ config.region }}.crm.example.com/` is always something of `example.com`), and every value
//! is encoded, so that it cannot end the part of the url in which it stands. What encoding does not hinder, a `..` that
//! takes the part before it away, is refused.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use crate::expression::{InvalidExpression, Scope, Template};

/// What of a value is encoded: everything that is not unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Stands for an expression while the rest of the url is looked at. A letter, so that the rest parses as it will.
const PLACE: char = 'x';

/// A url with expressions.
#[derive(Debug, PartialEq)]
pub struct UrlTemplate {
    template: Template,
    /// The registrable domain, if an expression stands in front of it.
    domain: Option<String>,
    /// How many segments of its path take part of it away.
    dots: usize,
}

/// Why a text is no url of a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// An expression in it cannot be read.
    #[error(transparent)]
    Expression(#[from] InvalidExpression),
    /// It does not begin with a scheme that requests are made with.
    #[error("must begin with https:// or http://, without an expression in it")]
    Scheme,
    /// It has a user or a password.
    #[error("must not hold a user or a password")]
    Credentials,
    /// An expression stands for more of the host than its first labels.
    #[error("the registrable domain must be literal")]
    Domain,
    /// It does not parse.
    #[error("is no URL")]
    NotAUrl,
}

/// The values make no url of the receiver and the place that the file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the values in request.url make no URL of its domain and path")]
pub struct ForeignUrl;

impl UrlTemplate {
    /// Reads a url whose expressions begin with the names in `roots`.
    ///
    /// # Errors
    /// See [`InvalidUrl`].
    pub fn parse(text: &str, roots: &[&str]) -> Result<Self, InvalidUrl> {
        let template = Template::parse(text, roots)?;
        let start = template.literal_prefix();
        let scheme = ["https://", "http://"].into_iter().find(|scheme| start.starts_with(scheme));
        let scheme = scheme.ok_or(InvalidUrl::Scheme)?;
        let mut authority = Authority::default();
        for (index, part) in template.parts().enumerate() {
            match part {
                Some(literal) if index == 0 => authority.push(&literal[scheme.len()..]),
                Some(literal) => authority.push(literal),
                None => authority.expression(),
            }
        }
        if authority.text.contains('@') {
            return Err(InvalidUrl::Credentials);
        }
        let skeleton: String =
            template.parts().map(|part| part.map_or_else(|| PLACE.to_string(), str::to_owned)).collect();
        let parsed = Url::parse(&skeleton).map_err(|_| InvalidUrl::NotAUrl)?;
        let domain = match authority.last_expression {
            None => None,
            Some(at) => Some(literal_domain(&authority.text[at..]).ok_or(InvalidUrl::Domain)?),
        };
        match (parsed.host(), &domain) {
            (Some(Host::Domain(host)), Some(domain)) if is_within(host, domain) => {}
            (Some(_), None) => {}
            _ => return Err(InvalidUrl::Domain),
        }
        Ok(Self { template, domain, dots: dot_segments(&skeleton) })
    }

    /// As the author wrote it.
    pub fn source(&self) -> &str {
        self.template.source()
    }

    /// The url for this data.
    ///
    /// # Errors
    /// [`ForeignUrl`] if a value in the host leaves the domain of the file, or one in the path is `.` or `..`, which would
    /// take away a part of the path.
    pub fn text(&self, scope: &Scope<'_>) -> Result<String, ForeignUrl> {
        let encode = |value: &str| utf8_percent_encode(value, RESERVED).to_string();
        let text = self.template.text_with(scope, encode);
        if let Some(domain) = &self.domain {
            match Url::parse(&text).ok().as_ref().and_then(Url::host) {
                Some(Host::Domain(host)) if is_within(host, domain) => {}
                _ => return Err(ForeignUrl),
            }
        }
        if dot_segments(&text) == self.dots { Ok(text) } else { Err(ForeignUrl) }
    }
}

/// How many parts of a path are `.` or `..`, encoded or not: they vanish, or take the part before them away.
fn dot_segments(url: &str) -> usize {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    path.split(['/', '\\']).filter(|segment| matches!(*segment, "." | "..")).count()
}

/// Who gets the request: what stands between scheme and path.
#[derive(Default)]
struct Authority {
    text: String,
    /// Where the last expression in it ends.
    last_expression: Option<usize>,
    ended: bool,
}

impl Authority {
    fn push(&mut self, literal: &str) {
        if !self.ended {
            let end = literal.find(['/', '?', '#', '\\']);
            self.text.push_str(&literal[..end.unwrap_or(literal.len())]);
            self.ended = end.is_some();
        }
    }

    fn expression(&mut self) {
        if !self.ended {
            self.text.push(PLACE);
            self.last_expression = Some(self.text.len());
        }
    }
}

/// The registrable domain in what follows the last expression of an authority. A port must be literal with it.
fn literal_domain(rest: &str) -> Option<String> {
    let host = rest.split(':').next()?;
    // The label in which the expression stands is not literal.
    let (_, labels) = host.split_once('.')?;
    Some(psl::domain_str(&labels.to_ascii_lowercase())?.to_owned())
}

fn is_within(host: &str, domain: &str) -> bool {
    let labels = host.strip_suffix(domain);
    labels.is_some_and(|labels| labels.is_empty() || (labels.ends_with('.') && !labels.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<UrlTemplate, InvalidUrl> {
        UrlTemplate::parse(text, &["config", "data"])
    }

    #[test]
    fn ob_260_scheme_and_registrable_domain_are_literal() {
        for (text, refusal) in [
            ("https://crm.example.com/ingest", None),
            ("http://127.0.0.1:8080/x", None),
            ("https://{{ config.region }}.crm.example.com/ingest", None),
            ("https://eu-{{ config.region }}.example.co.uk:8443/{{ data.id }}?q={{ data.q }}", None),
            ("https://api.example.com/{{ config.a | default(\"/\") }}", None),
            ("{{ config.url }}", Some(InvalidUrl::Scheme)),
            ("{{ config.scheme }}://example.com/", Some(InvalidUrl::Scheme)),
            ("ftp://example.com/", Some(InvalidUrl::Scheme)),
            ("https://{{ config.host }}/x", Some(InvalidUrl::Domain)),
            ("https://example.com{{ data.path }}", Some(InvalidUrl::Domain)),
            ("https://{{ config.name }}example.com/", Some(InvalidUrl::Domain)),
            ("https://{{ config.name }}.co.uk/", Some(InvalidUrl::Domain)),
            ("https://{{ config.name }}.com/", Some(InvalidUrl::Domain)),
            ("https://a.example.com:{{ config.port }}/", Some(InvalidUrl::NotAUrl)),
            ("https://user:{{ config.password }}@a.example.com/", Some(InvalidUrl::Credentials)),
            ("https://", Some(InvalidUrl::NotAUrl)),
        ] {
            assert_eq!(parse(text).err(), refusal, "{text}");
        }
        assert!(matches!(parse("https://a.example.com/{{ nobody }}"), Err(InvalidUrl::Expression(_))));
    }

    #[test]
    fn ob_260_a_value_never_chooses_the_receiver() {
        let regional = parse("https://{{ config.region }}.crm.example.com/ingest").unwrap();
        let text = |region: &str| regional.text(&Scope::new(&json!({"config": {"region": region}})));
        assert_eq!(text("eu").unwrap(), "https://eu.crm.example.com/ingest");
        for hostile in ["evil.com/", "evil.com#", "evil.com?", "user@evil.com:80/", "evil.com\\", ""] {
            assert_eq!(text(hostile), Err(ForeignUrl), "{hostile}");
        }
        let person = parse("https://api.example.com/people/{{ data.id }}?plan={{ data.plan }}").unwrap();
        let data = json!({"data": {"id": "../admin?x=1#é", "plan": "a&b=c"}});
        let expected = "https://api.example.com/people/..%2Fadmin%3Fx%3D1%23%C3%A9?plan=a%26b%3Dc";
        assert_eq!(person.text(&Scope::new(&data)).unwrap(), expected);
        for (path, hostile) in [
            ("people/{{ data.id }}", [".", ".."]),
            ("people/{{ data.id }}/notes", [".", ".."]),
            ("people/{{ data.id }}.", ["", "."]),
            ("people/%2e{{ data.id }}", ["", "."]),
        ] {
            let place = parse(&format!("https://api.example.com/v1/{path}")).unwrap();
            let text = |id: &str| place.text(&Scope::new(&json!({"data": {"id": id}})));
            for stays in ["a", "a.b", ". .", "%2e%2e"] {
                assert!(text(stays).is_ok(), "{path} {stays}");
            }
            for id in hostile {
                assert_eq!(text(id), Err(ForeignUrl), "{path} {id}");
            }
        }
    }
}
