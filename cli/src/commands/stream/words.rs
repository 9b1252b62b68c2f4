//! Events in plain words.

use mainspring_schemas::{
    Properties,
    event::{
        AccessEvent, AuditEvent, BucketEvent, ContactEvent, DeliveryEvent, DomainEvent, EndpointEvent,
        IdentityEvent,
        bucket::{BackfillAdvanced, BackfillCompleted, BackfillStarted, CatchUpPlanned, Purpose},
        contact::{AttachedKey, ReactionOutcome, TransitionSource},
        delivery::{AttemptResult, DiscardReason},
    },
};
use serde_json::Value;

/// One event, as an operator would say it.
pub fn tell(event: &DomainEvent) -> String {
    match event {
        DomainEvent::Contact(event) => contact(event),
        DomainEvent::Bucket(event) => bucket(event),
        DomainEvent::Identity(IdentityEvent::Claimed(event)) => {
            format!("the key came to contact {}", event.contact)
        }
        DomainEvent::Identity(IdentityEvent::Released(_)) => "the key became free".to_owned(),
        DomainEvent::Endpoint(event) => endpoint(event),
        DomainEvent::Delivery(DeliveryEvent::Attempted(event)) => {
            let status =
                event.response_status.map_or_else(String::new, |status| format!(", status {status}"));
            let error = event.error.as_deref().map_or_else(String::new, |error| format!(", {error}"));
            let outcome = match &event.result {
                AttemptResult::Delivered => "delivered".to_owned(),
                AttemptResult::Retry { next_at } => format!("to be tried again at {next_at}"),
                AttemptResult::Failed => "given up".to_owned(),
            };
            let (attempt, delivery, took) = (event.attempt, event.delivery, event.duration_ms);
            format!("attempt {attempt} of delivery {delivery}: {outcome}{status}{error} ({took} ms)")
        }
        DomainEvent::Delivery(DeliveryEvent::Requeued(event)) => {
            format!("delivery {} is to be made again", event.delivery)
        }
        DomainEvent::Delivery(DeliveryEvent::Discarded(event)) => {
            let reason = match event.reason {
                DiscardReason::Held => "it was held for too long",
                DiscardReason::Operator => "an operator asked for it",
            };
            format!("delivery {} is not made: {reason}", event.delivery)
        }
        DomainEvent::Delivery(DeliveryEvent::RecoveryStarted(event)) => {
            let missed = if event.include_missed { " and what was missed" } else { "" };
            let (recovery, since, until, matched) = (event.recovery, event.since, event.until, event.matched);
            format!("recovery {recovery}: {matched} deliveries from {since} to {until}{missed} go out again")
        }
        DomainEvent::Delivery(DeliveryEvent::Recovered(event)) => {
            format!("{} of record {} is delivered late", event.event_type, event.source)
        }
        DomainEvent::Delivery(DeliveryEvent::RecoveryAdvanced(event)) => {
            format!("recovery {}: {} deliveries queued", event.recovery, event.queued)
        }
        DomainEvent::Delivery(DeliveryEvent::RecoveryEnded(event)) => {
            format!("recovery {}: everything is queued", event.recovery)
        }
        DomainEvent::Delivery(DeliveryEvent::LetterDiscarded(event)) => {
            format!("the dead letter of delivery {} is put away", event.delivery)
        }
        DomainEvent::Delivery(DeliveryEvent::Expired(event)) => {
            let (ended, failed) = (event.ended_until, event.failed_until);
            format!("deliveries that ended by {ended} or failed by {failed} are forgotten")
        }
        DomainEvent::Access(AccessEvent::Created(event)) => {
            let scopes: Vec<&str> = event.scopes.iter().map(|scope| scope.as_str()).collect();
            format!("API key {} ({}...) was made with {}", event.name, event.prefix, scopes.join(", "))
        }
        DomainEvent::Audit(AuditEvent::Acted(event)) => {
            let what = event.resource_id.as_deref().map_or_else(String::new, |id| format!(" {id}"));
            format!("{} did {}{what} ({})", event.actor, event.action, event.route)
        }
        DomainEvent::Access(AccessEvent::Revoked(event)) => format!("API key {} was revoked", event.id),
        DomainEvent::SourceSecret(_) => "a secret was made and stored".to_owned(),
    }
}

