//! What to do with a call, given who owns its keys: create, fill in and link, or merge (RS-01..RS-03, RS-20..RS-22).

use mainspring_schemas::{
    ContactId, Timestamp,
    identity::{IdentityKey, KeyKind},
};

/// A supplied key and who it designates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key as supplied.
    pub key: IdentityKey,
    /// Whom it designates.
    pub owner: Option<ContactId>,
    /// Whether it comes to whoever is called.
    pub attaches: Attaches,
}

/// Whether what names a person becomes a key of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attaches {
    /// It does.
    Always,
    /// Only to a contact that comes into being: a provider's id that stands in for a user id (WS-106).
    IfNew,
    /// A contact id or anonymous key given as `userId` designates and attaches nothing (KE-23).
    Never,
}

/// A contact that a call designates, as far as resolving needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub contact: ContactId,
    /// All its keys.
    pub keys: Vec<IdentityKey>,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// It has more keys or properties than one append can move: it is merged with nobody.
    pub is_immovable: bool,
}

impl Candidate {
    /// Whether it has a user id of its own. An external id that only stands in for one, being the id of a provider key
    /// that the contact holds or that the call brings, is none.
    fn is_identified(&self, called: Option<&str>) -> bool {
        let stands_in = |value: &str| {
            called == Some(value) || self.keys.iter().any(|key| key.id_at_provider() == Some(value))
        };
        self.values(KeyKind::External).any(|key| !stands_in(&key.value))
    }

    fn values(&self, kind: KeyKind) -> impl Iterator<Item = &IdentityKey> {
        self.keys.iter().filter(move |key| key.kind == kind)
    }
}

/// What a call comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who is called; `None` = a new contact.
    pub contact: Option<ContactId>,
    /// Who is absorbed, in rank order.
    pub losers: Vec<ContactId>,
    /// The keys that take part, in attach order.
    pub keys: Vec<IdentityKey>,
    /// Those of them that nobody owns.
    pub unowned: Vec<IdentityKey>,
    /// Keys left where they are because the evidence contradicts itself.
    pub conflicts: Vec<(KeyKind, ContactId)>,
}

/// When contacts that one call designates become one (RS-23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergePolicy {
    /// Whom strong keys designate is one person; an anonymous key must not contradict them (RS-20..RS-22).
    #[default]
    Strong,
    /// Whom any keys designate is one person.
    Any,
    /// As `Strong`, and two contacts that are both identified stay apart: the key that comes first in attach order
    /// decides, the others stay where they are.
    Never,
}

