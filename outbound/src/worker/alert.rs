//! What operators are told about an endpoint (OB-153): a line in the log with ids only, and the same as a JSON body for
//! the address of alerts.

use bytes::Bytes;
use mainspring_schemas::{DeliveryId, EndpointId, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::{Ports, scheduler::Message};
use crate::{exchange::Request, ports::DisableReason};

/// An occasion to tell somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    /// It began to fail, or half of its time is over.
    Failing {
        /// Failed attempts in a row.
        failures: u32,
        /// From when on a further failure disables it; `None` = never.
        disables_at: Option<Timestamp>,
    },
    /// It is disabled.
    Disabled {
        /// Why.
        reason: DisableReason,
    },
    /// A delivery was given up.
    Exhausted {
        /// Which.
        delivery: DeliveryId,
        /// The class of what went wrong last.
        class: Option<&'static str>,
    },
}

impl Alert {
    const fn name(self) -> &'static str {
        match self {
            Self::Failing { .. } => "webhook_endpoint_failing",
            Self::Disabled { .. } => "webhook_endpoint_disabled",
            Self::Exhausted { .. } => "webhook_delivery_exhausted",
        }
    }

    /// Writes the line.
    pub(super) fn log(self, endpoint: EndpointId) {
        let alert = self.name();
        match self {
            Self::Failing { failures, disables_at } => {
                let disables_at = disables_at.map(tracing::field::display);
                tracing::warn!(alert, %endpoint, failures, disables_at, "an endpoint fails");
            }
            Self::Disabled { reason } => {
                tracing::warn!(alert, %endpoint, reason = reason.as_str(), "an endpoint is disabled");
            }
            Self::Exhausted { delivery, class } => {
                tracing::warn!(alert, %endpoint, %delivery, class, "a delivery to an endpoint was given up");
            }
        }
    }

    fn body(self, endpoint: EndpointId, at: Timestamp) -> Value {
        let mut body = json!({"alert": self.name(), "at": at, "endpointId": endpoint});
        match self {
            Self::Failing { failures, disables_at } => {
                body["consecutiveFailures"] = json!(failures);
                body["disablesAt"] = json!(disables_at);
            }
            Self::Disabled { reason } => body["reason"] = json!(reason.as_str()),
            Self::Exhausted { delivery, class } => {
                body["deliveryId"] = json!(delivery);
                body["errorClass"] = json!(class);
            }
        }
        body
    }

    /// The request that tells it to `url`; `None` if that is one of the addresses of the endpoint it is about.
    pub(super) fn request<'a>(
        self,
        endpoint: EndpointId,
        mut addresses: impl Iterator<Item = &'a str>,
        url: &str,
        at: Timestamp,
    ) -> Option<Request> {
        let parsed = |text: &str| Url::parse(text).ok();
        let asked = parsed(url);
        if addresses.any(|address| parsed(address) == asked) {
            return None;
        }
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = Bytes::from(self.body(endpoint, at).to_string());
        Some(Request::post(url, headers, body))
    }
}

/// Sends an alert once. One that does not arrive is in the log anyway.
pub(super) async fn send(ports: Ports, request: Request) -> Message {
    let problem = match ports.transport.send(request).await {
        Ok(response) if (200..300).contains(&response.status) => None,
        Ok(response) => Some(format!("HTTP {}", response.status)),
        Err(failure) => Some(failure.text()),
    };
    if let Some(problem) = problem {
        tracing::warn!(problem, "an alert could not be sent");
    }
    Message::Told
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn ob_153_an_alert_has_ids_only_and_never_goes_to_the_endpoint_it_is_about() {
        let endpoint = EndpointId(Uuid::from_u128(1));
        let alert = Alert::Failing { failures: 5, disables_at: Some(Timestamp(0)) };
        let to = |of: &str, url: &str| alert.request(endpoint, ["a name", of].into_iter(), url, Timestamp(0));
        let request = to("https://a.example/x", "https://ops.example/x").unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let expected = json!({
            "alert": "webhook_endpoint_failing", "at": "1970-01-01T00:00:00.000Z", "endpointId": endpoint,
            "consecutiveFailures": 5, "disablesAt": "1970-01-01T00:00:00.000Z",
        });
        assert_eq!(body, expected);
        assert!(to("https://a.example/x", "https://A.example:443/x").is_none());
    }
}
