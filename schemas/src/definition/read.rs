//! Reads one definition out of a document (BK-10 to BK-25).

use crate::{
    BucketId,
    criteria::{
        self, Criteria, Problem, Severity,
        document::{Mark, Node, within},
        reader::Reader,
    },
    definition::{BucketDefinition, BucketKind, EntryLimit, Reaction},
    duration::DurationSpec,
};

use super::read_reaction;

/// Keys of a definition, in the order in which errors list them.
pub(super) const KEYS: [&str; 18] = [
    "id",
    "name",
    "description",
    "enabled",
    "kind",
    "criteria",
    "entryLimit",
    "entryPeriod",
    "minDwell",
    "maxDwell",
    "dwellCatchUpPerMinute",
    "timeBased",
    "reconcileEvery",
    "reconcileJoins",
    "fastExpiry",
    "syncToPostHog",
    "postHogPropertyKey",
    "reactions",
];

const KINDS: [(&str, BucketKind); 2] = [("dynamic", BucketKind::Dynamic), ("manual", BucketKind::Manual)];

const LIMITS: [(&str, EntryLimit); 3] = [
    ("once", EntryLimit::Once),
    ("once_per_period", EntryLimit::OncePerPeriod),
    ("unlimited", EntryLimit::Unlimited),
];

/// A definition as far as it could be read.
pub(super) struct Reading {
    /// Its id, if that is one, and where it is written.
    pub id: Option<(BucketId, Mark)>,
    /// The whole, if there is no error.
    pub definition: Option<BucketDefinition>,
}

/// Reads a definition; problems go to the reader.
pub(super) fn definition(reader: &mut Reader, node: &Node, path: &str) -> Reading {
    let since = reader.problems.len();
    reader.check_keys(node.members(), path, &KEYS);
    let mut fields = Fields { reader, node, path };
    let id = fields.id();
    let definition = fields.rest(id.as_ref().map(|(id, _)| id.clone()));
    let definition = definition.filter(|_| !reader.failed_since(since));
    Reading { id, definition }
}

struct Fields<'r, 'n> {
    reader: &'r mut Reader,
    node: &'n Node,
    path: &'r str,
}

