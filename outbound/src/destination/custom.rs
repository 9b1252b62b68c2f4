//! Destinations that people describe in files (section 15.5).

use mainspring_schemas::{
    Properties,
    destination::{ConfigSchema, Description, DestinationDefinition, Method as Verb},
    expression::Scope,
};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::{Destination, Fault, Outgoing, Transformed, request::missing};
use crate::exchange::{Classifier, Request};

/// A destination of a file.
pub struct Custom {
    definition: DestinationDefinition,
    classifier: Option<Classifier>,
}

impl Custom {
    /// The destination that a file describes.
    pub fn new(definition: DestinationDefinition) -> Self {
        let classifier = definition.success.clone();
        let classifier =
            classifier.map(|success| Classifier::new(move |status, body| success.accepts(status, body)));
        Self { definition, classifier }
    }

    fn rendered(&self, outgoing: &Outgoing<'_>) -> Result<Transformed, Fault> {
        let DestinationDefinition { description, skip_if, request, .. } = &self.definition;
        let settings = &outgoing.endpoint.settings;
        let config = settings.config.as_ref();
        if let Some(name) = description.config.missing(config).next() {
            return Err(missing(name));
        }
        let unreadable = |_| Fault("the envelope cannot be read".to_owned());
        let envelope: Value = serde_json::from_slice(&outgoing.delivery.body).map_err(unreadable)?;
        let data = json!({
            "data": envelope.get("data"),
            "envelope": envelope,
            "config": effective(&description.config, config),
            "endpoint": {
                "id": outgoing.delivery.endpoint, "url": settings.url, "description": settings.description,
            },
        });
        let scope = Scope::new(&data);
        if skip_if.as_ref().is_some_and(|condition| condition.holds(&scope)) {
            return Ok(Transformed::Skip);
        }
        let url = request.url.text(&scope).map_err(|foreign| Fault(foreign.to_string()))?;
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &request.headers {
            let unfit = || Fault(format!("the header {name} cannot be sent"));
            let key = HeaderName::try_from(name).map_err(|_| unfit())?;
            let mut value = HeaderValue::try_from(value.text(&scope)).map_err(|_| unfit())?;
            // Most of them hold credentials, and none is of use in a log.
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        let body = match &request.json {
            None => outgoing.delivery.body.clone(),
            Some(shape) => shape.value(&scope).to_string().into(),
        };
        let method = match request.method {
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Patch => Method::PATCH,
        };
        Ok(Transformed::Request(Request { method, url, headers, body, classifier: self.classifier.clone() }))
    }
}

/// The declared keys of a configuration with their values, defaults included.
fn effective(schema: &ConfigSchema, config: Option<&Properties>) -> Properties {
    let member = |field: &mainspring_schemas::destination::Field| {
        Some((field.name.clone(), schema.value(config, &field.name)?.clone()))
    };
    schema.fields.iter().filter_map(member).collect()
}

impl Destination for Custom {
    fn description(&self) -> &Description {
        &self.definition.description
    }

    fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed {
        self.rendered(outgoing).into()
    }
}