fn keys(keys: &[AttachedKey]) -> String {
    let key = |key: &AttachedKey| format!("{} {}", key.kind.as_str(), key.value);
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn properties(properties: &Properties) -> String {
    let property = |(name, value): (&String, &Value)| format!("{name}={value}");
    properties.iter().map(property).collect::<Vec<_>>().join(" ")
}

fn with(properties_of: &Properties) -> String {
    if properties_of.is_empty() { String::new() } else { format!(": {}", properties(properties_of)) }
}

fn by(source: TransitionSource) -> &'static str {
    match source {
        TransitionSource::Event => "because of an event",
        TransitionSource::Reconcile => "by the clock",
        TransitionSource::Backfill => "by a back-fill",
        TransitionSource::Manual => "by hand",
    }
}

fn silently(announced: bool) -> &'static str {
    if announced { "" } else { ", not announced" }
}

fn contact(event: &ContactEvent) -> String {
    match event {
        ContactEvent::Created(event) => {
            format!("created with {}{}", keys(&event.keys), with(&event.properties))
        }
        ContactEvent::KeysAttached(event) => format!("got {}", keys(&event.keys)),
        ContactEvent::PropertiesChanged(event) => {
            let removed = event.removed.iter().map(|name| format!("without {name}"));
            let set = (!event.set.is_empty()).then(|| properties(&event.set));
            let parts: Vec<String> = set.into_iter().chain(removed).collect();
            format!("properties: {}", parts.join(" "))
        }
        ContactEvent::Seen(_) => "was seen".to_owned(),
        ContactEvent::EventRecorded(event) => {
            let happened = event.occurred_at;
            let when = if happened == event.at { String::new() } else { format!(" (happened {happened})") };
            let from = match event.source.origin() {
                Some(source) => format!(" from {source}"),
                None => String::new(),
            };
            format!("event {}{from}{when}{}", event.name, with(&event.properties))
        }
        ContactEvent::BucketEntered(event) => {
            let (bucket, by, silently) = (&event.bucket, by(event.source), silently(event.announced));
            format!("entered {bucket} {by}, stay {}{silently}", event.epoch)
        }
        ContactEvent::BucketLeft(event) => {
            let (bucket, reason, by) = (&event.bucket, event.reason.as_str(), by(event.source));
            format!(
                "left {bucket} {by}, reason {reason}, in since {}{}",
                event.entered_at,
                silently(event.announced)
            )
        }
        ContactEvent::BucketDwelled(event) => {
            let (bucket, label, ordinal) = (&event.bucket, &event.label, event.ordinal);
            format!("dwelled in {bucket} by {label}, count {ordinal}, stay {}", event.epoch)
        }
        ContactEvent::BucketDeadline(event) => {
            format!("stay {} in {} got an end at {}", event.epoch, event.bucket, event.max_dwell_at)
        }
        ContactEvent::DwellPlanned(event) => {
            let (epoch, bucket, label) = (event.epoch, &event.bucket, &event.label);
            format!("stay {epoch} in {bucket} catches up with {label} at {}", event.due)
        }
        ContactEvent::Reacted(event) => {
            let why = match event.outcome {
                ReactionOutcome::Ran => "ran",
                ReactionOutcome::Filtered => "was left out by its own filter",
                ReactionOutcome::Cascade => "was not run: too many reactions had followed from each other",
                ReactionOutcome::Refused => "was refused: the properties would become too large",
            };
            format!("reaction {} {why}", event.reaction)
        }
        ContactEvent::Announced(event) => format!("announced as {}", event.outbound_type),
        ContactEvent::MergedInto(event) => format!("became part of contact {}", event.survivor),
        ContactEvent::Absorbed(event) => {
            format!("took over contact {} with {}", event.loser, keys(&event.keys))
        }
        ContactEvent::IdentityConflict(event) => {
            format!("kept apart from contact {}, which has another {}", event.other, event.kind.as_str())
        }
        ContactEvent::Erased(event) => match event.former.len() {
            0 => "erased: its data key is destroyed".to_owned(),
            former => format!("erased with {former} merged contacts: their data keys are destroyed"),
        },
        ContactEvent::Deleted(event) => format!("deleted ({})", event.reason),
        ContactEvent::Restored(event) => format!("restored with {}", keys(&event.keys)),
        ContactEvent::Looked(_) => "looked at the clock".to_owned(),
    }
}

