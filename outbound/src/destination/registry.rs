//! Which kinds can be delivered to (OB-203, OB-204).

use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use mainspring_schemas::{catalog::is_for_analytics, destination::Description};

use super::{
    Destination, Outgoing, Transformed, posthog, posthog::PostHog, segment::Segment, slack::Slack, webhook,
    webhook::Webhook,
};

/// The marker that existing insights filter on (OB-207).
pub const DEFAULT_LIB: &str = "hogsend";

/// The presets that can never be switched off.
const ALWAYS: [&str; 2] = [webhook::KIND, posthog::KIND];

/// Which of the shipped destinations are registered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Presets {
    /// Those that can never be switched off.
    #[default]
    Fewest,
    /// All of them.
    All,
    /// Those, and the ones with these ids in lower case.
    Also(Vec<String>),
}

impl Presets {
    /// Reads `ENABLED_DESTINATION_PRESETS`.
    pub fn parse(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "none" => Self::Fewest,
            "*" => Self::All,
            list => {
                let ids = list.split(',').map(str::trim).filter(|id| !id.is_empty());
                Self::Also(ids.map(str::to_owned).collect())
            }
        }
    }

    fn includes(&self, id: &str) -> bool {
        ALWAYS.contains(&id)
            || match self {
                Self::Fewest => false,
                Self::All => true,
                Self::Also(ids) => ids.iter().any(|wanted| wanted == id),
            }
    }
}

/// The destinations that deliveries can be made to, by kind.
pub struct Registry {
    registered: BTreeMap<String, Arc<dyn Destination>>,
    /// Shipped destinations that are switched off: endpoints may have these kinds, their deliveries are held (OB-74).
    switched_off: BTreeMap<String, Arc<dyn Destination>>,
}

impl Default for Registry {
    /// The presets that can never be switched off.
    fn default() -> Self {
        Self::new(&Presets::default(), DEFAULT_LIB)
    }
}

impl Registry {
    /// The presets that are switched on. `lib` is the marker that PostHog and Segment are told (OB-207).
    pub fn new(presets: &Presets, lib: &str) -> Self {
        let shipped: [Arc<dyn Destination>; 4] = [
            Arc::new(Webhook::new()),
            Arc::new(PostHog::new(lib)),
            Arc::new(Segment::new(lib)),
            Arc::new(Slack::new()),
        ];
        let by_id = shipped.into_iter().map(|preset| (preset.description().id.clone(), preset));
        let (registered, switched_off) = by_id.partition(|(id, _)| presets.includes(id));
        Self { registered, switched_off }
    }

    /// Ids in a list of presets that no shipped destination has: they are ignored (OB-203).
    pub fn unknown<'p>(&self, presets: &'p Presets) -> Vec<&'p str> {
        let Presets::Also(ids) = presets else { return Vec::new() };
        ids.iter().map(String::as_str).filter(|id| self.describe(id).is_none()).collect()
    }

    /// Adds a destination. It takes the place of one with the same id.
    pub fn register(&mut self, destination: Arc<dyn Destination>) {
        let id = destination.description().id.clone();
        self.switched_off.remove(&id);
        self.registered.insert(id, destination);
    }

    /// Whether deliveries of this kind can be made; those of other kinds are held until it can (OB-204).
    pub fn is_registered(&self, kind: &str) -> bool {
        self.registered.contains_key(kind)
    }

    /// Every kind that an endpoint may have, switched off or not (OB-74).
    pub fn descriptions(&self) -> impl Iterator<Item = &Description> {
        self.registered
            .values()
            .chain(self.switched_off.values())
            .map(|destination| destination.description())
    }

    fn describe(&self, id: &str) -> Option<&Description> {
        self.descriptions().find(|description| description.id == id)
    }

    /// The request of one attempt. What is not registered is never sent, above all not elsewhere (OB-204). What the
    /// destination does not take is not sent either: its endpoint may be subscribed since before that was said (OB-200).
    /// A transform that panics costs its own delivery, not the worker that serves everybody.
    pub fn transform(&self, outgoing: &Outgoing<'_>) -> Transformed {
        let kind = &outgoing.endpoint.settings.kind;
        match self.registered.get(kind) {
            Some(destination) if !takes(&**destination, &outgoing.delivery.event_type) => Transformed::Skip,
            Some(destination) => {
                // Nothing of what the transform saw is used afterwards.
                let made = panic::catch_unwind(AssertUnwindSafe(|| destination.transform(outgoing)));
                made.unwrap_or_else(|_| {
                    Transformed::Config(format!("destination \"{kind}\" failed to make a request"))
                })
            }
            None => Transformed::Config(format!("destination \"{kind}\" is not registered")),
        }
    }
}

fn takes(destination: &dyn Destination, event_type: &str) -> bool {
    match is_for_analytics(event_type) {
        true => destination.is_for_analytics(),
        false => destination.description().takes(event_type),
    }
}