impl<'n> Fields<'_, 'n> {
    /// Every field is read before one that is missing counts, so that all problems are reported.
    fn rest(&mut self, id: Option<BucketId>) -> Option<BucketDefinition> {
        let name = self.required("name", Reader::text);
        let enabled = self.required("enabled", Reader::flag);
        let kind = self.kind();
        let criteria = self.criteria(kind);
        let description = self.optional("description", Reader::text);
        let entry_limit =
            self.optional("entryLimit", |reader, node, path| reader.choice(node, path, &LIMITS));
        let entry_period = self.optional("entryPeriod", Reader::duration);
        let min_dwell = self.optional("minDwell", Reader::duration);
        let max_dwell = self.optional("maxDwell", Reader::duration);
        let dwell_catch_up_per_minute = self.optional("dwellCatchUpPerMinute", Reader::count);
        let time_based = self.optional("timeBased", Reader::flag);
        let reconcile_every = self.optional("reconcileEvery", Reader::duration);
        let reconcile_joins = self.optional("reconcileJoins", Reader::flag);
        let fast_expiry = self.optional("fastExpiry", Reader::flag);
        let sync_to_post_hog = self.optional("syncToPostHog", Reader::flag);
        let post_hog_property_key = self.optional("postHogPropertyKey", Reader::text);
        let reactions = self.reactions(id.as_ref(), max_dwell.as_ref());
        self.check_entry(entry_limit, entry_period.as_ref());
        self.check_dwell(min_dwell.as_ref(), max_dwell.as_ref());
        let dwells = reactions.iter().any(|reaction| reaction.schedule().is_some());
        if dwell_catch_up_per_minute.is_some() && !dwells {
            self.warning("dwellCatchUpPerMinute", "has no effect without a dwell reaction");
        }
        if time_based == Some(false) && criteria.as_ref().is_some_and(Criteria::is_windowed) {
            self.warning("timeBased", "has no effect, because a condition has a window");
        }
        Some(BucketDefinition {
            description: description.map(str::to_owned),
            enabled: enabled?,
            kind,
            entry_limit,
            entry_period,
            min_dwell,
            max_dwell,
            dwell_catch_up_per_minute,
            time_based,
            reconcile_every,
            reconcile_joins,
            fast_expiry,
            sync_to_post_hog,
            post_hog_property_key: post_hog_property_key.map(str::to_owned),
            reactions,
            ..BucketDefinition::new(id?, name?, criteria?)
        })
    }

    /// BK-10.
    fn id(&mut self) -> Option<(BucketId, Mark)> {
        let at = self.node.get("id").map(|node| node.at).unwrap_or_default();
        let text = self.required("id", Reader::text)?;
        match BucketId::new(text) {
            Ok(id) => Some((id, at)),
            Err(invalid) => {
                self.error("id", invalid.to_string());
                None
            }
        }
    }

    /// BK-14.
    fn kind(&mut self) -> Option<BucketKind> {
        let kind = self.optional("kind", |reader, node, path| reader.choice(node, path, &KINDS));
        if kind == Some(BucketKind::Manual) {
            self.error("kind", "manual buckets are not implemented in v1");
        }
        kind
    }

    /// BK-15.
    fn criteria(&mut self, kind: Option<BucketKind>) -> Option<Criteria> {
        let wanted = kind != Some(BucketKind::Manual);
        match self.node.get("criteria") {
            None if wanted => self.required("criteria", |_, _, _| None),
            None => None,
            Some(node) => criteria::read::read(self.reader, node, &within(self.path, "criteria")),
        }
    }

    /// BK-16, BK-17.
    fn check_entry(&mut self, limit: Option<EntryLimit>, period: Option<&DurationSpec>) {
        let Some(period) = period else { return };
        if period.is_zero() {
            self.error("entryPeriod", "must be more than zero");
        } else if limit != Some(EntryLimit::OncePerPeriod) {
            self.warning("entryPeriod", "has no effect without `entryLimit: once_per_period`");
        }
    }

    /// BK-18, BK-19.
    fn check_dwell(&mut self, min: Option<&DurationSpec>, max: Option<&DurationSpec>) {
        let Some(max) = max else { return };
        if max.is_zero() {
            self.error("maxDwell", "must be more than zero");
        } else if min.is_some_and(|min| max.millis() < min.millis()) {
            self.error("maxDwell", "must not be shorter than `minDwell`");
        }
    }

    /// BK-120, BK-134.
    fn reactions(&mut self, id: Option<&BucketId>, max_dwell: Option<&DurationSpec>) -> Vec<Reaction> {
        let Some(node) = self.node.get("reactions") else { return Vec::new() };
        let path = within(self.path, "reactions");
        let reactions = read_reaction::reactions(self.reader, node, &path);
        if let Some(id) = id {
            read_reaction::check_collisions(self.reader, id, &reactions, &path);
        }
        for (at, reaction) in &reactions {
            let too_late = reaction.schedule().zip(max_dwell);
            if too_late.is_some_and(|(schedule, longest)| schedule.length.millis() >= longest.millis()) {
                let message =
                    "fires only in stays that a back-fill found, because `maxDwell` ends others before";
                let (path, message) = (path.clone(), message.to_owned());
                self.reader.report(*at, Problem { severity: Severity::Warning, path, message, hint: None });
            }
        }
        reactions.into_iter().map(|(_, reaction)| reaction).collect()
    }

    fn required<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        let node = self.reader.required(self.node, self.path, key)?;
        read(self.reader, node, &within(self.path, key))
    }

    fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        read(self.reader, self.node.get(key)?, &within(self.path, key))
    }

    fn error(&mut self, key: &str, message: impl Into<String>) {
        self.report(Severity::Error, key, message.into());
    }

    fn warning(&mut self, key: &str, message: &str) {
        self.report(Severity::Warning, key, message.to_owned());
    }

    fn report(&mut self, severity: Severity, key: &str, message: String) {
        let at = self.node.get(key).map_or(self.node.at, |node| node.at);
        self.reader.report(at, Problem { severity, path: within(self.path, key), message, hint: None });
    }
}
