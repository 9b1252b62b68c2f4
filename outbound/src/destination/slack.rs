//! Slack: one line of text per event (OB-250..OB-252).

use mainspring_schemas::destination::{ConfigSchema, Description, Field, FieldKind};
use reqwest::header::HeaderMap;
use serde::Serialize;

use super::{
    Destination, Envelope, Fault, Outgoing, Transformed,
    request::{Options, missing, post},
};

/// The kind's id.
pub(super) const KIND: &str = "slack";

/// The destination.
pub(super) struct Slack {
    description: Description,
}

/// One message, as Slack takes it.
#[derive(Serialize)]
struct Message<'a> {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon_emoji: Option<&'a str>,
}

impl Slack {
    pub(super) fn new() -> Self {
        let fields = vec![
            Field::new("url", FieldKind::Address).secret(),
            Field::new("username", FieldKind::Text),
            Field::new("iconEmoji", FieldKind::Text),
        ];
        let description = Description {
            id: KIND.to_owned(),
            name: "Slack".to_owned(),
            description: Some("Says in a channel what happened".to_owned()),
            events: vec!["*".to_owned()],
            config: ConfigSchema::closed(fields),
            placeholder_url: None,
            secret_url: true,
        };
        Self { description }
    }

    fn said(&self, outgoing: &Outgoing<'_>) -> Result<Transformed, Fault> {
        let options = Options::of(&self.description.config, outgoing);
        let own = Some(outgoing.endpoint.settings.address()).filter(|url| !url.is_empty());
        let url = options.text("url").or(own).ok_or_else(|| missing("url"))?;
        let envelope = Envelope::read(&outgoing.delivery.body)?;
        let message = Message {
            text: text(&envelope),
            username: options.text("username"),
            icon_emoji: options.text("iconEmoji"),
        };
        post(url.to_owned(), HeaderMap::new(), &message)
    }
}

fn text(envelope: &Envelope) -> String {
    let mut text = format!("*{}*", escaped(&envelope.event_type));
    if let Some(whom) = envelope.first_text(&["to", "userEmail"]) {
        text += &format!(" for `{}`", escaped(whom));
    }
    if let Some(template) = envelope.first_text(&["templateKey"]) {
        text += &format!(" (template `{}`)", escaped(template));
    }
    text
}

/// A value that cannot mention anybody, nor end the quotation or the line it stands in (OB-252).
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '`' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {}
            other => text.push(other),
        }
    }
    text
}

impl Destination for Slack {
    fn description(&self) -> &Description {
        &self.description
    }

    fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed {
        self.said(outgoing).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ob_252_a_value_mentions_nobody_and_stays_in_its_quotation() {
        assert_eq!(escaped("<!channel> & `x`\r\ny\u{2028}z"), "&lt;!channel&gt; &amp; xyz");
    }
}