impl MergePolicy {
    /// Every policy with its word in settings.
    pub const ALL: [(&'static str, Self); 3] =
        [("strong", Self::Strong), ("any", Self::Any), ("never", Self::Never)];
}

/// Weighs the keys of a call. `candidates` describes every owner in `found`.
///
/// **Providers (WS-106).** What a provider tells of its customer is a hint: an address there is whatever somebody typed
/// into a form. So a call with a provider's id never joins two contacts that both have a user id of their own, whatever
/// the policy but `any`: what comes first decides (user id, provider key, the id as external id, address), the other
/// keys stay where they are and the conflict is recorded. Nor does it give a contact with a user id another one that
/// nobody has yet. A contact that only the provider ever named has none: it joins whoever the address or the user id
/// belongs to, so that it does not matter which of a provider's messages came first.
pub fn plan(found: &[Found], candidates: &[Candidate], policy: MergePolicy) -> Plan {
    let mut keys = Vec::new();
    let mut unowned = Vec::new();
    let mut conflicts = Vec::new();
    let mut owners: Vec<ContactId> = Vec::new();
    let mut stand_in = None;
    let called = found.iter().find_map(|item| match item.attaches {
        Attaches::IfNew => Some(item.key.value.as_str()),
        _ => item.key.id_at_provider(),
    });
    let names_a_new_user = found.iter().any(|item| {
        item.key.kind == KeyKind::External && item.attaches == Attaches::Always && item.owner.is_none()
    });
    let is_identified = |owner: &ContactId| {
        candidates.iter().any(|candidate| candidate.contact == *owner && candidate.is_identified(called))
    };
    let is_immovable = |owner: &ContactId| {
        candidates.iter().any(|candidate| candidate.contact == *owner && candidate.is_immovable)
    };
    // Anonymous keys come last in attach order, so that by then all strong owners are known.
    for item in found {
        if let Some(owner) = item.owner.filter(|owner| !owners.contains(owner)) {
            let stays_apart = match policy {
                MergePolicy::Any => false,
                _ if item.key.kind == KeyKind::Anonymous => contradicts(owner, &conflicts, found, candidates),
                MergePolicy::Strong if called.is_none() => false,
                MergePolicy::Strong | MergePolicy::Never => {
                    let another_user = called.is_some() && names_a_new_user;
                    is_identified(&owner) && (another_user || owners.iter().any(is_identified))
                }
            };
            let cannot_join = !owners.is_empty() && (is_immovable(&owner) || owners.iter().any(is_immovable));
            if stays_apart || cannot_join {
                conflicts.push((item.key.kind, owner));
                continue;
            }
            owners.push(owner);
        }
        match item.attaches {
            Attaches::Always => {
                keys.push(item.key.clone());
                if item.owner.is_none() {
                    unowned.push(item.key.clone());
                }
            }
            Attaches::IfNew if item.owner.is_none() => stand_in = Some(&item.key),
            Attaches::IfNew | Attaches::Never => {}
        }
    }
    if let Some(key) = stand_in.filter(|_| owners.is_empty()) {
        keys.push(key.clone());
        unowned.push(key.clone());
    }
    let mut ranked: Vec<&Candidate> =
        candidates.iter().filter(|candidate| owners.contains(&candidate.contact)).collect();
    ranked.sort_by_key(|candidate| rank(candidate, called));
    let mut ranked = ranked.into_iter().map(|candidate| candidate.contact);
    Plan { contact: ranked.next(), losers: ranked.collect(), keys, unowned, conflicts }
}

/// MC-01: identified first, then the smaller first instant, then the smaller id.
fn rank(candidate: &Candidate, called: Option<&str>) -> (bool, Timestamp, ContactId) {
    (!candidate.is_identified(called), candidate.first_seen_at, candidate.contact)
}

/// RS-20: for kind external or email the owner of an anonymous key holds values, the rest of the call (supplied
/// values and keys of the other candidates) has values too, and the two sets are disjoint. Keys that were left out
/// before are no part of the rest.
fn contradicts(
    owner: ContactId,
    left_out: &[(KeyKind, ContactId)],
    found: &[Found],
    candidates: &[Candidate],
) -> bool {
    let Some(candidate) = candidates.iter().find(|candidate| candidate.contact == owner) else {
        return false;
    };
    let found = || {
        let takes_part = |f: &&Found| f.owner.is_none_or(|owner| !left_out.contains(&(f.key.kind, owner)));
        found.iter().filter(takes_part)
    };
    [KeyKind::External, KeyKind::Email].into_iter().any(|kind| {
        let mut own = candidate.values(kind).peekable();
        if own.peek().is_none() {
            return false;
        }
        let supplied =
            found().filter(|f| f.attaches == Attaches::Always && f.key.kind == kind).map(|f| &f.key);
        let others = found().filter_map(|f| f.owner).filter(|other| *other != owner);
        let held = candidates
            .iter()
            .filter(|other| others.clone().any(|id| id == other.contact))
            .flat_map(|other| other.values(kind));
        let rest: Vec<&IdentityKey> = supplied.chain(held).collect();
        !rest.is_empty() && !own.any(|key| rest.contains(&key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Identity;

    fn key(kind: KeyKind, value: &str) -> IdentityKey {
        IdentityKey::new(kind, value).unwrap()
    }

    fn id(n: u128) -> ContactId {
        ContactId(uuid::Uuid::from_u128(n))
    }

    fn parse(text: &str) -> IdentityKey {
        let kind = match text.as_bytes()[0] {
            b'e' => KeyKind::Email,
            b'V' | b'W' => KeyKind::Anonymous,
            b'D' => KeyKind::Discord,
            _ if text.contains(':') => KeyKind::Provider,
            _ => KeyKind::External,
        };
        key(kind, text)
    }

    /// A call's keys: user ids are `A`, `B`, addresses `e1`, anonymous ids `V`, `W`, Discord ids `D`, provider keys
    /// `stripe:c9`.
    fn identity(call: &str) -> Identity {
        let mut identity = Identity::default();
        for key in call.split_whitespace().map(parse) {
            let slot = match key.kind {
                KeyKind::External => &mut identity.external,
                KeyKind::Email => &mut identity.email,
                KeyKind::Discord => &mut identity.discord,
                KeyKind::Anonymous => &mut identity.anonymous,
                KeyKind::Provider => &mut identity.provider,
            };
            assert!(slot.replace(key).is_none(), "{call}");
        }
        identity
    }

    fn check(scenario: &str, given: &[&str], call: &str, expected: (u128, &[u128], &str, usize)) {
        check_under(MergePolicy::Strong, scenario, given, call, expected);
    }

    /// `given`: contacts in order of age, each as its keys; `call`: keys. Expected: number of the contact called
    /// (0 = new), losers, unowned keys, number of conflicts.
    fn check_under(
        policy: MergePolicy,
        scenario: &str,
        given: &[&str],
        call: &str,
        expected: (u128, &[u128], &str, usize),
    ) {
        let candidates: Vec<Candidate> = given
            .iter()
            .zip(1_i64..)
            .map(|(keys, age)| Candidate {
                contact: id(age as u128),
                keys: keys.split_whitespace().filter(|key| *key != "!").map(parse).collect(),
                first_seen_at: Timestamp(age),
                is_immovable: keys.contains('!'),
            })
            .collect();
        let called = identity(call);
        let found: Vec<Found> = called
            .evidence()
            .map(|key| {
                let key = key.into_owned();
                let owner = candidates.iter().find(|c| c.keys.contains(&key)).map(|c| c.contact);
                let stands_in = called.stand_in().as_ref() == Some(&key);
                let attaches = if stands_in { Attaches::IfNew } else { Attaches::Always };
                Found { key, owner, attaches }
            })
            .collect();
        let plan = plan(&found, &candidates, policy);
        let unowned: Vec<String> = plan.unowned.iter().map(|k| k.value.to_string()).collect();
        assert_eq!(plan.contact, (expected.0 > 0).then(|| id(expected.0)), "{scenario}: contact");
        assert_eq!(plan.losers, expected.1.iter().map(|n| id(*n)).collect::<Vec<_>>(), "{scenario}: losers");
        assert_eq!(unowned.join(" "), expected.2, "{scenario}: unowned");
        assert_eq!(plan.conflicts.len(), expected.3, "{scenario}: conflicts");
    }

    #[test]
    fn rs_01_to_rs_03_and_the_scenarios_of_section_12() {
        check("MS-01", &[], "e1", (0, &[], "e1", 0));
        check("MS-02", &["e1"], "e1 A", (1, &[], "A", 0));
        check("MS-03", &["e1"], "e1 V", (1, &[], "V", 0));
        check("MS-04", &["e1 V"], "A e1 V", (1, &[], "A", 0));
        check("MS-05", &[], "A V", (0, &[], "A V", 0));
        check("MS-07", &["e1", "A"], "A e1", (2, &[1], "", 0));
        check("MS-08", &["e1", "V"], "e1 V", (1, &[2], "", 0));
        check("MS-09", &["e1", "V"], "A e1 V", (1, &[2], "A", 0));
        check("MS-10", &["A e1", "B e2 V"], "A e2", (1, &[2], "", 0));
        check("MS-11", &["A e1", "B"], "B e1", (1, &[2], "", 0));
        check("MS-12", &["A", "e1", "V", "D"], "A e1 V D", (1, &[2, 3, 4], "", 0));
        check("MS-24", &["A V"], "B V", (0, &[], "B", 1));
        check("MS-25", &["A V", "B"], "B V", (2, &[], "", 1));
        check("MS-26", &["e1 V"], "e2 V", (0, &[], "e2", 1));
        check("MS-27", &["A V", "e1"], "e1 V", (1, &[2], "", 0));
        check("MS-28", &["A e1"], "B e1", (1, &[], "B", 0));
        check("MS-31", &["A e1"], "A e2", (1, &[], "e2", 0));
        check("MS-40", &["D", "A e1"], "e1 D", (2, &[1], "", 0));
    }

    #[test]
    fn rs_23_any_joins_whatever_a_key_touches() {
        let check = |scenario, given: &[&str], call, expected| {
            check_under(MergePolicy::Any, scenario, given, call, expected);
        };
        check("as MS-24", &["A V"], "B V", (1, &[], "B", 0));
        check("as MS-25", &["A V", "B"], "B V", (1, &[2], "", 0));
        check("as MS-26", &["e1 V"], "e2 V", (1, &[], "e2", 0));
        check("as MS-10", &["A e1", "B e2 V"], "A e2", (1, &[2], "", 0));
    }

    #[test]
    fn rs_23_never_keeps_identified_contacts_apart() {
        let check = |scenario, given: &[&str], call, expected| {
            check_under(MergePolicy::Never, scenario, given, call, expected);
        };
        check("the external key decides", &["A e1", "B"], "B e1", (2, &[], "", 1));
        check("the first strong key decides", &["A e1", "B D"], "e1 D", (1, &[], "", 1));
        check("one is not identified", &["A", "e1"], "A e1", (1, &[2], "", 0));
        check("a new user id makes no second contact", &["A e1"], "B e1", (1, &[], "B", 0));
        check("weak evidence as ever", &["A V"], "B V", (0, &[], "B", 1));
        check("an address left out contradicts nobody", &["A e1", "B", "e2 V"], "B e1 V", (2, &[3], "", 1));
    }

    #[test]
    fn rs_84_who_has_more_than_one_append_can_move_stays_apart_and_the_call_goes_on() {
        check("the first key decides", &["A e1", "B !"], "B e1", (2, &[], "", 1));
        check("whichever it is", &["A !", "e1 D"], "A e1", (1, &[], "", 1));
        check("the others join", &["A", "e1 !", "D"], "A e1 D", (1, &[3], "", 1));
        check("new keys attach", &["A !"], "A e1 V", (1, &[], "e1 V", 0));
        check_under(MergePolicy::Any, "whatever the policy", &["A", "V !"], "A V", (1, &[], "", 1));
    }

    #[test]
    fn ws_106_a_provider_key_its_id_as_external_id_and_the_address_in_this_order() {
        check("nobody: created under the provider's id", &[], "stripe:c9 e1", (0, &[], "stripe:c9 e1 c9", 0));
        check("SS-06: by the address", &["A e1"], "stripe:c9 e1", (1, &[], "stripe:c9", 0));
        check("SS-06: then by the provider key", &["A e1 stripe:c9"], "stripe:c9", (1, &[], "", 0));
        check("by its id as external id", &["c9"], "stripe:c9", (1, &[], "stripe:c9", 0));
        check("before the address", &["B c9", "A e1"], "stripe:c9 e1", (1, &[], "stripe:c9", 1));
        check(
            "a second customer of one person",
            &["A e1 stripe:c9"],
            "stripe:c8 e1",
            (1, &[], "stripe:c8", 0),
        );
        check("a new address", &["A e1 stripe:c9"], "stripe:c9 e2", (1, &[], "e2", 0));
    }

    #[test]
    fn ws_106_a_provider_joins_no_two_users() {
        check("another user's address", &["A stripe:c9", "B e1"], "stripe:c9 e1", (1, &[], "", 1));
        check("whoever is older", &["B e1", "A stripe:c9"], "stripe:c9 e1", (2, &[], "", 1));
        check("nobody's user id of its own", &["A stripe:c9", "e1"], "stripe:c9 e1", (1, &[2], "", 0));
        // The provider's own messages may come in any order: first one without an address, then one with it.
        check("its own contact", &["c9 stripe:c9", "A e1"], "stripe:c9 e1", (2, &[1], "", 0));
        check("a twin from before", &["c9", "A e1"], "stripe:c9 e1", (2, &[1], "stripe:c9", 0));
        let policy = |policy, expected| {
            check_under(policy, "policy", &["A stripe:c9", "B e1"], "stripe:c9 e1", expected);
        };
        policy(MergePolicy::Never, (1, &[], "", 1));
        policy(MergePolicy::Any, (1, &[2], "", 0));
    }

    #[test]
    fn ws_106_a_user_id_given_to_the_provider_decides() {
        check("its contact gets the key", &["A", "B e1"], "A stripe:c9", (1, &[], "stripe:c9", 0));
        check("an unknown user", &[], "A stripe:c9", (0, &[], "A stripe:c9", 0));
        check("the provider's contact joins", &["A", "c9 stripe:c9"], "A stripe:c9 e1", (1, &[2], "e1", 0));
        check("or becomes the user", &["c9 stripe:c9"], "A stripe:c9", (1, &[], "A", 0));
        check("another user keeps the key", &["A", "B stripe:c9"], "A stripe:c9", (1, &[], "", 1));
        check("also if the first is unknown", &["B stripe:c9"], "A stripe:c9", (0, &[], "A", 1));
        check("or the address", &["B e1"], "A stripe:c9 e1", (0, &[], "A stripe:c9", 1));
        check("and the address", &["A", "B e1"], "A stripe:c9 e1", (1, &[], "stripe:c9", 1));
    }

    #[test]
    fn ke_23_a_designation_attaches_nothing() {
        let contact = id(7);
        let candidate = Candidate {
            contact,
            keys: vec![key(KeyKind::Email, "e1")],
            first_seen_at: Timestamp(0),
            is_immovable: false,
        };
        let found = [Found {
            key: key(KeyKind::External, &contact.to_string()),
            owner: Some(contact),
            attaches: Attaches::Never,
        }];
        let plan = plan(&found, &[candidate], MergePolicy::Strong);
        assert_eq!((plan.contact, plan.keys.len(), plan.unowned.len()), (Some(contact), 0, 0));
    }
}