fn bucket(event: &BucketEvent) -> String {
    match event {
        BucketEvent::Defined(event) => {
            let again = if event.re_evaluates { "; everybody is decided anew" } else { "" };
            let again = if event.replans { "; members plan their clocks anew" } else { again };
            let enabled = if event.definition.enabled { "" } else { ", switched off" };
            format!("defined as {}{enabled}{again}", event.definition.name)
        }
        BucketEvent::Retired(_) => "its definition went away".to_owned(),
        BucketEvent::Switched(event) => {
            format!("switched {} by an operator", if event.enabled { "on" } else { "off" })
        }
        BucketEvent::BackfillStarted(BackfillStarted { purpose: Purpose::Clocks, total, .. }) => {
            format!("planning of clocks over {total} contacts began")
        }
        BucketEvent::BackfillAdvanced(BackfillAdvanced { purpose: Purpose::Clocks, processed, .. }) => {
            format!("planning of clocks reached {processed} contacts")
        }
        BucketEvent::BackfillCompleted(BackfillCompleted { purpose: Purpose::Clocks, processed, .. }) => {
            format!("planning of clocks ended after {processed} contacts")
        }
        BucketEvent::BackfillStarted(event) => format!("back-fill of {} contacts began", event.total),
        BucketEvent::BackfillAdvanced(event) => format!("back-fill decided {} contacts", event.processed),
        BucketEvent::BackfillCompleted(event) => {
            format!("back-fill ended after {} contacts", event.processed)
        }
        BucketEvent::CatchUpPlanned(event) => {
            let CatchUpPlanned { first, count, per_minute, .. } = event;
            format!("{count} members catch up from {first} on, {per_minute} a minute")
        }
    }
}

fn endpoint(event: &EndpointEvent) -> String {
    match event {
        EndpointEvent::Created(event) => {
            let disabled = if event.disabled { ", disabled" } else { "" };
            format!(
                "created for {} of kind {}{disabled}",
                event.settings.event_types.join(", "),
                event.settings.kind
            )
        }
        EndpointEvent::Updated(event) => format!("changed; takes {}", event.settings.event_types.join(", ")),
        EndpointEvent::SecretRotated(event) => format!("got a new secret; {} sign now", event.secrets.len()),
        EndpointEvent::Disabled(event) => format!("disabled: {}", event.reason),
        EndpointEvent::Enabled(_) => "enabled".to_owned(),
        EndpointEvent::Deleted(_) => "deleted".to_owned(),
        EndpointEvent::TestRequested(_) => "a test was asked for".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mainspring_schemas::{
        SourceId, Timestamp,
        event::contact::{EventRecorded, Source},
    };

    use super::*;

    #[test]
    fn ws_16_an_event_of_a_source_names_it() {
        let told = |source| {
            let (name, at) = ("invoice.paid".into(), Timestamp(0));
            let properties = Properties::new();
            let event = EventRecorded { name, occurred_at: at, at, properties, source, idempotency: None };
            tell(&DomainEvent::Contact(ContactEvent::EventRecorded(event)))
        };
        let stripe = SourceId::new("stripe").unwrap();
        assert_eq!(told(Source::Webhook(stripe)), "event invoice.paid from stripe");
        assert_eq!(told(Source::Api), "event invoice.paid");
    }
}
